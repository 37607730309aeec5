# Configures, builds and runs the consumer project against the installed tree.
include(${CMAKE_CURRENT_LIST_DIR}/step.cmake)
set(build ${WORK}/consumer_${KIND})
file(REMOVE_RECURSE ${build})
step("configure" ${CMAKE_COMMAND} -S ${CONSUMER} -B ${build} -G ${GENERATOR} -DCMAKE_PREFIX_PATH=${WORK}/moved
  -DCMAKE_CXX_COMPILER=${CXX} -DVOXGEMM_KIND=${KIND} -DCMAKE_CXX_FLAGS=${sanitize_flags})
step("build" ${CMAKE_COMMAND} --build ${build})
step("run" ${build}/consumer)
message("${step_output}")
if(NOT step_output MATCHES "dense BEV map")
  message(FATAL_ERROR "the consumer printed: ${step_output}")
endif()
