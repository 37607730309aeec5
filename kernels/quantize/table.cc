#include <array>

#include "kernels/quantize/quantize.h"

namespace voxgemm {
namespace {

constexpr auto kQuantizeKernels = std::to_array<QuantizeKernel>({
#ifdef __x86_64__
    {"avx512_quantize", Isa::kAvx512, avx512_quantize},
    {"avx2_quantize", Isa::kAvx2, avx2_quantize},
#endif
#ifdef VOXGEMM_WITH_CUDA
    {"sm80_quantize", Isa::kSm80, sm80_quantize},
#endif
    {"scalar_quantize", Isa::kScalar, scalar_quantize},
});

}  // namespace

std::span<const QuantizeKernel> quantize_kernels() { return kQuantizeKernels; }

}  // namespace voxgemm
