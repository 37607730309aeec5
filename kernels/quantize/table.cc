#include <array>

#include "kernels/quantize/quantize.h"

namespace voxgemm {
namespace {

constexpr auto kQuantizeKernels = std::to_array<QuantizeKernel>({
    {"scalar_quantize", Isa::kScalar, scalar_quantize},
});

}  // namespace

std::span<const QuantizeKernel> quantize_kernels() { return kQuantizeKernels; }

}  // namespace voxgemm
