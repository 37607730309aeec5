// Numbers marked cells in one pass (decoupled look-back), no hash, no sort; hashed words in the order of
// their sorted list. On the way it marks the levels that are made from this one.
#include "kernels/coord_index/marking.cuh"
#include "kernels/coord_index/sm80.h"
#include "kernels/launch.cuh"
#include "kernels/look_back.cuh"

namespace voxgemm::device {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr std::int64_t kMaxGroupsPerTile = kThreads;  // a thread owns a group
constexpr std::uint32_t kAll = 0xFFFFFFFFU;

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

}  // namespace voxgemm::device
