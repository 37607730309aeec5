# A program asks the loader for a name of the shared library that no version with another ABI has: major.minor before
# 1.0, the major version after.
string(REGEX MATCH "^([0-9]+)\\.([0-9]+)" version ${VERSION})
set(want libvoxgemm.so.${CMAKE_MATCH_1})
if(CMAKE_MATCH_1 EQUAL 0)
  set(want libvoxgemm.so.${version})
endif()
execute_process(COMMAND ${OBJDUMP} -p ${LIBRARY} RESULT_VARIABLE code OUTPUT_VARIABLE headers)
if(NOT code EQUAL 0 OR NOT headers MATCHES "SONAME +([^ \n]+)")
  message(FATAL_ERROR "${OBJDUMP} -p tells no SONAME of ${LIBRARY}")
endif()
if(NOT CMAKE_MATCH_1 STREQUAL want)
  message(FATAL_ERROR "${LIBRARY} of version ${VERSION} has the SONAME ${CMAKE_MATCH_1}, must have ${want}")
endif()
