// Coordinate indices: for each structure the best row first.
#include <array>

#include "kernels/coord_index/rows.h"

namespace voxgemm {

std::span<const CoordIndexKernel> coord_index_kernels() {
  static constexpr std::array<CoordIndexKernel, 4> kRows{{
      {"avx2_bitmap", Isa::kAvx2, true, bitmap_avx2_insert_rows, bitmap_avx2_rank_rows,
       bitmap_avx2_insert_reached, bitmap_avx2_write_sites, bitmap_avx2_clear},
      {"scalar_bitmap", Isa::kScalar, true, bitmap_scalar_insert_rows, bitmap_scalar_rank_rows,
       bitmap_scalar_insert_reached, bitmap_scalar_write_sites, bitmap_scalar_clear},
      {"avx2_sorted_words", Isa::kAvx2, false, sorted_avx2_insert_rows, nullptr, sorted_avx2_insert_reached,
       sorted_avx2_write_sites, sorted_avx2_clear},
      {"scalar_sorted_words", Isa::kScalar, false, sorted_scalar_insert_rows, nullptr,
       sorted_scalar_insert_reached, sorted_scalar_write_sites, sorted_scalar_clear},
  }};
  return kRows;
}

}  // namespace voxgemm
