# Builds the runtime on another machine for AArch64 Linux: tools/build-aarch64.sh passes this file as
# CMAKE_TOOLCHAIN_FILE. Debian's C and C++ libraries for it are in libc6-dev-arm64-cross and libstdc++-12-dev-arm64-cross.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER clang-22)
set(CMAKE_CXX_COMPILER clang++-22)
set(CMAKE_C_COMPILER_TARGET aarch64-linux-gnu)
set(CMAKE_CXX_COMPILER_TARGET aarch64-linux-gnu)
set(CMAKE_EXE_LINKER_FLAGS_INIT -fuse-ld=lld)
set(CMAKE_SHARED_LINKER_FLAGS_INIT -fuse-ld=lld)
find_program(STEPDOWN_QEMU qemu-aarch64-static)
if(STEPDOWN_QEMU) # what the build runs of what it builds: completion scripts and manual pages
  set(CMAKE_CROSSCOMPILING_EMULATOR ${STEPDOWN_QEMU})
endif()
# Where libraries for AArch64 lie: those that the script fetched, then the system's.
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES STEPDOWN_AARCH64_ROOT)
set(CMAKE_FIND_ROOT_PATH ${STEPDOWN_AARCH64_ROOT} /usr/aarch64-linux-gnu /)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
