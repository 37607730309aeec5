// Walks the lists of one tile in sub-tiles of fewer rows, for rows whose accumulators must stay in the L1
// cache.
#pragma once

#include <cstdint>

#include "kernels/implicit_gemm/implicit_gemm.h"

namespace voxgemm {
namespace {  // internal linkage: ISA files include this

/// Pairs of one offset whose output row lies in the current sub-tile.
struct PairList {
  const std::int32_t* in_rows = nullptr;
  const std::uint16_t* out_rows = nullptr;
  std::int32_t count = 0;
};

/// Positions in the kv lists of one tile. Lists are sorted by output row, so a sub-tile is a range of each.
class TileCursor {
 public:
  TileCursor(const IndicePairsView& pairs, std::int64_t tile) : tiles_(pairs.tiles), kv_(pairs.kv) {
    start_ = tiles_.start + tile * kv_;
    for (std::int32_t k = 0; k < kv_; ++k) at_[k] = start_[k];
  }

  /// Pairs of offset k with a local output row below `end_row` that no earlier take() gave. Rows must not
  /// decrease.
  PairList take(std::int32_t k, std::int32_t end_row) {
    const std::int32_t from = at_[k];
    const std::int32_t to =
        end_row >= tiles_.tile_rows ? start_[k + 1] : lower_bound(from, start_[k + 1], end_row);
    next_[k] = to;
    return {tiles_.in_rows + from, tiles_.out_rows + from, to - from};
  }
  /// Goes on to the next sub-tile: what take() gave is passed.
  void advance() {
    for (std::int32_t k = 0; k < kv_; ++k) at_[k] = next_[k];
  }

 private:
  // First position in [low, high) whose row is not below `row`; no branch depends on the rows.
  [[nodiscard]] std::int32_t lower_bound(std::int32_t low, std::int32_t high, std::int32_t row) const {
    std::int32_t count = high - low;
    while (count > 0) {
      const std::int32_t half = (count + 1) / 2;
      const std::int32_t below = tiles_.out_rows[low + half - 1] < row ? 1 : 0;
      low += half & -below;
      count -= half;
    }
    return low;
  }

  TilePairsView tiles_;
  std::int32_t kv_;
  const std::int32_t* start_;
  std::int32_t at_[kMaxKernelVolume];
  std::int32_t next_[kMaxKernelVolume];
};

}  // namespace
}  // namespace voxgemm
