// The coordinate index contract: a set of active sites, numbered in ascending key order (the rank).
//
// Two structures, one behaviour. Both keep 64-key words of occupancy bits and, per word, the rank of its
// first site, so that  rank(key) = ranks[word] + popcount(bits below key).
//   bitmap        words addressed directly by key / 64; zero between runs, cleared by walking touched words
//   sorted words  only occupied words, ascending; for grids whose bitmap would be too large
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/coord_index/relation.h"
#include "kernels/kernel.h"
#include "voxgemm/types.h"

namespace voxgemm {

/// Slots of the directory of sorted words.
inline constexpr std::int64_t kDirectorySlots = std::int64_t{1} << 16;

/// What is known of the sites after a build.
struct CoordIndexState {
  std::int64_t wanted = 0;           ///< distinct sites that an unlimited capacity would have held
  std::int32_t count = 0;            ///< sites held: the smallest `count` keys
  std::int32_t num_words = 0;        ///< occupied words
  std::int32_t directory_shift = 0;  ///< sorted words: slot of a word id in the directory
  std::int32_t canonical = 1;        ///< rows are in ascending key order: row == rank
};

/// Memory of one index; whoever calls owns it.
struct CoordIndexRef {
  KeyGrid grid{};
  std::int32_t capacity = 0;            // sites
  std::uint64_t* words = nullptr;       // bitmap: [keys/64 + 2]; sorted words: [capacity]
  std::int32_t* ranks = nullptr;        // two for each word, one for each half; valid for occupied words only
  std::uint64_t* summary = nullptr;     // bitmap: bit per word
  std::int64_t* ids = nullptr;          // [capacity] ascending numbers of the occupied words
  std::int32_t* row_of_rank = nullptr;  // [capacity + 1], input level; read when !state->canonical
  std::int64_t* keys_of_rows = nullptr;  // [capacity], input level of a bitmap
  std::int32_t* directory = nullptr;     // sorted words: [kDirectorySlots + 2] first word of each slot of ids
  CoordIndexState* state = nullptr;
  std::byte* scratch = nullptr;  // sorted words: two arrays of 16-byte entries
};

/// First row that breaks the rules: out of the grid, or equal to an earlier row. -1 = none.
struct InsertResult {
  std::int32_t out_of_range_row = -1;
  std::int32_t duplicate_row = -1;
};

/// One row of the table.
struct CoordIndexKernel {
  std::string_view name;
  Isa isa = Isa::kScalar;
  bool direct = false;  // bitmap: words addressed by key / 64
  // Makes the index of rows [0, n) in any order. On a bad row the index is left empty.
  InsertResult (*insert_rows)(const CoordIndexRef&, const std::int32_t* indices, std::int32_t n) noexcept;
  // Follows insert_rows() unless state->canonical: row_of_rank of the rows of `range`. Null where it stands.
  void (*rank_rows)(const CoordIndexRef&, RowRange range) noexcept;
  // Makes the index of every site that a site of `from` reaches; `reach` maps a site of `from` (target) to
  // the sites of this index (source).
  void (*insert_reached)(const CoordIndexRef&, const CoordIndexRef& from, const Relation& reach) noexcept;
  // indices [count][1+ndim] of ranks 0, 1, ...
  void (*write_sites)(const CoordIndexRef&, std::int32_t* indices) noexcept;
  // Back to empty: a bitmap's words are zero again.
  void (*clear)(const CoordIndexRef&) noexcept;
};

/// Best first for each structure; the last of each is scalar.
std::span<const CoordIndexKernel> coord_index_kernels();

/// Position of the first occupied word whose id is >= `id` (sorted words).
static inline std::int32_t first_word_from(const CoordIndexRef& index, std::int64_t id) {
  // The directory narrows the search to the words that share the id's top bits.
  const std::int64_t slot = id >> index.state->directory_shift;
  std::int32_t lo = index.directory[slot];
  std::int32_t n = index.directory[slot + 1] - lo;
  while (n > 0) {
    const std::int32_t half = n / 2;
    const bool right = index.ids[lo + half] < id;
    lo = right ? lo + half + 1 : lo;
    n = right ? n - half - 1 : half;
  }
  return lo;
}

/// Row of a key, or -1.
static inline std::int32_t find_row(const CoordIndexRef& index, std::int64_t key) {
  std::int64_t at = key >> 6;
  if (index.summary == nullptr) {
    at = first_word_from(index, key >> 6);
    if (at == index.state->num_words || index.ids[at] != key >> 6) return -1;
  }
  const std::uint64_t word = index.words[at];
  const std::uint64_t bit = std::uint64_t{1} << (key & 63);
  if ((word & bit) == 0) return -1;
  const std::int32_t rank = index.ranks[2 * at] + __builtin_popcountll(word & (bit - 1));
  return index.state->canonical != 0 ? rank : index.row_of_rank[rank];
}

}  // namespace voxgemm
