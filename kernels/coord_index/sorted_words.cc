// Sorted words: keys are sorted and merged into words of 64; memory follows the sites, not the grid.
#include <algorithm>

#include "kernels/coord_index/number_words.h"

namespace voxgemm {
namespace {

std::int64_t* keys_of(const CoordIndexRef& index) { return reinterpret_cast<std::int64_t*>(index.scratch); }

// Ascending keys, repeats allowed -> words, cut to the capacity.
void merge_keys(const CoordIndexRef& index, const std::int64_t* keys, std::int64_t n) {
  std::int32_t count = 0;
  std::int64_t dropped = 0;
  std::int64_t last = -1;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t key = keys[i];
    if (key == last) continue;
    const bool new_word = count == 0 || index.ids[count - 1] != key >> 6;
    last = key;
    if (dropped > 0 || (new_word && count == index.capacity)) {
      ++dropped;
      continue;
    }
    if (new_word) {
      index.ids[count] = key >> 6;
      index.words[count] = 0;
      ++count;
    }
    index.words[count - 1] |= std::uint64_t{1} << (key & 63);
  }
  number_words(index, count, [](std::int32_t i) { return i; });
  index.state->wanted += dropped;
}

InsertResult insert_rows(const CoordIndexRef& index, const std::int32_t* indices, std::int32_t n) noexcept {
  struct KeyRow {
    std::int64_t key;
    std::int32_t row;
  };
  InsertResult result;
  auto* pairs = reinterpret_cast<KeyRow*>(index.scratch);
  const std::int32_t columns = 1 + index.grid.ndim;
  bool canonical = true;
  std::int32_t valid = 0;
  for (; valid < n; ++valid) {
    std::int64_t key = 0;
    if (!key_of_row(index.grid, indices + static_cast<std::int64_t>(valid) * columns, key)) {
      result.out_of_range_row = valid;
      break;
    }
    canonical = canonical && (valid == 0 || pairs[valid - 1].key < key);
    pairs[valid] = {key, valid};
  }
  if (!canonical) {
    std::sort(pairs, pairs + valid, [](const KeyRow& a, const KeyRow& b) {
      return a.key != b.key ? a.key < b.key : a.row < b.row;
    });
    for (std::int32_t i = 1; i < valid; ++i) {
      if (pairs[i].key != pairs[i - 1].key) continue;
      if (result.duplicate_row < 0 || pairs[i].row < result.duplicate_row)
        result.duplicate_row = pairs[i].row;
    }
  }
  if (result.duplicate_row >= 0) result.out_of_range_row = -1;  // the earlier row is the one reported
  if (result.out_of_range_row >= 0 || result.duplicate_row >= 0) {
    *index.state = {};
    return result;
  }
  for (std::int32_t i = 0; i < n && !canonical; ++i) index.row_of_rank[i] = pairs[i].row;
  auto* keys = reinterpret_cast<std::int64_t*>(pairs + n);
  for (std::int32_t i = 0; i < n; ++i) keys[i] = pairs[i].key;
  merge_keys(index, keys, n);
  index.state->canonical = canonical ? 1 : 0;
  return result;
}

void insert_reached(const CoordIndexRef& index, const CoordIndexRef& from, const Relation& reach) noexcept {
  auto* keys = keys_of(index);
  std::int64_t n = 0;
  Site site{};
  std::int32_t row[1 + kAxes];
  for (std::int32_t i = 0; i < from.state->num_words; ++i) {
    const std::uint64_t bits = from.words[from.summary != nullptr ? from.ids[i] : i];
    for (std::uint64_t word = bits; word != 0; word &= word - 1) {
      write_row(from.grid, from.ids[i] * 64 + std::countr_zero(word), row);
      const std::int32_t b = read_site(row, from.grid.ndim, site);
      for_each_source(reach, b, site, [&](std::int32_t, std::int64_t key) { keys[n++] = key; });
    }
  }
  std::sort(keys, keys + n);
  merge_keys(index, keys, n);
}

void write_sites(const CoordIndexRef& index, std::int32_t* indices) noexcept {
  write_word_sites(index, indices, [](std::int32_t i) { return i; });
}

void clear(const CoordIndexRef& index) noexcept { index.state->num_words = 0; }

constexpr CoordIndexKernel kSortedWords{"sorted words", false,       insert_rows,
                                        insert_reached, write_sites, clear};

}  // namespace

const CoordIndexKernel& sorted_words_index() { return kSortedWords; }

}  // namespace voxgemm
