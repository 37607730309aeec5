#include <array>

#include "kernels/scatter_dense/scatter_dense.h"

namespace voxgemm {
namespace {

constexpr auto kScatterDenseKernels = std::to_array<ScatterDenseKernel>({
    {"scalar_scatter_dense", Isa::kScalar, scalar_scatter_dense},
});

}  // namespace

std::span<const ScatterDenseKernel> scatter_dense_kernels() { return kScatterDenseKernels; }

}  // namespace voxgemm
