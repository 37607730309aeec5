// The truth of kernel maps: each offset of each target is looked up by itself.
#include <algorithm>

#include "kernels/pairs/fill_tiles.h"
#include "kernels/pairs/rows.h"

namespace voxgemm {
namespace {

// Calls visit(k, source row) for the pairs of one target, k ascending.
template <typename Visit>
void for_each_pair(const PairsArgs& a, std::int64_t target, Visit&& visit) {
  const Relation& rel = a.problem.relation;
  const AxisRelation* axis = rel.axis;
  const std::int32_t ndim = a.problem.target_ndim;
  const Site t = read_site(a.targets + target * (1 + ndim), ndim);
  Site s;
  s.batch = t.batch;
  std::int32_t k = 0;
  for (std::int32_t r0 = 0; r0 < axis[0].kernel; ++r0) {
    s.at[0] = source_of(axis[0], t.at[0], r0);
    for (std::int32_t r1 = 0; r1 < axis[1].kernel; ++r1) {
      s.at[1] = source_of(axis[1], t.at[1], r1);
      for (std::int32_t r2 = 0; r2 < axis[2].kernel; ++r2) {
        s.at[2] = source_of(axis[2], t.at[2], r2);
        for (std::int32_t r3 = 0; r3 < axis[3].kernel; ++r3, ++k) {
          s.at[3] = source_of(axis[3], t.at[3], r3);
          if (s.at[0] < 0 || s.at[1] < 0 || s.at[2] < 0 || s.at[3] < 0) continue;
          const std::int32_t row = find_row(a.source, key_of(rel.source, s));
          if (row >= 0) visit(k, row);
        }
      }
    }
  }
}

}  // namespace

void pairs_scalar_fill_tiles(const PairsArgs& a, RowRange tiles) noexcept {
  const std::int64_t kv = a.problem.kv;
  std::int32_t cursor[kMaxPairOffsets];
  for (std::int64_t t = tiles.begin; t < tiles.end; ++t) {
    const std::int64_t begin = t * a.tile_rows;
    const std::int64_t end = std::min<std::int64_t>(begin + a.tile_rows, a.num_targets);
    std::fill_n(cursor, kv, 0);
    for (std::int64_t i = begin; i < end; ++i) {
      for_each_pair(a, i, [&](std::int32_t k, std::int32_t) { ++cursor[k]; });
    }
    place_lists(a, t, cursor);
    for (std::int64_t i = begin; i < end; ++i) {
      for_each_pair(a, i, [&](std::int32_t k, std::int32_t row) {
        a.in_rows[cursor[k]] = row;
        a.out_rows[cursor[k]] = static_cast<std::uint16_t>(i - begin);
        ++cursor[k];
      });
    }
  }
}

void pairs_scalar_fill_table(const PairsArgs& a, RowRange targets) noexcept {
  const std::int32_t kv = a.problem.kv;
  const std::int32_t words = (kv + 31) / 32;
  for (std::int32_t k = 0; k < kv; ++k) {
    std::fill(a.table + k * a.table_stride + targets.begin, a.table + k * a.table_stride + targets.end, -1);
  }
  for (std::int64_t i = targets.begin; i < targets.end; ++i) {
    if (a.mask != nullptr) std::fill_n(a.mask + i * words, words, 0U);
    for_each_pair(a, i, [&](std::int32_t k, std::int32_t row) {
      a.table[k * a.table_stride + i] = row;
      if (a.mask != nullptr) a.mask[i * words + k / 32] |= 1U << (k % 32);
    });
  }
}

}  // namespace voxgemm
