// Functions behind the rows of kernels/coord_index/table.cc.
#pragma once

#include "kernels/coord_index/coord_index.h"

namespace voxgemm {

InsertResult bitmap_scalar_insert_rows(const CoordIndexRef&, const std::int32_t* indices,
                                       std::int32_t n) noexcept;
void bitmap_scalar_rank_rows(const CoordIndexRef&, RowRange range) noexcept;
void bitmap_scalar_insert_reached(const CoordIndexRef&, const CoordIndexRef& from,
                                  const Relation& reach) noexcept;
void bitmap_scalar_write_sites(const CoordIndexRef&, std::int32_t* indices) noexcept;
void bitmap_scalar_clear(const CoordIndexRef&) noexcept;

InsertResult bitmap_avx2_insert_rows(const CoordIndexRef&, const std::int32_t* indices,
                                     std::int32_t n) noexcept;
void bitmap_avx2_rank_rows(const CoordIndexRef&, RowRange range) noexcept;
void bitmap_avx2_insert_reached(const CoordIndexRef&, const CoordIndexRef& from,
                                const Relation& reach) noexcept;
void bitmap_avx2_write_sites(const CoordIndexRef&, std::int32_t* indices) noexcept;
void bitmap_avx2_clear(const CoordIndexRef&) noexcept;

InsertResult sorted_scalar_insert_rows(const CoordIndexRef&, const std::int32_t* indices,
                                       std::int32_t n) noexcept;
void sorted_scalar_insert_reached(const CoordIndexRef&, const CoordIndexRef& from,
                                  const Relation& reach) noexcept;
void sorted_scalar_write_sites(const CoordIndexRef&, std::int32_t* indices) noexcept;
void sorted_scalar_clear(const CoordIndexRef&) noexcept;

InsertResult sorted_avx2_insert_rows(const CoordIndexRef&, const std::int32_t* indices,
                                     std::int32_t n) noexcept;
void sorted_avx2_insert_reached(const CoordIndexRef&, const CoordIndexRef& from,
                                const Relation& reach) noexcept;
void sorted_avx2_write_sites(const CoordIndexRef&, std::int32_t* indices) noexcept;
void sorted_avx2_clear(const CoordIndexRef&) noexcept;

}  // namespace voxgemm
