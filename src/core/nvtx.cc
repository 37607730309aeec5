#include "core/nvtx.h"

#ifdef VOXGEMM_WITH_CUDA

#ifdef VOXGEMM_WITH_NVTX
#include <nvtx3/nvToolsExt.h>
#endif

namespace voxgemm::nvtx {

#ifdef VOXGEMM_WITH_NVTX
void push(const char* name) noexcept { nvtxRangePushA(name); }
void pop() noexcept { nvtxRangePop(); }
#else  // a toolkit without the headers
void push(const char*) noexcept {}
void pop() noexcept {}
#endif

}  // namespace voxgemm::nvtx

#endif
