# Compiles ToyKernels.c freestanding and cuts each kernel's section out as plain bytes: build/test/unit/toy/<kernel>.bin.
set(toy_folder ${CMAKE_CURRENT_BINARY_DIR}/toy)
find_program(STEPDOWN_OBJCOPY NAMES objcopy llvm-objcopy-22 llvm-objcopy REQUIRED)
set(toy_object ${toy_folder}/ToyKernels.o)
file(MAKE_DIRECTORY ${toy_folder})
add_custom_command(OUTPUT ${toy_object}
  COMMAND ${CMAKE_C_COMPILER} -O1 -std=c99 -ffreestanding -fPIC -fno-builtin -fno-vectorize -fno-slp-vectorize
          -fno-asynchronous-unwind-tables -fno-stack-protector -fno-jump-tables -mno-red-zone
          -c ${CMAKE_CURRENT_SOURCE_DIR}/ToyKernels.c -o ${toy_object}
  DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/ToyKernels.c VERBATIM)
set(toy_files)
foreach(kernel embed append attend head idle)
  add_custom_command(OUTPUT ${toy_folder}/${kernel}.bin
    COMMAND ${STEPDOWN_OBJCOPY} -O binary -j .text.${kernel} ${toy_object} ${toy_folder}/${kernel}.bin
    DEPENDS ${toy_object} VERBATIM)
  list(APPEND toy_files ${toy_folder}/${kernel}.bin)
endforeach()
add_custom_target(ToyKernels DEPENDS ${toy_files})
stepdown_add_library(ToyModel ArtifactBuilder.cpp ToyModel.cpp LINK StepdownRuntime)
target_compile_definitions(ToyModel PRIVATE STEPDOWN_TOY_KERNELS="${toy_folder}")
add_dependencies(ToyModel ToyKernels)
