// Occupancy bitmap with rank on CUDA: mark, then number in one pass (decoupled look-back), no hash, no sort.
#include "kernels/coord_index/lookup.cuh"
#include "kernels/coord_index/sm80.h"
#include "kernels/launch.cuh"
#include "kernels/look_back.cuh"

namespace voxgemm::device {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr std::int64_t kMaxGroupsPerTile = kThreads;  // a thread owns a group
constexpr std::uint32_t kAll = 0xFFFFFFFFU;
constexpr std::int32_t kNoRow = 0x7FFFFFFF;
constexpr unsigned long long kFreeSlot = ~0ULL;

__device__ void mark_hashed(const HashedWords& hash, std::uint64_t word, std::uint64_t bits) {
  auto* words = reinterpret_cast<unsigned long long*>(hash.slot_word);
  const std::uint32_t mask = (1U << hash.bits) - 1U;
  for (std::uint32_t at = first_slot(word, hash.bits);; at = (at + 1) & mask) {
    unsigned long long seen = __ldcg(words + at);
    if (seen == kFreeSlot) {
      seen = atomicCAS(words + at, kFreeSlot, word);
      if (seen == kFreeSlot) {
        const std::int32_t i = atomicAdd(hash.num_words, 1);
        hash.list_slots[i] = static_cast<std::int32_t>(at);
        hash.list_keys[2 * static_cast<std::int64_t>(i)] = static_cast<std::uint32_t>(word & 0x3FFFFFFFU);
        hash.list_keys[2 * static_cast<std::int64_t>(i) + 1] = static_cast<std::uint32_t>(word >> 30);
        seen = word;
      }
    }
    if (seen == word) {
      atomicOr(reinterpret_cast<unsigned long long*>(hash.slot_bits + at),
               static_cast<unsigned long long>(bits));
      return;
    }
  }
}

__device__ void mark_word(const CoordIndex& index, std::int64_t word, std::uint64_t bits) {
  if (index.hash.slot_word != nullptr) return mark_hashed(index.hash, static_cast<std::uint64_t>(word), bits);
  auto* at = reinterpret_cast<unsigned long long*>(index.words + word);
  if (atomicOr(at, static_cast<unsigned long long>(bits)) == 0) {
    atomicOr(reinterpret_cast<unsigned long long*>(index.touched + (word >> 6)), 1ULL << (word & 63));
  }
}

// The same without waiting for an answer: fewer round trips, more atomics.
__device__ void mark_reached_bits(const CoordIndex& index, std::int64_t word, std::uint64_t bits) {
  if (index.hash.slot_word != nullptr) return mark_hashed(index.hash, static_cast<std::uint64_t>(word), bits);
  atomicOr(reinterpret_cast<unsigned long long*>(index.words + word), static_cast<unsigned long long>(bits));
  atomicOr(reinterpret_cast<unsigned long long*>(index.touched + (word >> 6)), 1ULL << (word & 63));
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

__device__ void write_row(const Grid& grid, const Site& site, std::int32_t* row) {
  if (grid.ndim == 3) {
    *reinterpret_cast<int4*>(row) = make_int4(site.batch, site.at[1], site.at[2], site.at[3]);
    return;
  }
  row[0] = site.batch;
#pragma unroll
  for (int a = 0; a < kAxes; ++a) {
    if (a >= kAxes - grid.ndim) row[1 + a - (kAxes - grid.ndim)] = site.at[a];
  }
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
    write_row(grid, site, index.indices + i * (1 + grid.ndim));
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
    if (bits != 0) mark_reached_bits(to, line * grid.line_words + x, bits);
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
        mark_reached_bits(to.index, line * to.index.grid.line_words + (t >> 6), std::uint64_t{1} << (t & 63));
    }
  }
}

struct WordPlace {
  std::int32_t batch = 0;
  std::int32_t at[3] = {0, 0, 0};
  std::int32_t word_x = 0;
};

template <typename Index>
__device__ WordPlace split_word(const Grid& grid, Index rest) {
  const auto pop = [&](std::int32_t extent) {
    const Index q = rest / static_cast<Index>(extent);
    const auto r = static_cast<std::int32_t>(rest - q * static_cast<Index>(extent));
    rest = q;
    return r;
  };
  WordPlace p;
  p.word_x = pop(grid.line_words);
  p.at[2] = pop(grid.extent[2]);
  p.at[1] = pop(grid.extent[1]);
  p.at[0] = pop(grid.extent[0]);
  p.batch = static_cast<std::int32_t>(rest);
  return p;
}

__device__ WordPlace place_of(const Grid& grid, std::uint64_t word) {
  if (word >> 32 == 0) return split_word(grid, static_cast<std::uint32_t>(word));
  return split_word(grid, word);
}

// The kernel coordinates under which a site can reach anything along one axis: one in `div` when steps are
// single.
struct Choices {
  std::int32_t step = 1;
  std::int32_t count = 1;
};

__device__ Choices choices_of(const AxisMap& axis) {
  if (axis.mul != 1 || axis.step != -1) return {1, axis.kernel};
  return {axis.div, (axis.kernel + axis.div - 1) / axis.div};
}

// Target of choice j, or -1.
__device__ std::int32_t chosen_target(const AxisMap& axis, const Choices& choices, std::int32_t at,
                                      std::int32_t j) {
  std::int32_t r = j * choices.step;
  if (choices.step > 1) {
    const std::int32_t rest = (at + axis.offset) % choices.step;
    r += rest < 0 ? rest + choices.step : rest;
  }
  return r < axis.kernel ? source_of(axis, at, r) : -1;
}

struct OuterChoices {
  Choices axis[3];
  std::int32_t total = 1;
};

__device__ OuterChoices outer_choices(const ReachedLevel& to) {
  OuterChoices outer;
#pragma unroll
  for (int a = 0; a < 3; ++a) {
    outer.axis[a] = choices_of(to.reach[a]);
    outer.total *= outer.axis[a].count;
  }
  return outer;
}

// One combination of the outer kernel coordinates for one word.
__device__ void mark_reached_word(const ReachedLevel& to, const OuterChoices& outer, const WordPlace& p,
                                  std::uint64_t bits, std::int32_t choice) {
  const std::int32_t rest = choice / outer.axis[2].count;
  const std::int32_t j2 = choice - rest * outer.axis[2].count;
  const std::int32_t j0 = rest / outer.axis[1].count;
  const std::int32_t j1 = rest - j0 * outer.axis[1].count;
  const std::int32_t t2 = chosen_target(to.reach[2], outer.axis[2], p.at[2], j2);
  const std::int32_t t1 = chosen_target(to.reach[1], outer.axis[1], p.at[1], j1);
  const std::int32_t t0 = chosen_target(to.reach[0], outer.axis[0], p.at[0], j0);
  if (t0 < 0 || t1 < 0 || t2 < 0) return;
  const std::int64_t line = line_of(to.index.grid, p.batch, t0, t1, t2);
  Reach reach;
  if (reach_line(to.reach[3], bits, p.word_x, reach)) {
    mark_line(to.index, line, reach);
  } else {
    mark_bits(to, line, bits, p.word_x);
  }
}

// Sums of a tile: 31 bits of occupied words, 31 of sites.
__device__ std::uint64_t pack(std::uint32_t words, std::uint32_t sites) {
  return static_cast<std::uint64_t>(words) << 31 | sites;
}

__device__ void expand_word(const CoordIndex& index, const WordPlace& p, std::uint64_t bits,
                            std::int32_t rank) {
  Site site;
  site.batch = p.batch;
  site.at[0] = p.at[0];
  site.at[1] = p.at[1];
  site.at[2] = p.at[2];
  for (; bits != 0; bits &= bits - 1, ++rank) {
    site.at[3] = 64 * p.word_x + __ffsll(static_cast<long long>(bits)) - 1;
    write_row(index.grid, site, index.indices + static_cast<std::int64_t>(rank) * (1 + index.grid.ndim));
  }
}

// The lowest `count` bits that are set.
__device__ std::uint64_t lowest_bits(std::uint64_t bits, std::int32_t count) {
  while (__popcll(bits) > count) bits &= ~(std::uint64_t{1} << (63 - __clzll(static_cast<long long>(bits))));
  return bits;
}

// Touched words of a tile that are worked on at once, in ascending order.
constexpr std::int32_t kListWords = 512;

struct TileShared {
  std::uint64_t bits[kListWords];
  std::uint32_t kept[2 * kMaxGroupsPerTile];  // words of each group with a site within the capacity, when cut
  std::int32_t word[kListWords];
  std::int32_t rank[kListWords];
  WordPlace place[kListWords];
  std::int32_t warp_sums[kWarps];
  std::uint64_t tile_sums[32];
};

// Sum of v over the threads before this one, and over all.
__device__ std::int32_t block_prefix(std::int32_t v, std::int32_t* warp_sums, std::int32_t& total) {
  const int lane = static_cast<int>(threadIdx.x) & 31;
  const int warp = static_cast<int>(threadIdx.x) >> 5;
  std::int32_t sum = v;
#pragma unroll
  for (int d = 1; d < 32; d <<= 1) {
    const std::int32_t other = __shfl_up_sync(kAll, sum, d);
    if (lane >= d) sum += other;
  }
  __syncthreads();  // earlier readers of warp_sums are done
  if (lane == 31) warp_sums[warp] = sum;
  __syncthreads();
  std::int32_t before = 0;
  total = 0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) {
    if (w < warp) before += warp_sums[w];
    total += warp_sums[w];
  }
  return before + sum - v;
}

// Lists the touched words number [from, from + kListWords) of the tile; this thread owns some bits of a
// group.
__device__ void list_words(TileShared& shared, std::int64_t group, std::uint64_t touched, std::int32_t offset,
                           std::int32_t from) {
  std::int32_t at = offset - from;
  for (std::uint64_t rest = touched; rest != 0 && at < kListWords; rest &= rest - 1, ++at) {
    if (at >= 0) {
      shared.word[at] = static_cast<std::int32_t>(group * 64 + __ffsll(static_cast<long long>(rest)) - 1);
    }
  }
}

// Everything about the listed words is known once the rank of the first is: `rank` is it for this thread's
// word.
__device__ void finish_word(const NumberArgs& args, TileShared& shared, std::int32_t i, std::int32_t entry,
                            std::int32_t rank, std::int64_t first_group, bool cut) {
  const CoordIndex& index = args.index;
  const std::int32_t word = shared.word[i];
  std::uint64_t bits = shared.bits[i];
  const std::int32_t sites = __popcll(bits);
  index.words[word] = 0;
  if (rank + sites > index.capacity) bits = lowest_bits(bits, max(index.capacity - rank, 0));
  shared.bits[i] = bits;
  if (bits == 0) return;
  if (cut) atomicOr(shared.kept + 2 * ((word >> 6) - first_group) + (word >> 5 & 1), 1U << (word & 31));
  index.entries[entry] = {bits, rank, word};
  if (rank + sites >= index.capacity) index.state->num_entries = entry + 1;  // the last word kept
  shared.rank[i] = rank;
  shared.place[i] = place_of(index.grid, static_cast<std::uint32_t>(word));
}

// Coordinates of the listed words' sites; four threads a word.
__device__ void expand_words(const CoordIndex& index, const TileShared& shared, std::int32_t listed) {
  for (std::int32_t item = static_cast<std::int32_t>(threadIdx.x); item < 4 * listed; item += kThreads) {
    const std::int32_t i = item >> 2;
    const std::int32_t low = 16 * (item & 3);
    const std::uint64_t bits = shared.bits[i];
    const std::int32_t before = __popcll(bits & ((std::uint64_t{1} << low) - 1));
    const std::uint64_t mine = bits & (std::uint64_t{0xFFFF} << low);
    if (mine != 0) expand_word(index, shared.place[i], mine, shared.rank[i] + before);
  }
}

__device__ void mark_reached_levels(const NumberArgs& args, const TileShared& shared, std::int32_t listed) {
  for (std::int32_t c = 0; c < args.num_reached; ++c) {
    const ReachedLevel& to = args.reached[c];
    const OuterChoices outer = outer_choices(to);
    for (std::int32_t item = static_cast<std::int32_t>(threadIdx.x); item < listed * outer.total;
         item += kThreads) {
      const std::int32_t i = item / outer.total;
      if (shared.bits[i] != 0) {
        mark_reached_word(to, outer, shared.place[i], shared.bits[i], item - i * outer.total);
      }
    }
  }
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
    number_sites_kernel(const __grid_constant__ NumberArgs args, std::int32_t per_tile, std::int32_t parts) {
  __shared__ TileShared shared;
  const CoordIndex& index = args.index;
  const auto t = static_cast<std::int32_t>(threadIdx.x);
  const auto tile = static_cast<std::int32_t>(blockIdx.x);
  const std::int64_t first_group = static_cast<std::int64_t>(tile) * per_tile;
  // A group's 64 words are shared out to `parts` threads, as many as there are.
  const std::int32_t part_bits = __ffs(parts) - 1;
  const std::int64_t group = first_group + (t >> part_bits);
  const std::int32_t part = t & (parts - 1);
  const bool owner = (t >> part_bits) < per_tile && group < index.num_groups();
  const std::uint64_t whole = owner ? index.touched[group] : 0;
  const std::int32_t width = 64 >> part_bits;
  const std::uint64_t touched =
      parts == 1 ? whole : whole & (((std::uint64_t{1} << width) - 1) << (part * width));
  if (t < per_tile) shared.kept[2 * t] = shared.kept[2 * t + 1] = 0;
  std::int32_t num_words = 0;
  const std::int32_t offset = block_prefix(__popcll(touched), shared.warp_sums, num_words);

  // Usually all words of the tile fit one list with a thread for each: their bits are read once.
  const bool single = num_words <= kThreads;
  std::int32_t sites = 0;
  for (std::int32_t from = 0; from < num_words; from += kListWords) {
    list_words(shared, group, touched, offset, from);
    __syncthreads();
    for (std::int32_t i = t; i < min(num_words - from, kListWords); i += kThreads) {
      shared.bits[i] = index.words[shared.word[i]];
      sites += __popcll(shared.bits[i]);
    }
    if (!single) __syncthreads();
  }
  std::int32_t num_sites = 0;
  const std::int32_t my_rank = block_prefix(sites, shared.warp_sums, num_sites);
  const std::uint64_t own = pack(num_words, num_sites);
  const std::uint64_t base = sums_before(index.scan_states, tile, own, shared.tile_sums);
  if (t == 0 && tile == static_cast<std::int32_t>(gridDim.x) - 1) {
    publish_counts(index, static_cast<std::int64_t>((base + own) & 0x7FFFFFFFU),
                   static_cast<std::int32_t>((base + own) >> 31));
  }
  const auto first = static_cast<std::int32_t>(base >> 31);
  auto rank = static_cast<std::int32_t>(base & 0x7FFFFFFFU);
  const bool cut = rank + num_sites > index.capacity;
  for (std::int32_t from = 0; from < num_words; from += kListWords) {
    const std::int32_t listed = min(num_words - from, kListWords);
    if (num_words > kListWords) {  // several lists: the last one stands there
      list_words(shared, group, touched, offset, from);
      __syncthreads();
      for (std::int32_t i = t; i < listed; i += kThreads) shared.bits[i] = index.words[shared.word[i]];
    }
    if (single) {
      if (t < listed) finish_word(args, shared, t, first + t, rank + my_rank, first_group, cut);
    }
    for (std::int32_t begin = 0; begin < listed && !single; begin += kThreads) {
      const std::int32_t i = begin + t;
      std::int32_t total = 0;
      const std::int32_t before =
          block_prefix(i < listed ? __popcll(shared.bits[i]) : 0, shared.warp_sums, total);
      if (i < listed) finish_word(args, shared, i, first + from + i, rank + before, first_group, cut);
      rank += total;
    }
    __syncthreads();
    mark_reached_levels(args, shared, listed);
    if (args.expand) expand_words(index, shared, listed);
    __syncthreads();
  }
  if (!owner || part != 0) return;
  const std::int64_t g = group - first_group;
  const std::uint64_t kept =
      cut ? static_cast<std::uint64_t>(shared.kept[2 * g + 1]) << 32 | shared.kept[2 * g] : whole;
  index.summary[group] = {kept, first + offset, 0};
  if (whole != 0) index.touched[group] = 0;
}

// One tile is 256 words of the sorted list; tiles past its end do nothing.
__global__ void __launch_bounds__(kThreads, 2) number_hashed_kernel(const __grid_constant__ NumberArgs args) {
  __shared__ TileShared shared;
  const CoordIndex& index = args.index;
  const HashedWords& hash = index.hash;
  const auto t = static_cast<std::int32_t>(threadIdx.x);
  const auto tile = static_cast<std::int32_t>(blockIdx.x);
  const std::int32_t num_words = *hash.num_words;
  const std::int32_t last_tile = num_words > 0 ? (num_words - 1) / kThreads : 0;
  if (tile > last_tile) return;
  const std::int32_t listed = min(num_words - tile * kThreads, kThreads);
  std::int32_t slot = 0;
  std::uint64_t bits = 0;
  if (t < listed) {
    slot = hash.list_slots[hash.order[tile * kThreads + t]];
    bits = hash.slot_bits[slot];
  }
  std::int32_t num_sites = 0;
  const std::int32_t my_rank = block_prefix(__popcll(bits), shared.warp_sums, num_sites);
  const std::uint64_t base =
      sums_before(index.scan_states, tile, static_cast<std::uint64_t>(num_sites), shared.tile_sums);
  if (t == 0 && tile == last_tile) {
    publish_counts(index, static_cast<std::int64_t>(base) + num_sites, num_words);
  }
  if (t < listed) {
    const std::int64_t rank = static_cast<std::int64_t>(base) + my_rank;
    if (rank + __popcll(bits) > index.capacity) {
      bits = rank < index.capacity ? lowest_bits(bits, static_cast<std::int32_t>(index.capacity - rank)) : 0;
      hash.slot_bits[slot] = bits;
    }
    hash.slot_rank[slot] = static_cast<std::int32_t>(rank);
    shared.bits[t] = bits;
    shared.rank[t] = static_cast<std::int32_t>(rank);
    shared.place[t] = place_of(index.grid, hash.slot_word[slot]);
  }
  __syncthreads();
  mark_reached_levels(args, shared, listed);
  if (args.expand) expand_words(index, shared, listed);
}

__global__ void __launch_bounds__(kThreads, 2)
    mark_reached_kernel(const CoordIndex from, const __grid_constant__ ReachedLevel to) {
  const HashedWords& hash = from.hash;
  const bool hashed = hash.slot_word != nullptr;
  const std::int32_t n = hashed ? *hash.num_words : from.state->num_entries;
  const OuterChoices outer = outer_choices(to);
  for (std::int32_t i = blockIdx.x * kThreads + threadIdx.x; i < n; i += gridDim.x * kThreads) {
    const std::uint64_t bits = hashed ? hash.slot_bits[hash.list_slots[i]] : from.entries[i].bits;
    if (bits == 0) continue;
    const std::uint64_t word =
        hashed ? hash.slot_word[hash.list_slots[i]] : static_cast<std::uint64_t>(from.entries[i].word);
    const WordPlace place = place_of(from.grid, word);
    for (std::int32_t j = 0; j < outer.total; ++j) mark_reached_word(to, outer, place, bits, j);
  }
}

__global__ void __launch_bounds__(kThreads)
    rank_rows_kernel(const CoordIndex index, const WordLookup lookup, StatusBlock* status) {
  const Grid& grid = index.grid;
  for (std::int32_t i = blockIdx.x * kThreads + threadIdx.x; i < index.state->count;
       i += gridDim.x * kThreads) {
    const Site site = read_site(index.indices, grid.ndim, i);
    if (!inside(grid, site)) continue;
    const std::int64_t word =
        line_of(grid, site.batch, site.at[0], site.at[1], site.at[2]) * grid.line_words + (site.at[3] >> 6);
    const FoundWord found = find_word(lookup, word);
    const std::int32_t rank =
        found.rank + __popcll(found.bits & ((std::uint64_t{1} << (site.at[3] & 63)) - 1));
    const std::int32_t earlier = atomicMin(index.row_of_rank + rank, i);
    if (earlier != kNoRow) atomicMax(&status->duplicate, kNoRow - max(earlier, i));
  }
}

}  // namespace

ScanShape scan_shape(std::int64_t num_groups, std::int32_t num_sms) {
  const std::int64_t blocks = 6LL * (num_sms > 0 ? num_sms : 1);
  std::int64_t per_tile = (num_groups + blocks - 1) / blocks;
  per_tile = per_tile < 1 ? 1 : (per_tile > kMaxGroupsPerTile ? kMaxGroupsPerTile : per_tile);
  ScanShape shape;
  shape.groups_per_tile = static_cast<std::int32_t>(per_tile);
  shape.tiles = static_cast<std::int32_t>((num_groups + per_tile - 1) / per_tile);
  while (shape.parts < 64 && 2 * shape.parts * shape.groups_per_tile <= kThreads) shape.parts *= 2;
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
      args, shape.groups_per_tile, shape.parts);
  note_launch(exec);
}

void sm80_number_hashed(const NumberArgs& args, Exec exec) noexcept {
  const std::int32_t tiles = (args.index.hash.max_words + kThreads - 1) / kThreads;
  number_hashed_kernel<<<static_cast<unsigned>(tiles > 0 ? tiles : 1), kThreads, 0, stream_of(exec)>>>(args);
  note_launch(exec);
}

void sm80_mark_reached(const CoordIndex& from, const ReachedLevel& to, Exec exec) noexcept {
  mark_reached_kernel<<<grid_for(from.capacity, kThreads, exec, 8), kThreads, 0, stream_of(exec)>>>(from, to);
  note_launch(exec);
}

void sm80_rank_rows(const CoordIndex& index, StatusBlock* status, Exec exec) noexcept {
  rank_rows_kernel<<<grid_for(index.capacity, kThreads, exec, 8), kThreads, 0, stream_of(exec)>>>(
      index, index.lookup(), status);
  note_launch(exec);
}

}  // namespace voxgemm::device
