// Kernel-map rows, best first.
#include <array>

#include "kernels/pairs/rows.h"

namespace voxgemm {

std::span<const PairsKernel> pairs_kernels() {
  static constexpr std::array<PairsKernel, 1> kRows{{
      {"scalar", Isa::kScalar, pairs_scalar_rejects, pairs_scalar_count_tiles, pairs_scalar_fill_tiles,
       pairs_scalar_fill_table},
  }};
  return kRows;
}

}  // namespace voxgemm
