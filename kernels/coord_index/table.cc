// Coordinate indices: for each structure the best row first.
#include <array>

#include "kernels/coord_index/rows.h"

namespace voxgemm {

std::span<const CoordIndexKernel> coord_index_kernels() {
  static constexpr auto kRows = std::to_array<CoordIndexKernel>({
#ifdef __x86_64__
      {"avx2_bitmap", Isa::kAvx2, IndexForm::kBitmap, &coord_index_avx2},
#endif
      {"scalar_bitmap", Isa::kScalar, IndexForm::kBitmap, &coord_index_scalar},
#ifdef __x86_64__
      {"avx2_ranked_words", Isa::kAvx2, IndexForm::kRankedWords, &coord_index_avx2},
#endif
      {"scalar_ranked_words", Isa::kScalar, IndexForm::kRankedWords, &coord_index_scalar},
#ifdef __x86_64__
      {"avx2_sorted_words", Isa::kAvx2, IndexForm::kSortedWords, &coord_index_avx2},
#endif
      {"scalar_sorted_words", Isa::kScalar, IndexForm::kSortedWords, &coord_index_scalar},
  });
  return kRows;
}

}  // namespace voxgemm
