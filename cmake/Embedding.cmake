# What `cmake --install` gives to programs that embed Stepdown, in two components: Runtime (libstepdown shared and static,
# its headers, stepdown-run, a pkg-config file) and Compiler (libstepdown-compiler, stepdown-compile and a pkg-config file,
# which need MLIR).
# find_package(Stepdown) finds Stepdown::Runtime, Stepdown::RuntimeStatic and, where it was installed, Stepdown::Compiler.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/Stepdown)
set(runtime_parts StepdownBase StepdownCheckpoint StepdownSampler StepdownGrammar StepdownText StepdownLoad StepdownRuntime)
if(STEPDOWN_EMULATOR)
  list(APPEND runtime_parts StepdownEmulated)
endif()
set_target_properties(${runtime_parts} PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
set(api_sources ${CMAKE_SOURCE_DIR}/runtime/Api.cpp ${CMAKE_SOURCE_DIR}/runtime/ApiAdapters.cpp ${CMAKE_SOURCE_DIR}/runtime/ApiChat.cpp ${CMAKE_SOURCE_DIR}/runtime/ApiConstraint.cpp ${CMAKE_SOURCE_DIR}/runtime/ApiFunctions.cpp
                ${CMAKE_SOURCE_DIR}/runtime/ApiEmbed.cpp ${CMAKE_SOURCE_DIR}/runtime/ApiGenerate.cpp ${CMAKE_SOURCE_DIR}/runtime/ApiSaved.cpp)

# Only the functions of the C API leave a library, under a version of their own.
function(stepdown_api_library target exported)
  set_target_properties(${target} PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0 EXPORT_NAME ${exported}
    CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    LINK_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/Stepdown.map)
  target_link_options(${target} PRIVATE -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/Stepdown.map)
  if(NOT STEPDOWN_SANITIZE) # the program brings the sanitizer's symbols
    target_link_options(${target} PRIVATE -Wl,--no-undefined)
  endif()
  target_include_directories(${target} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  add_library(Stepdown::${exported} ALIAS ${target})
endfunction()

# Compiled once for both libraries.
add_library(StepdownApi OBJECT ${api_sources})
set_target_properties(StepdownApi PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
target_precompile_headers(StepdownApi REUSE_FROM StepdownPlainPCH)

add_library(stepdown SHARED $<TARGET_OBJECTS:StepdownApi>)
stepdown_api_library(stepdown Runtime)
target_link_libraries(stepdown PRIVATE StepdownRuntime)
if(NOT STEPDOWN_SANITIZE)
  target_link_options(stepdown PRIVATE -static-libstdc++ -static-libgcc)
endif()

# The static library holds all parts, so that there is one file to link.
set(objects ${runtime_parts})
list(TRANSFORM objects REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>")
add_library(stepdown-static STATIC $<TARGET_OBJECTS:StepdownApi> ${objects})
set_target_properties(stepdown-static PROPERTIES OUTPUT_NAME stepdown EXPORT_NAME RuntimeStatic LINKER_LANGUAGE CXX)
target_include_directories(stepdown-static INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(stepdown-static INTERFACE pcre2-8 utf8proc stdc++ m Threads::Threads)

install(TARGETS stepdown stepdown-static EXPORT StepdownRuntimeTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT Runtime NAMELINK_COMPONENT Runtime
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT Runtime)
install(TARGETS stepdown-run stepdown-run-gpu RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT Runtime)
stepdown_shell_files(stepdown-run Runtime BASH completion bash ZSH completion zsh MANUAL manual)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/stepdown DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT Runtime
  FILES_MATCHING PATTERN "*.h")
install(EXPORT StepdownRuntimeTargets NAMESPACE Stepdown:: DESTINATION ${package_folder} COMPONENT Runtime)

if(STEPDOWN_COMPILER)
  add_library(stepdown-compiler SHARED ${CMAKE_SOURCE_DIR}/lib/Driver/CompilerApi.cpp)
  stepdown_api_library(stepdown-compiler Compiler)
  target_link_libraries(stepdown-compiler PRIVATE StepdownDriver)
  add_dependencies(stepdown-compiler stepdown-compile) # which it starts
  target_precompile_headers(stepdown-compiler REUSE_FROM StepdownPCH)
  set_target_properties(stepdown-compiler stepdown-compile PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
  install(TARGETS stepdown-compiler EXPORT StepdownCompilerTargets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT Compiler NAMELINK_COMPONENT Compiler)
  install(TARGETS stepdown-compile RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT Compiler)
  stepdown_shell_files(stepdown-compile Compiler BASH --completion=bash ZSH --completion=zsh MANUAL --manual)
  install(EXPORT StepdownCompilerTargets NAMESPACE Stepdown:: DESTINATION ${package_folder} COMPONENT Compiler)
endif()

configure_file(${CMAKE_SOURCE_DIR}/cmake/StepdownConfig.cmake.in ${CMAKE_BINARY_DIR}/StepdownConfig.cmake @ONLY)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/StepdownConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/StepdownConfig.cmake ${CMAKE_BINARY_DIR}/StepdownConfigVersion.cmake
  DESTINATION ${package_folder} COMPONENT Runtime)
# The file finds the tree from where it lies, wherever that was moved to.
file(RELATIVE_PATH prefix_of_pc /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" prefix_of_pc "${prefix_of_pc}")
configure_file(${CMAKE_SOURCE_DIR}/cmake/stepdown.pc.in ${CMAKE_BINARY_DIR}/stepdown.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/stepdown.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT Runtime)
if(STEPDOWN_COMPILER)
  configure_file(${CMAKE_SOURCE_DIR}/cmake/stepdown-compiler.pc.in ${CMAKE_BINARY_DIR}/stepdown-compiler.pc @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/stepdown-compiler.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT Compiler)
endif()
