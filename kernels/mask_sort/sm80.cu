// A counting pass in two kernels: keys of each 1024 rows are counted; then every block finds where its rows
// of each key begin (keys below, plus chunks before) and places them, earlier rows first.
#include "kernels/launch.cuh"
#include "kernels/mask_sort/sm80.h"
#include "kernels/pattern_key.h"

namespace voxgemm::device {
namespace {

constexpr int kThreads = kOrderChunk;
constexpr int kWarps = kThreads / 32;
constexpr std::uint32_t kAll = 0xFFFFFFFFU;
static_assert(kOrderKeys == kThreads && kPatternKeys == kOrderKeys, "a thread owns a key");

__device__ std::uint32_t key_of(const OrderPass& pass, std::int32_t row) {
  const std::uint32_t bits =
      pass.mask[static_cast<std::int64_t>(row) * pass.mask_words + pass.word] & pass.filter;
  return pass.pattern ? pattern_key(bits) : bits >> pass.shift & (kOrderKeys - 1);
}

// Calls visit(pass, n, chunk) for the chunks of all passes that fall to this block.
template <typename Visit>
__device__ void for_each_chunk(const OrderArgs& args, Visit&& visit) {
  __shared__ std::int32_t counts[kMaxOrderPasses];
  if (threadIdx.x < static_cast<unsigned>(args.num_passes)) {
    const OrderPass& pass = args.passes[threadIdx.x];
    counts[threadIdx.x] = min(max(*pass.count, 0), pass.capacity);
  }
  __syncthreads();
  std::int32_t p = 0;
  std::int32_t before = 0;
  for (std::int32_t unit = blockIdx.x;; unit += gridDim.x) {
    for (; p < args.num_passes; ++p) {
      const std::int32_t chunks = (counts[p] + kOrderChunk - 1) / kOrderChunk;
      if (unit - before < chunks) break;
      before += chunks;
    }
    if (p == args.num_passes) return;
    visit(args.passes[p], counts[p], unit - before);
  }
}

__global__ void __launch_bounds__(kThreads) order_count_kernel(const __grid_constant__ OrderArgs args) {
  __shared__ std::uint32_t counts[kOrderKeys];
  const int t = static_cast<int>(threadIdx.x);
  for_each_chunk(args, [&](const OrderPass& pass, std::int32_t n, std::int32_t chunk) {
    counts[t] = 0;
    __syncthreads();
    const std::int32_t at = chunk * kOrderChunk + t;
    if (at < n) atomicAdd(counts + key_of(pass, pass.order_in != nullptr ? pass.order_in[at] : at), 1U);
    __syncthreads();
    pass.chunk_counts[static_cast<std::int64_t>(chunk) * kOrderKeys + t] = counts[t];
    if (counts[t] != 0) {
      atomicAdd(pass.group_counts + static_cast<std::int64_t>(chunk / kChunksPerGroup) * kOrderKeys + t,
                counts[t]);
    }
  });
}

// First place of key t's rows of this chunk.
__device__ std::uint32_t key_start(const OrderPass& pass, std::int32_t n, std::int32_t chunk, int t,
                                   std::uint32_t* warp_sums) {
  const std::int32_t group = chunk / kChunksPerGroup;
  const std::int32_t chunks = (n + kOrderChunk - 1) / kOrderChunk;
  const std::int32_t groups = (chunks + kChunksPerGroup - 1) / kChunksPerGroup;
  std::uint32_t total = 0;
  std::uint32_t before = 0;
#pragma unroll 8
  for (std::int32_t g = 0; g < groups; ++g) {
    const std::uint32_t v = pass.group_counts[static_cast<std::int64_t>(g) * kOrderKeys + t];
    total += v;
    if (g < group) before += v;
  }
#pragma unroll 8
  for (std::int32_t c = group * kChunksPerGroup; c < chunk; ++c) {
    before += pass.chunk_counts[static_cast<std::int64_t>(c) * kOrderKeys + t];
  }
  const int lane = t & 31;
  std::uint32_t sum = total;
#pragma unroll
  for (int d = 1; d < 32; d <<= 1) {
    const std::uint32_t other = __shfl_up_sync(kAll, sum, d);
    if (lane >= d) sum += other;
  }
  if (lane == 31) warp_sums[t >> 5] = sum;
  __syncthreads();
  if (t < 32) {
    std::uint32_t w = warp_sums[t];
#pragma unroll
    for (int d = 1; d < 32; d <<= 1) {
      const std::uint32_t other = __shfl_up_sync(kAll, w, d);
      if (t >= d) w += other;
    }
    warp_sums[t] = w;
  }
  __syncthreads();
  return before + sum - total + (t >= 32 ? warp_sums[(t >> 5) - 1] : 0);
}

__global__ void __launch_bounds__(kThreads) order_scatter_kernel(const __grid_constant__ OrderArgs args) {
  __shared__ std::uint32_t start[kOrderKeys];
  __shared__ std::uint32_t warp_sums[32];
  __shared__ std::uint8_t warp_counts[kWarps][kOrderKeys];
  const int t = static_cast<int>(threadIdx.x);
  const int lane = t & 31;
  const int warp = t >> 5;
  for_each_chunk(args, [&](const OrderPass& pass, std::int32_t n, std::int32_t chunk) {
    auto* zero = reinterpret_cast<std::uint32_t*>(&warp_counts[0][0]);
#pragma unroll
    for (int i = 0; i < kWarps * kOrderKeys / 4 / kThreads; ++i) zero[i * kThreads + t] = 0;
    const std::int32_t at = chunk * kOrderChunk + t;
    const bool valid = at < n;
    const std::int32_t row = valid ? (pass.order_in != nullptr ? pass.order_in[at] : at) : 0;
    const std::uint32_t key = valid ? key_of(pass, row) : kAll;
    start[t] = key_start(pass, n, chunk, t, warp_sums);
    const std::uint32_t peers = __match_any_sync(kAll, key);
    const auto earlier = static_cast<std::uint32_t>(__popc(peers & ((1U << lane) - 1U)));
    if (valid && earlier == 0) warp_counts[warp][key] = static_cast<std::uint8_t>(__popc(peers));
    __syncthreads();
    if (valid) {
      std::uint32_t place = start[key] + earlier;
#pragma unroll 8
      for (int w = 0; w < warp; ++w) place += warp_counts[w][key];
      pass.order_out[place] = row;
    }
    __syncthreads();
  });
}

unsigned blocks_for(const OrderArgs& args, const Exec& exec) {
  std::int64_t rows = 0;
  for (std::int32_t p = 0; p < args.num_passes; ++p) rows += args.passes[p].capacity + kOrderChunk - 1;
  return grid_for(rows, kOrderChunk, exec, 2);
}

}  // namespace

void sm80_order_count(const OrderArgs& args, Exec exec) noexcept {
  order_count_kernel<<<blocks_for(args, exec), kThreads, 0, stream_of(exec)>>>(args);
  note_launch(exec);
}

void sm80_order_scatter(const OrderArgs& args, Exec exec) noexcept {
  order_scatter_kernel<<<blocks_for(args, exec), kThreads, 0, stream_of(exec)>>>(args);
  note_launch(exec);
}

}  // namespace voxgemm::device
