# A program compiled as C++17 is told what is missing, whichever public header it includes first, instead of pages
# of errors about concepts; one compiled as C++20 is not. MSVC says its language in _MSVC_LANG and by default leaves
# __cplusplus at 199711.
file(GLOB headers RELATIVE ${INCLUDE} ${INCLUDE}/voxgemm/*.h)
list(LENGTH headers count)
if(count LESS 10)
  message(FATAL_ERROR "only ${count} public headers in ${INCLUDE}")
endif()
file(MAKE_DIRECTORY ${WORK})

# compile(<header> <told> <flag>...): compiles a file of that header alone; `told`: whether the text must appear.
function(compile header told)
  file(WRITE ${WORK}/language.cc "#include \"${header}\"\n")
  execute_process(COMMAND ${CXX} ${ARGN} -fsyntax-only -I${INCLUDE} ${WORK}/language.cc RESULT_VARIABLE code
    OUTPUT_VARIABLE out ERROR_VARIABLE err)
  string(FIND "${err}" "voxgemm needs C++20" at)
  if(told AND (code EQUAL 0 OR at LESS 0))
    message(SEND_ERROR "${header} with ${ARGN} does not say that it needs C++20 (exit ${code}):\n${err}")
  elseif(NOT told AND NOT code EQUAL 0)
    message(SEND_ERROR "${header} with ${ARGN} is not complete by itself:\n${err}")
  endif()
endfunction()

foreach(header IN LISTS headers)
  compile(${header} TRUE -std=c++17)
  compile(${header} FALSE -std=c++20)
endforeach()
compile(voxgemm/types.h TRUE -std=c++20 -D_MSVC_LANG=201703L)
