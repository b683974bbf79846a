# What `cmake --install` gives to programs that embed the runtime: libstepdown.so, the headers, stepdown-run, a package
# that find_package(Stepdown) finds, and a pkg-config file.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# Only the functions of the C API leave the library, under a version of their own.
add_library(stepdown SHARED ${CMAKE_SOURCE_DIR}/runtime/Api.cpp)
set_target_properties(stepdown PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0)
target_link_libraries(stepdown PRIVATE StepdownRuntime)
target_link_options(stepdown PRIVATE -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/Stepdown.map)
if(NOT STEPDOWN_SANITIZE AND NOT STEPDOWN_FUZZ) # a sanitizer's functions come with the program
  target_link_options(stepdown PRIVATE -Wl,--no-undefined -static-libstdc++ -static-libgcc)
endif()
set_target_properties(stepdown PROPERTIES LINK_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/Stepdown.map)
target_include_directories(stepdown INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

install(TARGETS stepdown EXPORT StepdownTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS stepdown-run RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/stepdown DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/Stepdown)
install(EXPORT StepdownTargets NAMESPACE Stepdown:: DESTINATION ${package_folder})
file(WRITE ${CMAKE_BINARY_DIR}/StepdownConfig.cmake "include(\${CMAKE_CURRENT_LIST_DIR}/StepdownTargets.cmake)\n")
write_basic_package_version_file(${CMAKE_BINARY_DIR}/StepdownConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/StepdownConfig.cmake ${CMAKE_BINARY_DIR}/StepdownConfigVersion.cmake
  DESTINATION ${package_folder})
configure_file(${CMAKE_SOURCE_DIR}/cmake/stepdown.pc.in ${CMAKE_BINARY_DIR}/stepdown.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/stepdown.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
