#include <array>

#include "kernels/pooling/pooling.h"

namespace voxgemm {
namespace {

constexpr auto kPoolingKernels = std::to_array<PoolingKernel>({
#ifdef __x86_64__
    {"avx512_pooling", Isa::kAvx512, avx512_pooling},
#endif
#ifdef VOXGEMM_WITH_CUDA
    {"sm80_pooling", Isa::kSm80, sm80_pooling},
#endif
    {"scalar_pooling", Isa::kScalar, scalar_pooling},
});

constexpr auto kGlobalPoolKernels = std::to_array<GlobalPoolKernel>({
#ifdef VOXGEMM_WITH_CUDA
    {"sm80_global_pool", Isa::kSm80, sm80_global_pool},
#endif
    {"scalar_global_pool", Isa::kScalar, scalar_global_pool},
});

}  // namespace

std::span<const PoolingKernel> pooling_kernels() { return kPoolingKernels; }
std::span<const GlobalPoolKernel> global_pool_kernels() { return kGlobalPoolKernels; }

}  // namespace voxgemm
