// The loop over tiles that all rows of the pairs table share: count the pairs of each offset, place the tile,
// write its lists. What differs is how a block of target rows is looked up: the row's own make_block, sweep,
// count_lists and emit, found through its types Lists and Block. ISA files include this.
#pragma once

#include "kernels/pairs/rows.h"

namespace voxgemm {
namespace {  // internal linkage: every ISA file keeps its own copy

/// Places tile t by the pairs counted in cursor[kv], writes where its lists start, and leaves the cursors
/// there.
inline void place_lists(const PairsArgs& a, std::int64_t t, std::int32_t* cursor) {
  const std::int32_t kv = a.problem.kv;
  std::int32_t pairs = 0;
  for (std::int32_t k = 0; k < kv; ++k) pairs += cursor[k];
  std::int32_t first = a.placer.place(a.placer.state, t, pairs);
  for (std::int32_t k = 0; k < kv; ++k) {
    const std::int32_t count = cursor[k];
    a.start[t * kv + k] = cursor[k] = first;
    first += count;
  }
}

/// `step` target rows are looked up at a time.
template <typename Lists, typename Block, typename Source>
void fill_tiles_body(const PairsArgs& a, RowRange tiles, std::int32_t step) {
  const Source source(a.source);
  const std::int32_t kv = a.problem.kv;
  Lists lists;
  Block block;
  std::int32_t cursor[kMaxPairOffsets];
  for (std::int64_t t = tiles.begin; t < tiles.end; ++t) {
    const std::int64_t begin = t * a.tile_rows;
    const std::int64_t end = begin + a.tile_rows < a.num_targets ? begin + a.tile_rows : a.num_targets;
    const auto sweep_rows = [&](std::int64_t i) {
      make_block(a, begin, i, static_cast<std::int32_t>(end - i < step ? end - i : step), block);
      sweep(a.problem.taps, source, block, lists);
    };
    for (std::int32_t k = 0; k < kv; ++k) cursor[k] = 0;
    for (std::int64_t i = begin; i < end; i += step) {
      sweep_rows(i);
      count_lists(a.problem.taps, lists, cursor);
    }
    place_lists(a, t, cursor);
    for (std::int64_t i = begin; i < end; i += step) {
      if (end - begin > step) sweep_rows(i);  // else the lists of the count still stand
      emit(a, source, lists, cursor);
    }
  }
}

}  // namespace
}  // namespace voxgemm
