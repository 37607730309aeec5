// The coordinate index on CUDA: a set of active sites, numbered in ascending key order (the rank).
//
//   words      one bit per cell; every line of the innermost axis starts a new 64-bit word; zero between runs
//   touched    one bit per word that holds a site; zero between runs
//   summary    per 64 words: which are occupied, and the number of occupied words before them
//   entries    per occupied word, ascending: its bits and the rank of its first site
//
// rank(site) = entry.rank + popcount(entry.bits below the site), two dependent loads from tables that follow
// the sites and stay in cache; the large bitmap is touched only where sites are.
//
// Grids whose bitmap would be too large keep their occupied words in an open-addressing table instead, list
// them, and sort the list by word before they are numbered; everything else is the same.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernel.h"

namespace voxgemm::device {

inline constexpr int kAxes = 4;

/// One axis of "target t meets source s under kernel coordinate r": s = (t*mul + r*step + offset) / div when
/// that divides and 0 <= s < extent.
struct AxisMap {
  std::int32_t mul = 1;
  std::int32_t step = 1;
  std::int32_t offset = 0;
  std::int32_t div = 1;
  std::int32_t kernel = 1;
  std::int32_t extent = 1;  // of the source
};

/// Extents with leading ones up to four axes.
struct Grid {
  std::int32_t extent[kAxes] = {1, 1, 1, 1};
  std::int32_t batch = 1;
  std::int32_t ndim = kAxes;
  std::int32_t line_words = 1;  // ceil(extent[3] / 64)
};

/// Occupied words among 64: bit j of `bits`, and how many came before this group.
struct alignas(16) WordGroup {
  std::uint64_t bits = 0;
  std::int32_t first = 0;
  std::int32_t unused = 0;
};

/// An occupied word: its sites and the rank of the first.
struct alignas(16) WordEntry {
  std::uint64_t bits = 0;
  std::int32_t rank = 0;
  std::int32_t word = 0;
};

/// Counts of one level.
struct LevelState {
  std::int32_t count = 0;  // sites held
  std::int32_t num_entries = 0;
  std::int64_t wanted = 0;  // sites that an unlimited capacity would have held
};

/// Sticky: zero means nothing to report. Rows are kept as INT32_MAX - row, so that the first row is the
/// maximum.
struct StatusBlock {
  std::int32_t out_of_range = 0;
  std::int32_t duplicate = 0;
  std::int64_t input_wanted = 0;  // largest input count beyond the capacity
};

/// Occupied words of a grid that is too large for a bitmap. slot_word null: the grid has a bitmap.
struct HashedWords {
  std::uint64_t* slot_word = nullptr;  // [1 << bits], all ones = free
  std::uint64_t* slot_bits = nullptr;  // [1 << bits], zero when a run starts
  std::int32_t* slot_rank = nullptr;   // [1 << bits]
  std::int32_t bits = 4;
  std::int32_t max_words = 0;           // at most two thirds of the slots
  std::int32_t* num_words = nullptr;    // zero when a run starts
  std::int32_t* list_slots = nullptr;   // [max_words] in order of appearance
  std::uint32_t* list_keys = nullptr;   // [max_words][2] the words' low 30 and high bits
  const std::int32_t* order = nullptr;  // [max_words] the list in ascending order of words
};

/// What a look-up reads.
struct WordLookup {
  const WordGroup* summary = nullptr;
  const WordEntry* entries = nullptr;
  const std::uint64_t* slot_word = nullptr;
  const std::uint64_t* slot_bits = nullptr;
  const std::int32_t* slot_rank = nullptr;
  std::int32_t hash_bits = 4;
};

/// Device memory of one index.
struct CoordIndex {
  Grid grid{};
  std::int32_t capacity = 0;
  std::int64_t num_words = 0;           // batch * lines * line_words
  std::uint64_t* words = nullptr;       // [round up to 64: num_words]
  std::uint64_t* touched = nullptr;     // [num_groups]
  WordGroup* summary = nullptr;         // [num_groups]
  WordEntry* entries = nullptr;         // [capacity]
  std::int32_t* indices = nullptr;      // [capacity][1+ndim]
  std::int32_t* row_of_rank = nullptr;  // [capacity] when rows are in any order (the input), else null
  LevelState* state = nullptr;
  std::uint64_t* scan_states = nullptr;   // [scan_tiles]; zero when a scan starts
  std::int64_t* sticky_wanted = nullptr;  // largest overflowing count seen
  HashedWords hash{};

  [[nodiscard]] WordLookup lookup() const {
    return {summary, entries, hash.slot_word, hash.slot_bits, hash.slot_rank, hash.bits};
  }
  [[nodiscard]] constexpr std::int64_t num_groups() const { return (num_words + 63) / 64; }
};

/// A level made from the one being numbered: `reach` maps its sites to those of `index`.
struct ReachedLevel {
  CoordIndex index{};
  AxisMap reach[kAxes] = {};
};

inline constexpr int kMaxReached = 4;  // levels that number_sites() marks on the way

struct InsertArgs {
  CoordIndex index{};
  const std::int32_t* indices = nullptr;  // [n][1+ndim], any order
  std::int32_t n = 0;
  const std::int32_t* device_n = nullptr;  // overrides n
  StatusBlock* status = nullptr;
  std::uint64_t* zero = nullptr;  // scan states and tickets of all levels
  std::int64_t zero_words = 0;
  const std::uint64_t* stamp = nullptr;  // another value than this: the workspace was not prepared
  std::uint64_t expected_stamp = 0;
  std::uint64_t* persistent = nullptr;  // what prepare() zeroes
  std::int64_t persistent_words = 0;
};

struct NumberArgs {
  CoordIndex index{};
  bool expand = true;  // write indices
  std::int32_t num_reached = 0;
  ReachedLevel reached[kMaxReached] = {};
};

/// Groups of words that one block of number_sites() handles, and the number of such tiles.
struct ScanShape {
  std::int32_t groups_per_tile = 8;
  std::int32_t tiles = 1;
  std::int32_t parts = 1;  // threads that share the 64 words of a group
};
ScanShape scan_shape(std::int64_t num_groups, std::int32_t num_sms);

/// *at = stamp, as a kernel: may be captured, whatever the host's memory does later.
void sm80_write_stamp(std::uint64_t* at, std::uint64_t stamp, Exec) noexcept;
/// Marks the rows' cells, copies the rows to index.indices, writes state->count, reports bad coordinates; a
/// row out of range marks nothing. In a workspace that was not prepared the frame has no rows, and all that
/// later kernels expect to find zero is made so: they must end, and stay inside their memory.
void sm80_insert_rows(const InsertArgs&, Exec) noexcept;
/// Numbers the marked cells: summary, entries, state, indices in rank order; keeps the `capacity` smallest
/// keys; clears words and touched; marks the cells of the reached levels.
void sm80_number_sites(const NumberArgs&, Exec) noexcept;
/// The same for hashed words: sort the list into hash.order before. Words are reset by the next run.
void sm80_number_hashed(const NumberArgs&, Exec) noexcept;
/// Marks the cells of one reached level from a numbered one.
void sm80_mark_reached(const CoordIndex& from, const ReachedLevel& to, Exec) noexcept;
/// Fills row_of_rank of the input level and reports duplicates (the smallest row that repeats an earlier
/// one).
void sm80_rank_rows(const CoordIndex& index, StatusBlock* status, Exec) noexcept;

}  // namespace voxgemm::device
