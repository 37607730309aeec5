# voxgemm_target(<target>): what each of our targets has, said of the target: the project around us may have other
# wishes for its own, and keeps them.
function(voxgemm_target target)
  set_target_properties(${target} PROPERTIES
    CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF
    POSITION_INDEPENDENT_CODE ON  # one set of objects for the static and the shared library
    CXX_VISIBILITY_PRESET hidden CUDA_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
endfunction()
