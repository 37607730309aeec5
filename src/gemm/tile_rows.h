// How many output rows a tile of compacted pairs and a thread's least share of rows have.
#pragma once

#include <cstdint>

namespace voxgemm {

/// Rows per tile for a map whose widest reader has `c_out` channels. The accumulators of a tile live in the
/// L1 cache, so narrow layers take longer tiles: their lists per offset get longer and start up less often.
/// Wide layers take no more rows than fit there beside the weights: more tiles balance better over threads.
///   512 up to 16 channels, 256 up to 32, else 128
constexpr std::int32_t preferred_tile_rows(std::int32_t c_out) {
  return c_out <= 16 ? 512 : c_out <= 32 ? 256 : 128;
}

/// Least rows of a pair table given to a thread at a time.
inline constexpr std::int64_t kLeastShareRows = 64;

}  // namespace voxgemm
