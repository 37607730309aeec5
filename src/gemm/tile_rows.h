// How many output rows a tile of compacted pairs should have: a pure function of its readers.
#pragma once

#include <cstdint>

namespace voxgemm {

/// Rows per tile for a map whose widest reader has `c_out` channels. The accumulators of a tile live in the
/// L1 cache, so narrow layers take longer tiles: their lists per offset get longer and start up less often.
///   512 up to 16 channels, else 256
constexpr std::int32_t preferred_tile_rows(std::int32_t c_out) { return c_out <= 16 ? 512 : 256; }

}  // namespace voxgemm
