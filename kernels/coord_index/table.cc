// Coordinate indices: for each structure the best row first.
#include <array>

#include "kernels/coord_index/rows.h"

namespace voxgemm {

std::span<const CoordIndexKernel> coord_index_kernels() {
  static constexpr std::array<CoordIndexKernel, 6> kRows{{
      {"avx2_bitmap", Isa::kAvx2, IndexForm::kBitmap, &coord_index_avx2},
      {"scalar_bitmap", Isa::kScalar, IndexForm::kBitmap, &coord_index_scalar},
      {"avx2_ranked_words", Isa::kAvx2, IndexForm::kRankedWords, &coord_index_avx2},
      {"scalar_ranked_words", Isa::kScalar, IndexForm::kRankedWords, &coord_index_scalar},
      {"avx2_sorted_words", Isa::kAvx2, IndexForm::kSortedWords, &coord_index_avx2},
      {"scalar_sorted_words", Isa::kScalar, IndexForm::kSortedWords, &coord_index_scalar},
  }};
  return kRows;
}

}  // namespace voxgemm
