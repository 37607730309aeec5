// The coordinate index contract: a set of active sites, numbered in ascending key order (the rank).
//
// Three structures, one behaviour. All keep 64-key words of occupancy bits and, per word, the rank of its
// first site, so that  rank(key) = ranks[word] + popcount(bits below key). They differ in how a word is
// found:
//   bitmap        at key / 64; zero between runs
//   ranked words  only occupied words are kept; a summary bit says whether a word is, and the summary bits
//                 before it where: places[half] + popcount(bits below), a half being 32 words
//   sorted words  only occupied words are kept, ascending, and searched; for grids of any size
//
// Bitmaps and ranked words are made slab by slab, a slab being 2^slab_shift keys. Slabs do not touch each
// other's memory, so that any number of them may be worked on at a time.
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

/// Keys of a slab, as powers of two. The largest has 64 KiB of bits, which a thread can hold aside.
inline constexpr std::int32_t kMinSlabShift = 15;
inline constexpr std::int32_t kMaxSlabShift = 19;

/// Most words of a ranked index: bytes of words are addressed by 31 bits.
inline constexpr std::int64_t kMaxRankedWords = (std::int64_t{1} << 28) - 2;

enum class IndexForm : std::uint8_t { kBitmap, kRankedWords, kSortedWords };

/// What is known of the sites after a build.
struct CoordIndexState {
  std::int64_t wanted = 0;           ///< distinct sites that an unlimited capacity would have held
  std::int32_t count = 0;            ///< sites held: the smallest `count` keys
  std::int32_t num_words = 0;        ///< sorted words: occupied words
  std::int32_t directory_shift = 0;  ///< sorted words: slot of a word id in the directory
  std::int32_t canonical = 1;        ///< rows are in ascending key order: row == rank
  std::int64_t taken_words = 0;      ///< ranked words: places given out while slabs were reached
};

/// One slab of a bitmap or of ranked words.
struct IndexSlab {
  std::int32_t first_word = 0;     ///< position in `ids`
  std::int32_t num_words = 0;      ///< occupied words
  std::int32_t first_rank = 0;     ///< sites of the slabs before; on the input level also the first entry
  std::int32_t sites = 0;          ///< sites, or entries of the input level
  std::int32_t duplicate_row = 0;  ///< first row equal to an earlier row of the slab, -1 = none
};

/// A row of the input level: its key within its slab.
struct SlabEntry {
  std::uint32_t cell = 0;
  std::int32_t row = 0;
};

/// Memory of one index; whoever calls owns it.
struct CoordIndexRef {
  KeyGrid grid{};
  IndexForm form = IndexForm::kSortedWords;
  std::int32_t capacity = 0;         // sites
  std::uint64_t* words = nullptr;    // bitmap: [keys/64 + 2]; else [capacity + 1]
  std::int32_t* ranks = nullptr;     // two for each word, one for each half; valid for occupied words only
  std::uint64_t* summary = nullptr;  // bit per word; null for sorted words
  std::int32_t* places = nullptr;    // ranked words: two for each summary word: the first word of each half
  std::int64_t* ids = nullptr;       // [capacity] numbers of the occupied words, ascending within a slab
  // Input level, written unless its rows are given in key order: one of these.
  std::int32_t* row_of_rank = nullptr;  // [capacity + 1] given row; maps read it when !state->canonical
  std::int32_t* rank_of_row = nullptr;  // [capacity] of each given row, where maps are to have ranks as rows
  SlabEntry* entries = nullptr;         // [capacity], input level of a bitmap or of ranked words
  IndexSlab* slabs = nullptr;           // [num_slabs]
  std::int32_t num_slabs = 0;
  std::int32_t slab_shift = kMinSlabShift;
  std::int32_t* directory = nullptr;  // sorted words: [kDirectorySlots + 2] first word of each slot of ids
  CoordIndexState* state = nullptr;
  std::byte* scratch = nullptr;  // sorted words: two arrays of 16-byte entries
};

/// First row that breaks the rules: out of the grid, or equal to an earlier row. -1 = none.
struct InsertResult {
  std::int32_t out_of_range_row = -1;
  std::int32_t duplicate_row = -1;
};

/// What count_rows() found in its rows.
struct RowsFound {
  std::int32_t out_of_range_row = -1;  ///< the first; later rows were not looked at
  bool ascending = true;  ///< each key above the key of the row before, be that in the range or not
};

/// What one instruction set does to an index.
///
/// Bitmap and ranked words, input level: count_rows() over ranges of rows, then whoever calls turns the
/// counts into places, split_rows() over the same ranges (unless rows ascend), number_rows() over ranges of
/// slabs. Other levels: reach() over ranges of slabs, then first_rank and (unless words were kept) first_word
/// from the counts, then number_reached() over ranges of slabs. Sorted words: insert_rows(), or
/// insert_reached() and write_sites().
struct CoordIndexSteps {
  // Adds the rows of each slab to counts [num_slabs].
  RowsFound (*count_rows)(const CoordIndexRef&, const std::int32_t* indices, RowRange rows,
                          std::int32_t* counts) noexcept;
  // Lists rows by slab: entries[next[slab]++]. All rows lie in the grid.
  void (*split_rows)(const CoordIndexRef&, const std::int32_t* indices, RowRange rows,
                     std::int32_t* next) noexcept;
  // From the rows of a slab to its words and ranks; of canonical rows `indices` are read, of others the
  // entries, which also give row_of_rank, or rank_of_row and sites [count][1+ndim] in key order.
  void (*number_rows)(const CoordIndexRef&, const std::int32_t* indices, RowRange slabs,
                      std::int32_t* sites) noexcept;
  // Occupied words and sites of the slabs that the sites of `from` reach; `reach` maps a site of `from`
  // (target) to sites of this index (source). Ranked words are kept while there is room for them.
  void (*reach)(const CoordIndexRef&, const CoordIndexRef& from, const Relation& reach,
                RowRange slabs) noexcept;
  // Ranks of the slabs' words, cut to the capacity, and their indices [count][1+ndim]. Ranked words are made
  // again at first_word when state->taken_words says that there was no room for all.
  void (*number_reached)(const CoordIndexRef&, const CoordIndexRef& from, const Relation& reach,
                         RowRange slabs, std::int32_t* indices) noexcept;
  // A bitmap's words of the slabs are zero again.
  void (*clear)(const CoordIndexRef&, RowRange slabs) noexcept;
  // Makes the index of rows [0, n) in any order. On a bad row the index is left empty.
  InsertResult (*insert_rows)(const CoordIndexRef&, const std::int32_t* indices, std::int32_t n) noexcept;
  // Makes the index of every site that a site of `from` reaches.
  void (*insert_reached)(const CoordIndexRef&, const CoordIndexRef& from, const Relation& reach) noexcept;
  // indices [count][1+ndim] of ranks 0, 1, ...
  void (*write_sites)(const CoordIndexRef&, std::int32_t* indices) noexcept;
};

/// One row of the table.
struct CoordIndexKernel {
  std::string_view name;
  Isa isa = Isa::kScalar;
  IndexForm form = IndexForm::kSortedWords;
  const CoordIndexSteps* steps = nullptr;
};

/// Best first for each structure; the last of each is scalar.
std::span<const CoordIndexKernel> coord_index_kernels();

/// Notes that the given row `row` has rank `rank`.
static inline void note_rank(const CoordIndexRef& index, std::int32_t row, std::int32_t rank) {
  if (index.rank_of_row != nullptr) {
    index.rank_of_row[row] = rank;
  } else {
    index.row_of_rank[rank] = row;
  }
}

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

/// Where ranked word `id` lies, or would: the first kept word of its half of the summary whose id is >= `id`.
static inline std::int64_t ranked_place(const CoordIndexRef& index, std::int64_t id) {
  const std::uint64_t half = index.summary[id >> 6] >> (id & 32) & 0xFFFFFFFFU;
  return index.places[id >> 5] + __builtin_popcountll(half & ((std::uint64_t{1} << (id & 31)) - 1));
}

/// Where word `id` lies, or -1 where it is known to be empty.
static inline std::int64_t word_place(const CoordIndexRef& index, std::int64_t id) {
  switch (index.form) {
    case IndexForm::kBitmap:
      return id;
    case IndexForm::kRankedWords:
      return (index.summary[id >> 6] >> (id & 63) & 1U) != 0 ? ranked_place(index, id) : -1;
    case IndexForm::kSortedWords:
      break;
  }
  const std::int32_t at = first_word_from(index, id);
  return at < index.state->num_words && index.ids[at] == id ? at : -1;
}

/// Row of a key, or -1.
static inline std::int32_t find_row(const CoordIndexRef& index, std::int64_t key) {
  const std::int64_t at = word_place(index, key >> 6);
  if (at < 0) return -1;
  const std::uint64_t word = index.words[at];
  const std::uint64_t bit = std::uint64_t{1} << (key & 63);
  if ((word & bit) == 0) return -1;
  const std::int32_t rank = index.ranks[2 * at] + __builtin_popcountll(word & (bit - 1));
  return index.state->canonical != 0 ? rank : index.row_of_rank[rank];
}

}  // namespace voxgemm
