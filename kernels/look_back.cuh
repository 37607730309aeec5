// Decoupled look-back: running sums over tiles in one pass. Tiles are numbered by an atomic ticket, so that a
// block only ever waits for blocks that already run. A state is 2 bits of kind and 62 of sums, written and
// read whole.
#pragma once

#include <cstdint>

namespace voxgemm::device {

inline constexpr std::uint64_t kTileAggregate = std::uint64_t{1} << 62;
inline constexpr std::uint64_t kTilePrefix = std::uint64_t{2} << 62;
inline constexpr std::uint64_t kTileSums = kTileAggregate - 1;

/// One whole warp calls this with the tile's own sums; returns the sums of all tiles before it. States start
/// zero.
__device__ inline std::uint64_t sums_before(std::uint64_t* states, std::int32_t tile, std::uint64_t own,
                                            int lane) {
  constexpr std::uint32_t kAll = 0xFFFFFFFFU;
  volatile std::uint64_t* shared = states;
  if (lane == 0 && tile > 0) shared[tile] = kTileAggregate | own;
  std::uint64_t sum = 0;
  for (std::int32_t at = tile - 1; at >= 0; at -= 32) {
    const std::int32_t mine = at - lane;
    std::uint64_t state = kTilePrefix;
    if (mine >= 0) {
      do {
        state = shared[mine];
      } while (state < kTileAggregate);
    }
    const std::uint32_t done = __ballot_sync(kAll, (state & kTilePrefix) != 0);
    const int stop = done != 0 ? __ffs(static_cast<int>(done)) - 1 : 31;
    std::uint64_t part = lane <= stop ? state & kTileSums : 0;
#pragma unroll
    for (int d = 16; d > 0; d >>= 1) part += __shfl_xor_sync(kAll, part, d);
    sum += part;
    if (done != 0) break;
  }
  if (lane == 0) shared[tile] = kTilePrefix | (sum + own);
  return sum;
}

}  // namespace voxgemm::device
