# add_subdirectory(voxgemm) in another project must configure without the packages of tests and tools, define
# voxgemm::voxgemm, make no tests and no install rules, and leave the parent's settings as they are: parent/ looks.
# Building it would repeat the whole library, so the compile commands are looked at instead.
include(${CMAKE_CURRENT_LIST_DIR}/step.cmake)

# expect(<file> <has|lacks> <text>...): in the compile command of a file whose path ends so.
function(expect file verb)
  if(NOT commands MATCHES "\"command\": \"([^\n]*${file})\"")
    message(FATAL_ERROR "no compile command of ${file}")
  endif()
  set(command "${CMAKE_MATCH_1}")
  foreach(text IN LISTS ARGN)
    string(FIND "${command}" "${text}" at)
    if((verb STREQUAL "has" AND at LESS 0) OR (verb STREQUAL "lacks" AND NOT at LESS 0))
      message(SEND_ERROR "not so: the command of ${file} ${verb} '${text}': ${command}")
    endif()
  endforeach()
endfunction()

foreach(shared OFF ON)
  set(build ${WORK}/embedding_${shared})
  file(REMOVE_RECURSE ${build})
  set(options -DBUILD_SHARED_LIBS=ON -DCMAKE_BUILD_TYPE=Debug -DOWN_LIBRARIES=ON)
  set(libraries -DOWN_LIBRARY)
  if(NOT shared)  # nothing of it is said: nothing may say it in the parent's place
    set(options "")
    set(libraries "")
  endif()
  step("configure" ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/parent -B ${build} -G ${GENERATOR}
    -DCMAKE_CXX_COMPILER=${CXX} -DVOXGEMM_FOLDER=${SOURCE} -DCONSUMER=${CONSUMER} ${options})
  file(GLOB_RECURSE rules ${build}/cmake_install.cmake)
  foreach(file IN LISTS rules)
    file(STRINGS ${file} lines REGEX "file\\(INSTALL")
    if(lines)
      message(SEND_ERROR "${file} installs something: ${lines}")
    endif()
  endforeach()
  file(READ ${build}/compile_commands.json commands)
  expect(/src/core/types.cc has -std=c++20 -fPIC -fvisibility=hidden -ffp-contract=off -DPARENT_FLAG -DPARENT_OPTION
    ${libraries})
  expect(/parent/parent.cc has -std=gnu++11 -fvisibility=protected)
  expect(/parent/parent.cc lacks -fPIC -fvisibility=hidden -O3 -ffp-contract /include)
  expect(/consumer/main.cc has -std=gnu++20 -fvisibility=protected /include)
  expect(/consumer/main.cc lacks -fPIC -fvisibility=hidden -O3 -ffp-contract /src)
endforeach()
