// The coordinate index contract: a set of active sites, numbered in ascending key order (the rank).
//
// Two structures, one behaviour. Both keep 64-key words of occupancy bits and, per word, the rank of its
// first site, so that  rank(key) = ranks[word] + popcount(bits below key).
//   bitmap        words addressed directly by key / 64; zero between runs, cleared by walking touched words
//   sorted words  only occupied words, ascending; for grids whose bitmap would be too large
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kernels/coord_index/relation.h"

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
  std::int64_t* ids = nullptr;          // ascending numbers of the occupied words, [capacity]
  std::int32_t* row_of_rank = nullptr;  // [capacity]; read when !state->canonical
  std::int64_t* keys_of_rows = nullptr;  // [capacity], input level of a bitmap: key of each row
  std::int32_t* directory = nullptr;     // sorted words: [kDirectorySlots + 2] first word of each slot of ids
  CoordIndexState* state = nullptr;
  std::byte* scratch = nullptr;  // sorted words: two arrays of 16-byte entries
};

/// First row that breaks the rules: out of the grid, or equal to an earlier row. -1 = none.
struct InsertResult {
  std::int32_t out_of_range_row = -1;
  std::int32_t duplicate_row = -1;
};

/// One structure.
struct CoordIndexKernel {
  std::string_view name;
  bool direct = false;  // words addressed by key / 64
  // Makes the index of rows [0, n) in any order. On a bad row the index is left empty.
  InsertResult (*insert_rows)(const CoordIndexRef&, const std::int32_t* indices, std::int32_t n) noexcept;
  // Makes the index of every site that a site of `from` reaches; `reach` maps a site of `from` (target) to
  // the sites of this index (source).
  void (*insert_reached)(const CoordIndexRef&, const CoordIndexRef& from, const Relation& reach) noexcept;
  // indices [count][1+ndim] of ranks 0, 1, ...
  void (*write_sites)(const CoordIndexRef&, std::int32_t* indices) noexcept;
  // Back to empty: a bitmap's words are zero again.
  void (*clear)(const CoordIndexRef&) noexcept;
};

const CoordIndexKernel& bitmap_index();
const CoordIndexKernel& sorted_words_index();

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

/// Word that holds `id`, or null when it is not occupied.
inline const std::uint64_t* find_word(const CoordIndexRef& index, std::int64_t id) {
  if (index.summary != nullptr) return index.words + id;
  const std::int32_t at = first_word_from(index, id);
  return at < index.state->num_words && index.ids[at] == id ? index.words + at : nullptr;
}

/// Rank of a key, or -1.
inline std::int32_t find_rank(const CoordIndexRef& index, std::int64_t key) {
  const std::uint64_t* word = find_word(index, key >> 6);
  if (word == nullptr) return -1;
  const std::uint64_t bit = std::uint64_t{1} << (key & 63);
  if ((*word & bit) == 0) return -1;
  return index.ranks[2 * (word - index.words)] + std::popcount(*word & (bit - 1));
}

/// Row of a key, or -1.
inline std::int32_t find_row(const CoordIndexRef& index, std::int64_t key) {
  const std::int32_t rank = find_rank(index, key);
  return rank < 0 || index.state->canonical != 0 ? rank : index.row_of_rank[rank];
}

/// Whether a row lies inside the grid, and its key.
inline bool key_of_row(const KeyGrid& grid, const std::int32_t* row, std::int64_t& key) {
  const auto below = [](std::int32_t value, std::int32_t limit) {
    return static_cast<std::uint32_t>(value) < static_cast<std::uint32_t>(limit);
  };
  Site site;
  const std::int32_t b = read_site(row, grid.ndim, site);
  const bool inside = below(b, grid.batch) & below(site[0], grid.extent[0]) & below(site[1], grid.extent[1]) &
                      below(site[2], grid.extent[2]) & below(site[3], grid.extent[3]);
  key = inside ? grid.key(b, site) : 0;
  return inside;
}

}  // namespace voxgemm
