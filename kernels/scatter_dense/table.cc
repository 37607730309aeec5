#include <array>

#include "kernels/scatter_dense/scatter_dense.h"

namespace voxgemm {
namespace {

constexpr auto kScatterDenseKernels = std::to_array<ScatterDenseKernel>({
#ifdef VOXGEMM_WITH_CUDA
    {"sm80_scatter_dense", Isa::kSm80, sm80_scatter_dense},
#endif
#ifdef __x86_64__
    {"avx512_scatter_dense", Isa::kAvx512, scalar_scatter_dense, avx512_scatter_strips,
     avx512_scatter_ordered},
#endif
    {"scalar_scatter_dense", Isa::kScalar, scalar_scatter_dense},
});

}  // namespace

std::span<const ScatterDenseKernel> scatter_dense_kernels() { return kScatterDenseKernels; }

}  // namespace voxgemm
