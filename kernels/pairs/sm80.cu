// Pair tables by rank: one thread a target row, look-ups word by word, all maps of a network in one launch.
#include "kernels/coord_index/lookup.cuh"
#include "kernels/launch.cuh"
#include "kernels/order_chunks.h"
#include "kernels/pairs/sm80.h"
#include "kernels/pattern_key.h"

namespace voxgemm::device {
namespace {

constexpr int kThreads = 256;
constexpr std::uint32_t kAll = 0xFFFFFFFFU;

__device__ bool inside(const PairJob& job, const Site& site) {
  bool ok = site.batch >= 0 && site.batch < job.grid.batch;
#pragma unroll
  for (int a = 0; a < kAxes; ++a) ok = ok && site.at[a] >= 0 && site.at[a] < job.target_extent[a];
  return ok;
}

__device__ std::int32_t row_at(const PairJob& job, std::int32_t rank) {
  return job.row_of_rank != nullptr ? __ldg(job.row_of_rank + rank) : rank;
}

// Every lane of a warp calls this.
__device__ void count_key(const PairJob& job, std::int64_t row, bool valid, std::uint32_t mask) {
  if (job.chunk_counts == nullptr) return;
  const std::uint32_t key = valid ? pattern_key(mask) : kAll;
  const std::uint32_t peers = __match_any_sync(kAll, key);
  if (!valid || __ffs(static_cast<int>(peers)) - 1 != static_cast<int>(threadIdx.x & 31)) return;
  const std::int64_t chunk = row / kOrderChunk;
  const auto n = static_cast<std::uint32_t>(__popc(peers));
  atomicAdd(job.chunk_counts + chunk * kOrderKeys + key, n);
  atomicAdd(job.group_counts + chunk / kChunksPerGroup * kOrderKeys + key, n);
}

// Three cells of nine lines.
struct Windows {
  std::uint32_t mask = 0;  // bit 3*line + dx
  std::int32_t rank[9];    // of the first site in the line's window
};

struct NineWords {
  FoundWord line[9];
};

// Nine look-ups side by side: no load waits for a branch. words < 0 finds nothing.
__device__ NineWords find_words(const PairJob& job, const std::int32_t (&words)[9]) {
  const auto* groups = reinterpret_cast<const int4*>(job.lookup.summary);
  const auto* entries = reinterpret_cast<const int4*>(job.lookup.entries);
  int4 group[9];
#pragma unroll
  for (int l = 0; l < 9; ++l) group[l] = __ldg(groups + (max(words[l], 0) >> 6));
  std::int32_t entry[9];
#pragma unroll
  for (int l = 0; l < 9; ++l) {
    const std::int32_t at = words[l] & 63;
    const std::uint32_t half = static_cast<std::uint32_t>(at < 32 ? group[l].x : group[l].y);
    const std::uint32_t below = half & ((1U << (at & 31)) - 1U);
    const std::int32_t before =
        __popc(below) + (at < 32 ? 0 : __popc(static_cast<std::uint32_t>(group[l].x)));
    entry[l] = words[l] >= 0 && (half >> (at & 31) & 1U) != 0 ? group[l].z + before : -1;
  }
  int4 found[9];
#pragma unroll
  for (int l = 0; l < 9; ++l) found[l] = __ldg(entries + max(entry[l], 0));
  NineWords result;
#pragma unroll
  for (int l = 0; l < 9; ++l) {
    const std::uint64_t bits = static_cast<std::uint64_t>(static_cast<std::uint32_t>(found[l].y)) << 32 |
                               static_cast<std::uint32_t>(found[l].x);
    result.line[l] = {entry[l] >= 0 ? bits : 0, found[l].z};
  }
  return result;
}

__device__ Windows find_windows(const PairJob& job, const Site& site, bool ok) {
  Windows w;
  const std::int32_t a0 = source_of(job.axis[0], site.at[0], 0);
  const std::int32_t x0 = site.at[3] * job.axis[3].mul + job.axis[3].offset;
  const std::int32_t word_x = max(x0, 0) >> 6;
  const std::int32_t shift = x0 - 64 * word_x;
  const bool reach = ok && a0 >= 0 && x0 + 2 >= 0 && x0 < job.axis[3].extent;
  const std::int32_t plane = (site.batch * job.grid.extent[0] + a0) * job.grid.extent[1];
  std::int32_t words[9];
#pragma unroll
  for (int z = 0; z < 3; ++z) {
    const std::int32_t s1 = site.at[1] * job.axis[1].mul + z * job.axis[1].step + job.axis[1].offset;
    const bool z_ok = reach && s1 >= 0 && s1 < job.axis[1].extent;
#pragma unroll
    for (int y = 0; y < 3; ++y) {
      const std::int32_t s2 = site.at[2] * job.axis[2].mul + y * job.axis[2].step + job.axis[2].offset;
      words[3 * z + y] = z_ok && s2 >= 0 && s2 < job.axis[2].extent
                             ? ((plane + s1) * job.grid.extent[2] + s2) * job.grid.line_words + word_x
                             : -1;
    }
  }
  const NineWords here = find_words(job, words);
  const std::uint64_t below = shift > 0 ? (std::uint64_t{1} << shift) - 1 : 0;
#pragma unroll
  for (int l = 0; l < 9; ++l) {
    const std::uint64_t bits = here.line[l].bits;
    w.mask |= (static_cast<std::uint32_t>(shift >= 0 ? bits >> shift : bits << -shift) & 7U) << (3 * l);
    w.rank[l] = here.line[l].rank + __popcll(bits & below);
  }
  const bool cross = reach && shift > 61 && word_x + 1 < job.grid.line_words;
  if (__any_sync(kAll, cross)) {
#pragma unroll
    for (int l = 0; l < 9; ++l) words[l] = cross && words[l] >= 0 ? words[l] + 1 : -1;
    const NineWords next = find_words(job, words);
#pragma unroll
    for (int l = 0; l < 9; ++l) {
      if ((w.mask >> (3 * l) & 7U) == 0) w.rank[l] = cross ? next.line[l].rank : 0;  // ranks run on
      const std::uint64_t bits = cross ? next.line[l].bits << (64 - shift) : 0;
      w.mask |= (static_cast<std::uint32_t>(bits) & 7U) << (3 * l);
    }
  }
  return w;
}

__device__ void dense27_row(const PairJob& job, std::int64_t row, bool valid) {
  Windows w;
  if (__any_sync(kAll, valid)) {
    Site site;
    if (valid) site = read_site(job.rows, job.grid.ndim, row);
    w = find_windows(job, site, valid && inside(job, site));
  }
  count_key(job, row, valid, w.mask);
  if (!valid) return;
  std::int32_t source[27];
#pragma unroll
  for (int k = 0; k < 27; ++k) {
    const std::uint32_t before = w.mask >> (3 * (k / 3)) & ((1U << (k % 3)) - 1U);
    source[k] = (w.mask >> k & 1U) != 0 ? w.rank[k / 3] + __popc(before) : -1;
  }
  if (job.row_of_rank != nullptr) {
#pragma unroll
    for (int k = 0; k < 27; ++k) {  // every lane loads, so that no load waits for a branch
      const std::int32_t at = __ldg(job.row_of_rank + max(source[k], 0));
      source[k] = source[k] >= 0 ? at : -1;
    }
  }
#pragma unroll
  for (int k = 0; k < 27; ++k) job.pairs[k * job.stride + row] = source[k];
  if (job.mask != nullptr) job.mask[row] = w.mask;
}

// Rank of a source site, or -1. Keeps the last word looked up.
struct LineCursor {
  std::int64_t word = -1;
  FoundWord found{};

  __device__ std::int32_t rank(const PairJob& job, std::int64_t line, std::int32_t x) {
    const std::int64_t want = line * job.grid.line_words + (x >> 6);
    if (want != word) {
      word = want;
      found = find_word(job.lookup, want);
    }
    const std::int32_t bit = x & 63;
    if ((found.bits >> bit & 1) == 0) return -1;
    return found.rank + __popcll(found.bits & ((std::uint64_t{1} << bit) - 1));
  }
};

// Any kernel, stride, spacing. Loops are uniform over the warp.
__device__ void any_row(const PairJob& job, std::int64_t row, bool valid) {
  Site site;
  if (valid) site = read_site(job.rows, job.grid.ndim, row);
  const bool reach = valid && inside(job, site);
  std::int32_t k = 0;
  std::uint32_t mask = 0;
  for (std::int32_t r0 = 0; r0 < job.axis[0].kernel; ++r0) {
    const std::int32_t s0 = source_of(job.axis[0], site.at[0], r0);
    for (std::int32_t r1 = 0; r1 < job.axis[1].kernel; ++r1) {
      const std::int32_t s1 = source_of(job.axis[1], site.at[1], r1);
      for (std::int32_t r2 = 0; r2 < job.axis[2].kernel; ++r2) {
        const std::int32_t s2 = source_of(job.axis[2], site.at[2], r2);
        const bool line_ok = reach && s0 >= 0 && s1 >= 0 && s2 >= 0;
        const std::int64_t volume = static_cast<std::int64_t>(site.batch) * job.grid.extent[0] + s0;
        const std::int64_t line = (volume * job.grid.extent[1] + s1) * job.grid.extent[2] + s2;
        LineCursor cursor;
        for (std::int32_t r3 = 0; r3 < job.axis[3].kernel; ++r3, ++k) {
          const std::int32_t s3 = source_of(job.axis[3], site.at[3], r3);
          const std::int32_t rank = line_ok && s3 >= 0 ? cursor.rank(job, line, s3) : -1;
          if (valid) job.pairs[k * job.stride + row] = rank >= 0 ? row_at(job, rank) : -1;
          if (rank >= 0) mask |= 1U << (k & 31);
          if ((k & 31) == 31 || k == job.kv - 1) {
            if (job.kv == 27) count_key(job, row, valid, mask);
            if (valid && job.mask != nullptr) job.mask[row * job.mask_words + (k >> 5)] = mask;
            mask = 0;
          }
        }
      }
    }
  }
}

__global__ void __launch_bounds__(kThreads, 3) pairs_kernel(const __grid_constant__ PairArgs args) {
  __shared__ std::int32_t counts[kMaxPairJobs];
  __shared__ std::int32_t units[kMaxPairJobs];
  if (threadIdx.x < static_cast<unsigned>(args.num_jobs)) {
    const PairJob& job = args.jobs[threadIdx.x];
    counts[threadIdx.x] = min(max(*job.count, 0), job.capacity);
    units[threadIdx.x] = (counts[threadIdx.x] + kThreads - 1) / kThreads;
  }
  __syncthreads();
  std::int32_t j = 0;
  std::int32_t before = 0;
  for (std::int32_t unit = blockIdx.x;; unit += gridDim.x) {
    while (j < args.num_jobs && unit - before >= units[j]) before += units[j++];
    if (j == args.num_jobs) return;
    const PairJob& job = args.jobs[j];
    const std::int64_t row = static_cast<std::int64_t>(unit - before) * kThreads + threadIdx.x;
    const bool valid = row < counts[j];
    if (job.dense27) {
      dense27_row(job, row, valid);
    } else {
      any_row(job, row, valid);
    }
  }
}

}  // namespace

void sm80_pairs(const PairArgs& args, Exec exec) noexcept {
  std::int64_t rows = 0;
  for (std::int32_t j = 0; j < args.num_jobs; ++j) rows += args.jobs[j].capacity + kThreads - 1;
  pairs_kernel<<<grid_for(rows, kThreads, exec, 8), kThreads, 0, stream_of(exec)>>>(args);
  note_launch(exec);
}

}  // namespace voxgemm::device
