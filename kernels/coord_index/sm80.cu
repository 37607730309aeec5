// Occupancy bitmap with rank on CUDA: mark, then number in one pass (decoupled look-back), no hash, no sort.
#include "kernels/coord_index/lookup.cuh"
#include "kernels/coord_index/sm80.h"
#include "kernels/launch.cuh"
#include "kernels/look_back.cuh"

namespace voxgemm::device {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr std::uint32_t kAll = 0xFFFFFFFFU;
constexpr std::int32_t kNoRow = 0x7FFFFFFF;

__device__ void mark_word(const CoordIndex& index, std::int64_t word, std::uint64_t bits) {
  auto* at = reinterpret_cast<unsigned long long*>(index.words + word);
  const unsigned long long seen = __ldcg(at);
  if ((seen | bits) == seen) return;
  if (atomicOr(at, static_cast<unsigned long long>(bits)) == 0) {
    atomicOr(reinterpret_cast<unsigned long long*>(index.touched + (word >> 6)), 1ULL << (word & 63));
  }
}

__device__ std::int64_t line_of(const Grid& grid, std::int32_t b, std::int32_t a0, std::int32_t a1,
                                std::int32_t a2) {
  return ((static_cast<std::int64_t>(b) * grid.extent[0] + a0) * grid.extent[1] + a1) * grid.extent[2] + a2;
}

__device__ bool inside(const Grid& grid, const Site& site) {
  bool ok = site.batch >= 0 && site.batch < grid.batch;
#pragma unroll
  for (int a = 0; a < kAxes; ++a) ok = ok && site.at[a] >= 0 && site.at[a] < grid.extent[a];
  return ok;
}

__device__ Site read_row(const std::int32_t* __restrict__ rows, std::int32_t ndim, std::int64_t row) {
  Site site;
  const std::int32_t* p = rows + row * (1 + ndim);
  site.batch = p[0];
#pragma unroll
  for (int a = 0; a < kAxes; ++a) {
    if (a >= kAxes - ndim) site.at[a] = p[1 + a - (kAxes - ndim)];
  }
  return site;
}

__global__ void __launch_bounds__(kThreads) insert_rows_kernel(const InsertArgs args) {
  const CoordIndex& index = args.index;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kThreads;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  for (std::int64_t i = first; i < args.zero_words; i += stride) args.zero[i] = 0;
  const std::int32_t asked = args.device_n != nullptr ? *args.device_n : args.n;
  const std::int32_t n = min(max(asked, 0), index.capacity);
  if (first == 0) {
    *index.state = {n, 0, asked};
    if (asked > index.capacity) {
      atomicMax(reinterpret_cast<long long*>(&args.status->input_wanted), static_cast<long long>(asked));
    }
  }
  const Grid& grid = index.grid;
  const bool vector = grid.ndim == 3 && (reinterpret_cast<std::uintptr_t>(args.indices) & 15U) == 0;
  for (std::int64_t i = first; i < n; i += stride) {
    const Site site = vector ? read_site(args.indices, 3, i) : read_row(args.indices, grid.ndim, i);
    index.row_of_rank[i] = kNoRow;
    std::int32_t* copy = index.indices + i * (1 + grid.ndim);
    copy[0] = site.batch;
#pragma unroll
    for (int a = 0; a < kAxes; ++a) {
      if (a >= kAxes - grid.ndim) copy[1 + a - (kAxes - grid.ndim)] = site.at[a];
    }
    if (!inside(grid, site)) {
      atomicMax(&args.status->out_of_range, kNoRow - static_cast<std::int32_t>(i));
      continue;
    }
    const std::int64_t word =
        line_of(grid, site.batch, site.at[0], site.at[1], site.at[2]) * grid.line_words + (site.at[3] >> 6);
    mark_word(index, word, std::uint64_t{1} << (site.at[3] & 63));
  }
}

// Even bits of v, packed.
__device__ std::uint64_t even_bits(std::uint64_t v) {
  v &= 0x5555555555555555ULL;
  v = (v | v >> 1) & 0x3333333333333333ULL;
  v = (v | v >> 2) & 0x0F0F0F0F0F0F0F0FULL;
  v = (v | v >> 4) & 0x00FF00FF00FF00FFULL;
  v = (v | v >> 8) & 0x0000FFFF0000FFFFULL;
  return (v | v >> 16) & 0x00000000FFFFFFFFULL;
}

// Three consecutive target words, the middle one `middle`.
struct Reach {
  std::uint64_t bits[3] = {0, 0, 0};
  std::int32_t middle = 0;

  __device__ void add(std::uint64_t v, std::int32_t shift) {
    if (shift >= 0) {
      bits[1] |= v << shift;
      if (shift > 0) bits[2] |= v >> (64 - shift);
    } else {
      bits[1] |= v >> -shift;
      bits[0] |= v << (64 + shift);
    }
  }
};

// Cells along the innermost axis that the sites of one source word reach; false when this form does not
// apply.
__device__ bool reach_line(const AxisMap& axis, std::uint64_t bits, std::int32_t word_x, Reach& reach) {
  if (axis.mul != 1 || axis.div > 2) return false;
  const std::int32_t last = axis.offset + (axis.kernel - 1) * axis.step;
  if (max(abs(axis.offset), abs(last)) > 60) return false;
  reach.middle = axis.div == 1 ? word_x : word_x >> 1;
  for (std::int32_t r = 0; r < axis.kernel; ++r) {
    const std::int32_t c = axis.offset + r * axis.step;
    if (axis.div == 1) {
      reach.add(bits, c);
    } else {
      const std::int32_t odd = c & 1;
      reach.add(even_bits(bits >> odd), 32 * (word_x & 1) + ((odd + c) >> 1));
    }
  }
  return true;
}

__device__ void mark_line(const CoordIndex& to, std::int64_t line, const Reach& reach) {
  const Grid& grid = to.grid;
#pragma unroll
  for (int j = 0; j < 3; ++j) {
    const std::int32_t x = reach.middle + j - 1;
    if (reach.bits[j] == 0 || x < 0 || x >= grid.line_words) continue;
    std::uint64_t bits = reach.bits[j];
    const std::int32_t valid = grid.extent[3] - 64 * x;
    if (valid < 64) bits &= (std::uint64_t{1} << valid) - 1;
    if (bits != 0) mark_word(to, line * grid.line_words + x, bits);
  }
}

// Sites of a word that reach the target line one by one: any stride and spacing.
__device__ void mark_bits(const ReachedLevel& to, std::int64_t line, std::uint64_t bits,
                          std::int32_t word_x) {
  const AxisMap& axis = to.reach[3];
  for (; bits != 0; bits &= bits - 1) {
    const std::int32_t x = 64 * word_x + __ffsll(static_cast<long long>(bits)) - 1;
    for (std::int32_t r = 0; r < axis.kernel; ++r) {
      const std::int32_t t = source_of(axis, x, r);
      if (t >= 0)
        mark_word(to.index, line * to.index.grid.line_words + (t >> 6), std::uint64_t{1} << (t & 63));
    }
  }
}

struct WordPlace {
  std::int32_t batch = 0;
  std::int32_t at[3] = {0, 0, 0};
  std::int32_t word_x = 0;
};

__device__ WordPlace place_of(const Grid& grid, std::int64_t word) {
  WordPlace p;
  std::uint32_t rest = static_cast<std::uint32_t>(word);
  const auto pop = [&](std::int32_t extent) {
    const std::uint32_t q = rest / static_cast<std::uint32_t>(extent);
    const auto r = static_cast<std::int32_t>(rest - q * static_cast<std::uint32_t>(extent));
    rest = q;
    return r;
  };
  p.word_x = pop(grid.line_words);
  p.at[2] = pop(grid.extent[2]);
  p.at[1] = pop(grid.extent[1]);
  p.at[0] = pop(grid.extent[0]);
  p.batch = static_cast<std::int32_t>(rest);
  return p;
}

__device__ void mark_reached_word(const ReachedLevel& to, const WordPlace& p, std::uint64_t bits) {
  Reach reach;
  const bool whole = reach_line(to.reach[3], bits, p.word_x, reach);
  for (std::int32_t r0 = 0; r0 < to.reach[0].kernel; ++r0) {
    const std::int32_t t0 = source_of(to.reach[0], p.at[0], r0);
    if (t0 < 0) continue;
    for (std::int32_t r1 = 0; r1 < to.reach[1].kernel; ++r1) {
      const std::int32_t t1 = source_of(to.reach[1], p.at[1], r1);
      if (t1 < 0) continue;
      for (std::int32_t r2 = 0; r2 < to.reach[2].kernel; ++r2) {
        const std::int32_t t2 = source_of(to.reach[2], p.at[2], r2);
        if (t2 < 0) continue;
        const std::int64_t line = line_of(to.index.grid, p.batch, t0, t1, t2);
        if (whole) {
          mark_line(to.index, line, reach);
        } else {
          mark_bits(to, line, bits, p.word_x);
        }
      }
    }
  }
}

// Sums of a tile: 31 bits of occupied words, 31 of sites.
__device__ std::uint64_t pack(std::uint32_t words, std::uint32_t sites) {
  return static_cast<std::uint64_t>(words) << 31 | sites;
}

struct TwoWords {
  std::uint64_t bits[2] = {0, 0};
};

__device__ TwoWords load_words(const CoordIndex& index, std::int64_t group, std::uint64_t touched, int lane) {
  TwoWords w;
  if ((touched >> (2 * lane) & 3) != 0) {
    const ulonglong2 v = *(reinterpret_cast<const ulonglong2*>(index.words + group * 64) + lane);
    w.bits[0] = v.x;
    w.bits[1] = v.y;
  }
  return w;
}

__device__ std::int32_t warp_prefix(std::int32_t v, int lane) {
  std::int32_t sum = v;
#pragma unroll
  for (int d = 1; d < 32; d <<= 1) {
    const std::int32_t other = __shfl_up_sync(kAll, sum, d);
    if (lane >= d) sum += other;
  }
  return sum - v;
}

__device__ void expand_word(const CoordIndex& index, const WordPlace& p, std::uint64_t bits,
                            std::int32_t rank) {
  const Grid& grid = index.grid;
  for (; bits != 0; bits &= bits - 1, ++rank) {
    const std::int32_t x = 64 * p.word_x + __ffsll(static_cast<long long>(bits)) - 1;
    std::int32_t* row = index.indices + static_cast<std::int64_t>(rank) * (1 + grid.ndim);
    if (grid.ndim == 3) {
      *reinterpret_cast<int4*>(row) = make_int4(p.batch, p.at[1], p.at[2], x);
    } else {
      row[0] = p.batch;
#pragma unroll
      for (int a = 0; a < 3; ++a) {
        if (a >= kAxes - grid.ndim) row[1 + a - (kAxes - grid.ndim)] = p.at[a];
      }
      row[grid.ndim] = x;
    }
  }
}

// The lowest `count` bits that are set.
__device__ std::uint64_t lowest_bits(std::uint64_t bits, std::int32_t count) {
  while (__popcll(bits) > count) bits &= ~(std::uint64_t{1} << (63 - __clzll(static_cast<long long>(bits))));
  return bits;
}

// Second visit of a group: everything about its words is known now. Returns its number of sites.
__device__ std::int32_t finish_group(const NumberArgs& args, std::int64_t group, std::uint64_t touched,
                                     std::int32_t first, std::int32_t rank, int lane) {
  const CoordIndex& index = args.index;
  TwoWords w = load_words(index, group, touched, lane);
  const std::int32_t mine = __popcll(w.bits[0]) + __popcll(w.bits[1]);
  const std::int32_t before = warp_prefix(mine, lane);
  std::int32_t at = rank + before;
  std::uint32_t kept = 0;
#pragma unroll
  for (int j = 0; j < 2; ++j) {
    const int slot = 2 * lane + j;
    const std::int32_t sites = __popcll(w.bits[j]);
    if (sites == 0) continue;
    const std::int64_t word = group * 64 + slot;
    index.words[word] = 0;
    const std::uint64_t bits =
        at + sites <= index.capacity ? w.bits[j] : lowest_bits(w.bits[j], max(index.capacity - at, 0));
    if (bits != 0) {
      kept |= 1U << j;
      const std::int32_t e = first + __popcll(touched & ((std::uint64_t{1} << slot) - 1));
      index.entries[e] = {bits, at, static_cast<std::int32_t>(word)};
      if (at + sites >= index.capacity) index.state->num_entries = e + 1;  // the last word kept
      if (args.expand || args.num_reached > 0) {
        const WordPlace place = place_of(index.grid, word);
        for (std::int32_t c = 0; c < args.num_reached; ++c) mark_reached_word(args.reached[c], place, bits);
        if (args.expand) expand_word(index, place, bits, at);
      }
    }
    at += sites;
  }
  std::uint64_t occupied = static_cast<std::uint64_t>(kept) << (2 * lane);
#pragma unroll
  for (int d = 16; d > 0; d >>= 1) occupied |= __shfl_xor_sync(kAll, occupied, d);
  if (lane == 0) {
    index.summary[group] = {occupied, first, 0};
    index.touched[group] = 0;
  }
  return __shfl_sync(kAll, before + mine, 31);
}

// Input levels keep their row count: rows that are wrong have no site. When sites were dropped, the lane that
// meets the capacity counts the entries.
__device__ void publish_counts(const CoordIndex& index, std::int64_t wanted, std::int32_t entries) {
  if (wanted <= index.capacity) index.state->num_entries = entries;
  if (index.row_of_rank != nullptr) return;
  index.state->count = static_cast<std::int32_t>(min(wanted, static_cast<std::int64_t>(index.capacity)));
  index.state->wanted = wanted;
  if (wanted > index.capacity) {
    atomicMax(reinterpret_cast<long long*>(index.sticky_wanted), static_cast<long long>(wanted));
  }
}

__global__ void __launch_bounds__(kThreads, 2)
    number_sites_kernel(const __grid_constant__ NumberArgs args, std::int32_t per_tile,
                        std::int32_t num_tiles) {
  __shared__ std::uint64_t warp_counts[kWarps];
  __shared__ std::uint64_t base;
  __shared__ std::int32_t shared_tile;
  const CoordIndex& index = args.index;
  const int lane = static_cast<int>(threadIdx.x) & 31;
  const int warp = static_cast<int>(threadIdx.x) >> 5;
  if (threadIdx.x == 0) shared_tile = static_cast<std::int32_t>(atomicAdd(index.ticket, 1U));
  __syncthreads();
  const std::int32_t tile = shared_tile;
  const std::int32_t per_warp = per_tile / kWarps;  // <= 32
  const std::int64_t first_group = static_cast<std::int64_t>(tile) * per_tile + warp * per_warp;
  const std::int64_t num_groups = index.num_groups();
  const bool valid = lane < per_warp && first_group + lane < num_groups;
  const std::uint64_t my_touched = valid ? index.touched[first_group + lane] : 0;

  std::int32_t sites = 0;
#pragma unroll 4
  for (std::int32_t i = 0; i < per_warp; ++i) {
    const std::uint64_t touched = __shfl_sync(kAll, my_touched, i);
    const TwoWords w = load_words(index, first_group + i, touched, lane);
    sites += __popcll(w.bits[0]) + __popcll(w.bits[1]);
  }
  std::int32_t words = __popcll(my_touched);
#pragma unroll
  for (int d = 16; d > 0; d >>= 1) {
    sites += __shfl_xor_sync(kAll, sites, d);
    words += __shfl_xor_sync(kAll, words, d);
  }
  if (lane == 0) warp_counts[warp] = pack(words, sites);
  __syncthreads();
  if (warp == 0) {
    std::uint64_t total = 0;
    for (int w = 0; w < kWarps; ++w) total += warp_counts[w];
    const std::uint64_t before = sums_before(index.scan_states, tile, total, lane);
    if (lane == 0) {
      base = before;
      if (tile == num_tiles - 1) {
        const std::uint64_t all = before + total;
        publish_counts(index, static_cast<std::int64_t>(all & 0x7FFFFFFFU),
                       static_cast<std::int32_t>(all >> 31));
      }
    }
  }
  __syncthreads();
  std::uint64_t mine = base;
  for (int w = 0; w < warp; ++w) mine += warp_counts[w];
  auto first = static_cast<std::int32_t>(mine >> 31);
  auto rank = static_cast<std::int32_t>(mine & 0x7FFFFFFFU);
  for (std::int32_t i = 0; i < per_warp; ++i) {
    const std::int64_t group = first_group + i;
    if (group >= num_groups) break;
    const std::uint64_t touched = __shfl_sync(kAll, my_touched, i);
    if (touched == 0) {
      if (lane == 0) index.summary[group] = {0, first, 0};
      continue;
    }
    rank += finish_group(args, group, touched, first, rank, lane);
    first += __popcll(touched);
  }
}

__global__ void __launch_bounds__(kThreads, 2)
    mark_reached_kernel(const CoordIndex from, const __grid_constant__ ReachedLevel to) {
  const std::int32_t n = from.state->num_entries;
  for (std::int32_t i = blockIdx.x * kThreads + threadIdx.x; i < n; i += gridDim.x * kThreads) {
    const WordEntry entry = from.entries[i];
    mark_reached_word(to, place_of(from.grid, entry.word), entry.bits);
  }
}

__global__ void __launch_bounds__(kThreads)
    rank_rows_kernel(const CoordIndex index, StatusBlock* status, const std::int32_t* count) {
  const Grid& grid = index.grid;
  for (std::int32_t i = blockIdx.x * kThreads + threadIdx.x; i < *count; i += gridDim.x * kThreads) {
    const Site site = read_site(index.indices, grid.ndim, i);
    if (!inside(grid, site)) continue;
    const std::int64_t word =
        line_of(grid, site.batch, site.at[0], site.at[1], site.at[2]) * grid.line_words + (site.at[3] >> 6);
    const FoundWord found = find_word(index.summary, index.entries, static_cast<std::int32_t>(word));
    const std::int32_t rank =
        found.rank + __popcll(found.bits & ((std::uint64_t{1} << (site.at[3] & 63)) - 1));
    const std::int32_t earlier = atomicMin(index.row_of_rank + rank, i);
    if (earlier != kNoRow) atomicMax(&status->duplicate, kNoRow - max(earlier, i));
  }
}

}  // namespace

ScanShape scan_shape(std::int64_t num_groups, std::int32_t num_sms) {
  const std::int64_t blocks = 2LL * (num_sms > 0 ? num_sms : 1);
  std::int64_t per_warp = (num_groups + blocks * kWarps - 1) / (blocks * kWarps);
  per_warp = per_warp < 1 ? 1 : (per_warp > 32 ? 32 : per_warp);
  ScanShape shape;
  shape.groups_per_tile = static_cast<std::int32_t>(per_warp) * kWarps;
  shape.tiles = static_cast<std::int32_t>((num_groups + shape.groups_per_tile - 1) / shape.groups_per_tile);
  return shape;
}

void sm80_insert_rows(const InsertArgs& args, Exec exec) noexcept {
  const std::int64_t items = args.index.capacity > args.zero_words ? args.index.capacity : args.zero_words;
  insert_rows_kernel<<<grid_for(items, kThreads, exec, 8), kThreads, 0, stream_of(exec)>>>(args);
  note_launch(exec);
}

void sm80_number_sites(const NumberArgs& args, Exec exec) noexcept {
  const ScanShape shape = scan_shape(args.index.num_groups(), exec.num_sms);
  number_sites_kernel<<<static_cast<unsigned>(shape.tiles), kThreads, 0, stream_of(exec)>>>(
      args, shape.groups_per_tile, shape.tiles);
  note_launch(exec);
}

void sm80_mark_reached(const CoordIndex& from, const ReachedLevel& to, Exec exec) noexcept {
  mark_reached_kernel<<<grid_for(from.capacity, kThreads, exec, 8), kThreads, 0, stream_of(exec)>>>(from, to);
  note_launch(exec);
}

void sm80_rank_rows(const CoordIndex& index, StatusBlock* status, Exec exec) noexcept {
  rank_rows_kernel<<<grid_for(index.capacity, kThreads, exec, 8), kThreads, 0, stream_of(exec)>>>(
      index, status, &index.state->count);
  note_launch(exec);
}

}  // namespace voxgemm::device
