// Running sums over the tiles of one kernel. Tiles are numbered by blockIdx.x; blocks start in that order, so
// that a block only ever waits for blocks that already run. Every block publishes its own sums and reads
// those of all tiles before it side by side: one round trip, where a chain of prefixes would need one for
// every 32 tiles.
#pragma once

#include <cstdint>

namespace voxgemm::device {

inline constexpr std::uint64_t kTileDone = std::uint64_t{1} << 63;  // sums fit 62 bits

/// The whole block calls this with the tile's own sums; returns the sums of all tiles before it. States start
/// zero. `warp_sums` [32] is shared memory that nobody else uses meanwhile.
__device__ inline std::uint64_t sums_before(std::uint64_t* states, std::int32_t tile, std::uint64_t own,
                                            std::uint64_t* warp_sums) {
  volatile std::uint64_t* shared = states;
  if (threadIdx.x == 0) shared[tile] = kTileDone | own;
  std::uint64_t sum = 0;
  for (std::int32_t at = static_cast<std::int32_t>(threadIdx.x); at < tile;
       at += static_cast<std::int32_t>(blockDim.x)) {
    std::uint64_t state = 0;
    do {
      state = shared[at];
    } while (state == 0);
    sum += state & (kTileDone - 1);
  }
#pragma unroll
  for (int d = 16; d > 0; d >>= 1) sum += __shfl_xor_sync(0xFFFFFFFFU, sum, d);
  if ((threadIdx.x & 31) == 0) warp_sums[threadIdx.x >> 5] = sum;
  __syncthreads();
  std::uint64_t before = 0;
  for (unsigned w = 0; w < blockDim.x / 32; ++w) before += warp_sums[w];
  return before;
}

}  // namespace voxgemm::device
