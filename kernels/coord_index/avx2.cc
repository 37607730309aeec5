// Both structures with BMI and POPCNT, which every AVX2 machine has.
#include "kernels/coord_index/bitmap_body.h"
#include "kernels/coord_index/rows.h"
#include "kernels/coord_index/sorted_words_body.h"

namespace voxgemm {

InsertResult bitmap_avx2_insert_rows(const CoordIndexRef& index, const std::int32_t* indices,
                                     std::int32_t n) noexcept {
  return bitmap_insert_rows(index, indices, n);
}
void bitmap_avx2_rank_rows(const CoordIndexRef& index, RowRange range) noexcept {
  bitmap_rank_rows(index, range);
}
void bitmap_avx2_insert_reached(const CoordIndexRef& index, const CoordIndexRef& from,
                                const Relation& reach) noexcept {
  bitmap_insert_reached(index, from, reach);
}
void bitmap_avx2_write_sites(const CoordIndexRef& index, std::int32_t* indices) noexcept {
  bitmap_write_sites(index, indices);
}
void bitmap_avx2_clear(const CoordIndexRef& index) noexcept { bitmap_clear(index); }

InsertResult sorted_avx2_insert_rows(const CoordIndexRef& index, const std::int32_t* indices,
                                     std::int32_t n) noexcept {
  return sorted_insert_rows(index, indices, n);
}
void sorted_avx2_insert_reached(const CoordIndexRef& index, const CoordIndexRef& from,
                                const Relation& reach) noexcept {
  sorted_insert_reached(index, from, reach);
}
void sorted_avx2_write_sites(const CoordIndexRef& index, std::int32_t* indices) noexcept {
  sorted_write_sites(index, indices);
}
void sorted_avx2_clear(const CoordIndexRef& index) noexcept { sorted_clear(index); }

}  // namespace voxgemm
