# The four ways to add code: a plain library, a compiler library, a dialect, a stage of passes; and tests.
include_guard()

# Makes the precompiled header of libraries without LLVM. docs/decisions/precompiled-headers.md says why.
macro(stepdown_make_plain_precompiled)
  find_package(nlohmann_json 3.9 REQUIRED)
  add_library(StepdownPlainPCH STATIC ${CMAKE_SOURCE_DIR}/cmake/PlainPrecompiled.cpp)
  target_link_libraries(StepdownPlainPCH PRIVATE nlohmann_json::nlohmann_json)
  target_precompile_headers(StepdownPlainPCH PRIVATE ${CMAKE_SOURCE_DIR}/cmake/PlainPrecompiled.h)
endmacro()

# Makes that of test programs without LLVM, which are compiled with less effort, because what they run is in the libraries.
macro(stepdown_make_test_precompiled)
  add_library(StepdownTestPCH STATIC ${CMAKE_SOURCE_DIR}/cmake/PlainPrecompiled.cpp)
  target_link_libraries(StepdownTestPCH PRIVATE nlohmann_json::nlohmann_json GTest::gtest)
  target_compile_options(StepdownTestPCH PRIVATE ${STEPDOWN_TEST_EFFORT})
  target_precompile_headers(StepdownTestPCH PRIVATE ${CMAKE_SOURCE_DIR}/cmake/TestPrecompiled.h)
endmacro()

# Finds the shared libMLIR/libLLVM 22 and makes the one precompiled header that every compiler library reuses.
macro(stepdown_find_mlir)
  find_package(MLIR REQUIRED CONFIG HINTS /usr/lib/llvm-22/lib/cmake/mlir)
  find_package(LLVM REQUIRED CONFIG HINTS /usr/lib/llvm-22/lib/cmake/llvm)
  if(NOT LLVM_VERSION_MAJOR EQUAL 22) # the package's version file accepts only an equal minor version
    message(FATAL_ERROR "expects LLVM and MLIR 22, but found ${LLVM_PACKAGE_VERSION}")
  endif()
  list(APPEND CMAKE_MODULE_PATH ${MLIR_CMAKE_DIR} ${LLVM_CMAKE_DIR})
  include(TableGen)
  include(AddLLVM)
  include(AddMLIR)
  add_library(StepdownPCH STATIC ${CMAKE_SOURCE_DIR}/cmake/Precompiled.cpp)
  target_include_directories(StepdownPCH SYSTEM PUBLIC ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
  target_compile_options(StepdownPCH PUBLIC -fno-rtti)
  target_link_libraries(StepdownPCH PUBLIC MLIR LLVM)
  target_precompile_headers(StepdownPCH PRIVATE ${CMAKE_SOURCE_DIR}/cmake/Precompiled.h)
endmacro()

# stepdown_add_library(Name SOURCES... [LINK libs...]): a C++17 library without LLVM.
function(stepdown_add_library name)
  cmake_parse_arguments(A "" "" "LINK" ${ARGN})
  add_library(${name} STATIC ${A_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PUBLIC ${A_LINK})
  target_precompile_headers(${name} REUSE_FROM StepdownPlainPCH)
endfunction()

# stepdown_add_compiler_library(Name SOURCES... [LINK libs...]): may use MLIR; reuses the precompiled header.
function(stepdown_add_compiler_library name)
  cmake_parse_arguments(A "" "" "LINK" ${ARGN})
  add_library(${name} STATIC ${A_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PUBLIC StepdownPCH ${A_LINK})
  target_precompile_headers(${name} REUSE_FROM StepdownPCH)
endfunction()

# stepdown_add_dialect(Transformer transformer SOURCES...): <Name>Dialect.td, <Name>Ops.td in this folder -> Stepdown<Name>.
function(stepdown_add_dialect name prefix)
  set(LLVM_TARGET_DEFINITIONS ${name}Ops.td)
  mlir_tablegen(${name}Dialect.h.inc -gen-dialect-decls -dialect=${prefix} EXTRA_INCLUDES ${CMAKE_SOURCE_DIR} ${MLIR_INCLUDE_DIRS})
  mlir_tablegen(${name}Dialect.cpp.inc -gen-dialect-defs -dialect=${prefix} EXTRA_INCLUDES ${CMAKE_SOURCE_DIR} ${MLIR_INCLUDE_DIRS})
  mlir_tablegen(${name}Types.h.inc -gen-typedef-decls -typedefs-dialect=${prefix} EXTRA_INCLUDES ${CMAKE_SOURCE_DIR} ${MLIR_INCLUDE_DIRS})
  mlir_tablegen(${name}Types.cpp.inc -gen-typedef-defs -typedefs-dialect=${prefix} EXTRA_INCLUDES ${CMAKE_SOURCE_DIR} ${MLIR_INCLUDE_DIRS})
  mlir_tablegen(${name}Attrs.h.inc -gen-attrdef-decls -attrdefs-dialect=${prefix} EXTRA_INCLUDES ${CMAKE_SOURCE_DIR} ${MLIR_INCLUDE_DIRS})
  mlir_tablegen(${name}Attrs.cpp.inc -gen-attrdef-defs -attrdefs-dialect=${prefix} EXTRA_INCLUDES ${CMAKE_SOURCE_DIR} ${MLIR_INCLUDE_DIRS})
  mlir_tablegen(${name}Enums.h.inc -gen-enum-decls EXTRA_INCLUDES ${CMAKE_SOURCE_DIR} ${MLIR_INCLUDE_DIRS})
  mlir_tablegen(${name}Enums.cpp.inc -gen-enum-defs EXTRA_INCLUDES ${CMAKE_SOURCE_DIR} ${MLIR_INCLUDE_DIRS})
  mlir_tablegen(${name}Ops.h.inc -gen-op-decls EXTRA_INCLUDES ${CMAKE_SOURCE_DIR} ${MLIR_INCLUDE_DIRS})
  mlir_tablegen(${name}Ops.cpp.inc -gen-op-defs EXTRA_INCLUDES ${CMAKE_SOURCE_DIR} ${MLIR_INCLUDE_DIRS})
  add_public_tablegen_target(Stepdown${name}IncGen)
  stepdown_add_compiler_library(Stepdown${name} ${ARGN})
  add_dependencies(Stepdown${name} Stepdown${name}IncGen)
endfunction()

# stepdown_add_stage(Fusion SOURCES... [LINK libs...]): Passes.td in this folder -> StepdownFusion.
function(stepdown_add_stage name)
  cmake_parse_arguments(A "" "" "LINK" ${ARGN})
  set(LLVM_TARGET_DEFINITIONS Passes.td)
  mlir_tablegen(Passes.h.inc -gen-pass-decls -name ${name} EXTRA_INCLUDES ${CMAKE_SOURCE_DIR} ${MLIR_INCLUDE_DIRS})
  add_public_tablegen_target(Stepdown${name}PassIncGen)
  stepdown_add_compiler_library(Stepdown${name} ${A_UNPARSED_ARGUMENTS} LINK ${A_LINK})
  add_dependencies(Stepdown${name} Stepdown${name}PassIncGen StepdownTransformerIncGen StepdownTileIncGen)
endfunction()

# stepdown_add_unit_test(Name SOURCES... LINK libs...): a GoogleTest program that ctest runs.
function(stepdown_add_unit_test name)
  cmake_parse_arguments(A "" "" "LINK" ${ARGN})
  add_executable(${name} ${A_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE ${A_LINK} GTest::gtest GTest::gtest_main Threads::Threads)
  target_compile_definitions(${name} PRIVATE STEPDOWN_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  stepdown_reuse_precompiled(${name} ${A_LINK})
  add_test(NAME ${name} COMMAND ${name})
endfunction()

# stepdown_reuse_precompiled(Program libs...): a program of which a library is a compiler library reuses the compiler's
# precompiled header, another test program that of tests. These are compiled as code of libraries is, with -fPIC, where
# programs get -fPIE.
function(stepdown_reuse_precompiled name)
  set(owner StepdownTestPCH)
  foreach(library ${ARGN})
    if(TARGET ${library})
      get_target_property(links ${library} LINK_LIBRARIES)
      if(StepdownPCH IN_LIST links)
        set(owner StepdownPCH)
      endif()
    endif()
  endforeach()
  if(owner STREQUAL StepdownTestPCH)
    target_compile_options(${name} PRIVATE ${STEPDOWN_TEST_EFFORT})
  endif()
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${name} PRIVATE -fPIC)
  target_precompile_headers(${name} REUSE_FROM ${owner})
endfunction()

# stepdown_long_tests(names...): of this folder, longest first; ctest starts them before the others, so that no core idles
# at the end. Names of tests that are not there are passed over.
function(stepdown_long_tests)
  list(LENGTH ARGN cost)
  foreach(name ${ARGN})
    if(TEST ${name})
      set_tests_properties(${name} PROPERTIES COST ${cost})
    endif()
    math(EXPR cost "${cost} - 1")
  endforeach()
endfunction()

# stepdown_shell_files(program component BASH words... ZSH words... MANUAL words...): the completion scripts and the manual
# page that the program prints of its own option table, written when it is built and installed with it.
function(stepdown_shell_files program component)
  cmake_parse_arguments(A "" "" "BASH;ZSH;MANUAL" ${ARGN})
  set(share ${CMAKE_BINARY_DIR}/share)
  set(bash ${share}/bash-completion/completions/${program})
  set(zsh ${share}/zsh/site-functions/_${program})
  set(manual ${share}/man/man1/${program}.1)
  foreach(file ${bash} ${zsh} ${manual})
    get_filename_component(folder ${file} DIRECTORY)
    file(MAKE_DIRECTORY ${folder})
  endforeach()
  add_custom_command(OUTPUT ${bash} ${zsh} ${manual}
    COMMAND ${program} ${A_BASH} > ${bash}
    COMMAND ${program} ${A_ZSH} > ${zsh}
    COMMAND ${program} ${A_MANUAL} > ${manual}
    DEPENDS ${program} VERBATIM)
  add_custom_target(${program}-shell-files ALL DEPENDS ${bash} ${zsh} ${manual})
  install(FILES ${bash} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT ${component})
  install(FILES ${zsh} DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions COMPONENT ${component})
  install(FILES ${manual} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT ${component})
endfunction()
