# cmake -DFUNCTIONS=<VoxgemmCudaArchs.cmake> [-DNVCC=<nvcc>] -P cuda_archs.cmake
# The default list of CUDA architectures follows the version of nvcc: none that it does not know, 75 and 110 where it
# knows them, an error for versions without C++20. With a real nvcc: it knows all that its own version is given.
cmake_minimum_required(VERSION 3.22)
include(${FUNCTIONS})

if(DEFINED REFUSED)  # this script again, below: must end here
  voxgemm_known_cuda_archs("${REFUSED}" archs)
  return()
endif()
function(expect version want)
  voxgemm_known_cuda_archs(${version} archs)
  if(NOT archs STREQUAL want)
    message(SEND_ERROR "nvcc ${version}: ${archs}, must be ${want}")
  endif()
endfunction()
expect(12.0.76 "75;80;86;87;89;90a")
expect(12.2.140 "75;80;86;87;89;90a")
expect(12.8.61 "75;80;86;87;89;90a;100;120")
expect(12.9.86 "75;80;86;87;89;90a;100;120")
expect(13.0.88 "75;80;86;87;89;90a;100;110;120")
expect(13.1 "75;80;86;87;89;90a;100;110;120")

foreach(case "11.8.89|nvcc 11.8.89 has no C.+20" "|no version of nvcc")
  string(REGEX MATCH "^([^|]*)\\|(.*)$" case "${case}")
  set(text "${CMAKE_MATCH_2}")
  execute_process(COMMAND ${CMAKE_COMMAND} -DFUNCTIONS=${FUNCTIONS} -DREFUSED=${CMAKE_MATCH_1}
    -P ${CMAKE_CURRENT_LIST_FILE} RESULT_VARIABLE code ERROR_VARIABLE error OUTPUT_QUIET)
  if(code EQUAL 0 OR NOT error MATCHES "${text}")
    message(SEND_ERROR "ended with ${code}, must be refused with '${text}': ${error}")
  endif()
endforeach()

if(NVCC)
  execute_process(COMMAND ${NVCC} --version OUTPUT_VARIABLE text)
  execute_process(COMMAND ${NVCC} --list-gpu-code OUTPUT_VARIABLE codes)
  if(NOT text MATCHES "V([0-9.]+)")
    message(FATAL_ERROR "${NVCC} --version tells no version: ${text}")
  endif()
  voxgemm_known_cuda_archs(${CMAKE_MATCH_1} archs)
  foreach(arch IN LISTS archs)
    string(REGEX REPLACE "a$" "" plain ${arch})  # the list of nvcc has no variants
    if(NOT "\n${codes}\n" MATCHES "\nsm_${plain}\n")
      message(SEND_ERROR "${NVCC} does not know sm_${plain}: ${codes}")
    endif()
  endforeach()
endif()
