# add_subdirectory(voxgemm) in another project must configure without the packages of tests and tools, define
# voxgemm::voxgemm, and make no tests and no install rules. Building it would repeat the whole library, so
# configuring is enough here.
include(${CMAKE_CURRENT_LIST_DIR}/step.cmake)
set(project ${WORK}/embedding)
file(REMOVE_RECURSE ${project})
file(WRITE ${project}/CMakeLists.txt "
cmake_minimum_required(VERSION 3.22)
project(embedding LANGUAGES CXX)
foreach(package GTest benchmark CLI11 nlohmann_json PNG)
  set(CMAKE_DISABLE_FIND_PACKAGE_\${package} TRUE)
endforeach()
add_subdirectory(${SOURCE} voxgemm)
add_executable(user ${CONSUMER}/main.cc)
target_link_libraries(user PRIVATE voxgemm::voxgemm)
foreach(target voxgemm_internal voxgemm_cli voxgemm_shared)
  if(TARGET \${target})
    message(FATAL_ERROR \"\${target} must not exist in an embedding project\")
  endif()
endforeach()
")
step("configure" ${CMAKE_COMMAND} -S ${project} -B ${project}/build -G ${GENERATOR} -DCMAKE_CXX_COMPILER=${CXX})
