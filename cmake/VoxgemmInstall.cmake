# Install rules: headers, libraries, the package files for CMake (find_package(voxgemm CONFIG)) and pkg-config.
include(CMakePackageConfigHelpers)

set(voxgemm_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/voxgemm)
set(voxgemm_installed "")
foreach(kind static shared)
  if(TARGET voxgemm_${kind})
    list(APPEND voxgemm_installed voxgemm_${kind})
  endif()
endforeach()
install(TARGETS ${voxgemm_installed} EXPORT voxgemmTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/voxgemm DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(EXPORT voxgemmTargets NAMESPACE voxgemm:: DESTINATION ${voxgemm_cmake_dir})

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/voxgemmConfig.cmake.in
  ${PROJECT_BINARY_DIR}/voxgemmConfig.cmake INSTALL_DESTINATION ${voxgemm_cmake_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/voxgemmConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/voxgemmConfig.cmake ${PROJECT_BINARY_DIR}/voxgemmConfigVersion.cmake
  DESTINATION ${voxgemm_cmake_dir})

set(voxgemm_pc_cuda "")
if(VOXGEMM_CUDA)
  set(voxgemm_pc_cuda " -L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -ldl -lrt")
endif()
configure_file(${PROJECT_SOURCE_DIR}/cmake/voxgemm.pc.in ${PROJECT_BINARY_DIR}/voxgemm.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/voxgemm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
