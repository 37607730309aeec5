# Installs the build tree into WORK/prefix, then moves it to WORK/moved: installed files must not know where they were.
include(${CMAKE_CURRENT_LIST_DIR}/step.cmake)
file(REMOVE_RECURSE ${WORK}/prefix ${WORK}/moved)
step("install" ${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
file(RENAME ${WORK}/prefix ${WORK}/moved)
