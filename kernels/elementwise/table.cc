#include <array>

#include "kernels/elementwise/elementwise.h"

namespace voxgemm {
namespace {

constexpr auto kElementwiseKernels = std::to_array<ElementwiseKernel>({
#ifdef __x86_64__
    {"avx512_elementwise", Isa::kAvx512, avx512_elementwise},
    {"avx2_elementwise", Isa::kAvx2, avx2_elementwise},
#endif
#ifdef VOXGEMM_WITH_CUDA
    {"sm80_elementwise", Isa::kSm80, sm80_elementwise},
#endif
    {"scalar_elementwise", Isa::kScalar, scalar_elementwise},
});

}  // namespace

std::span<const ElementwiseKernel> elementwise_kernels() { return kElementwiseKernels; }

}  // namespace voxgemm
