#include <array>

#include "kernels/pair_blocks/pair_blocks.h"

namespace voxgemm {
namespace {

constexpr auto kPairBlocksKernels = std::to_array<PairBlocksKernel>({
#ifdef __x86_64__
    {"avx512_pair_blocks", Isa::kAvx512, avx512_pair_blocks},
#endif
    {"scalar_pair_blocks", Isa::kScalar, scalar_pair_blocks},
});

}  // namespace

std::span<const PairBlocksKernel> pair_blocks_kernels() { return kPairBlocksKernels; }

}  // namespace voxgemm
