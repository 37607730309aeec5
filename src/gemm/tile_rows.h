// How many output rows a tile of compacted pairs and a thread's share of rows should have: pure functions.
#pragma once

#include <algorithm>
#include <cstdint>

namespace voxgemm {

/// Rows per tile for a map whose widest reader has `c_out` channels. The accumulators of a tile live in the
/// L1 cache, so narrow layers take longer tiles: their lists per offset get longer and start up less often.
///   512 up to 16 channels, else 256
constexpr std::int32_t preferred_tile_rows(std::int32_t c_out) { return c_out <= 16 ? 512 : 256; }

/// Rows of a pair table given to a thread at a time: about 8 shares a thread, so that uneven rows balance,
/// but as many rows as a row of the table can sort by their neighbours.
///   rows / (8 * threads), at least 256, at most 1024
constexpr std::int64_t rows_per_share(std::int64_t rows, std::int32_t threads) {
  return std::clamp<std::int64_t>(rows / (std::int64_t{8} * threads), 256, 1024);
}

}  // namespace voxgemm
