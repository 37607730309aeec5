# voxgemm_library(static|shared): target voxgemm_<kind>, known to users as voxgemm::<kind>.
function(voxgemm_library kind)
  string(TOUPPER ${kind} type)
  set(target voxgemm_${kind})
  add_library(${target} ${type} $<TARGET_OBJECTS:voxgemm_objects>)
  add_library(voxgemm::${kind} ALIAS ${target})
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME voxgemm EXPORT_NAME ${kind} VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${target} PRIVATE TBB::tbb fmt::fmt Threads::Threads)
  if(VOXGEMM_CUDA)
    target_link_libraries(${target} PRIVATE CUDA::cudart_static)
  endif()
  if(kind STREQUAL "shared" AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
    # Templates of the standard library that our code instantiates are visible by default; the map hides them.
    set(map ${PROJECT_SOURCE_DIR}/cmake/voxgemm.map)
    target_link_options(${target} PRIVATE "LINKER:--version-script=${map}")
    set_target_properties(${target} PROPERTIES LINK_DEPENDS ${map})
  endif()
endfunction()
