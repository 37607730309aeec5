// Sorted words: keys are sorted and merged into words of 64; memory follows the sites, not the grid. A
// directory by the top bits of a word's number keeps look-ups short.
#pragma once

#include "kernels/coord_index/reach.h"

namespace voxgemm {
namespace {

struct KeyRow {
  std::int64_t key;
  std::int32_t row;
};

struct WordBits {
  std::int64_t id;
  std::uint64_t bits;
};

// Stable radix sort by key(entry) < limit, 11 bits a pass. Returns where the result is: `data` or `other`.
template <typename T, typename Key>
T* radix_sort(T* data, T* other, std::int64_t n, std::int64_t limit, Key&& key) {
  constexpr std::int32_t kBits = 11;
  constexpr std::int64_t kMask = (1 << kBits) - 1;
  for (std::int32_t shift = 0; shift < 63 && limit >> shift > 0; shift += kBits) {
    std::int64_t place[kMask + 1] = {};
    for (std::int64_t i = 0; i < n; ++i) ++place[key(data[i]) >> shift & kMask];
    std::int64_t sum = 0;
    for (std::int64_t& p : place) {
      const std::int64_t count = p;
      p = sum;
      sum += count;
    }
    for (std::int64_t i = 0; i < n; ++i) other[place[key(data[i]) >> shift & kMask]++] = data[i];
    T* const swap = data;
    data = other;
    other = swap;
  }
  return data;
}

// Ranks and directory of words [0, count).
void number(const CoordIndexRef& index, std::int32_t count, std::int64_t dropped) {
  const std::int64_t capacity = index.capacity;
  std::int64_t total = 0;
  for (std::int32_t i = 0; i < count; ++i) {
    const std::int64_t first = total < capacity ? total : capacity;
    total += __builtin_popcountll(index.words[i]);
    if (total > capacity) index.words[i] = without_top_bits(index.words[i], total - capacity);
    set_ranks(index, i, index.words[i], static_cast<std::int32_t>(first));
  }
  index.state->wanted = total + dropped;
  index.state->count = static_cast<std::int32_t>(total < capacity ? total : capacity);
  index.state->num_words = count;
  index.state->canonical = 1;
  std::int32_t shift = 0;
  while (num_keys(index.grid) >> 6 >> shift >= kDirectorySlots) ++shift;
  index.state->directory_shift = shift;
  std::int64_t slot = 0;
  for (std::int32_t i = 0; i < count; ++i) {
    for (; slot <= index.ids[i] >> shift; ++slot) index.directory[slot] = i;
  }
  for (; slot < kDirectorySlots + 2; ++slot) index.directory[slot] = count;
}

// Collects ascending ids, equal ones merged; words without room are only counted.
class WordMerger {
 public:
  explicit WordMerger(const CoordIndexRef& index) : index_(index) {}
  void add(std::int64_t id, std::uint64_t bits) {
    if (id == last_) {
      (count_ < 0 ? spare_ : index_.words[count_ - 1]) |= bits;
      return;
    }
    last_ = id;
    flush_spare();
    if (count_ < 0 || count_ == index_.capacity) {
      full_ = full_ < 0 ? count_ : full_;
      count_ = -1;
      spare_ = bits;
      return;
    }
    index_.ids[count_] = id;
    index_.words[count_] = bits;
    ++count_;
  }
  void finish() {
    flush_spare();
    number(index_, count_ < 0 ? full_ : count_, dropped_);
  }

 private:
  void flush_spare() {
    dropped_ += __builtin_popcountll(spare_);
    spare_ = 0;
  }
  const CoordIndexRef& index_;
  std::int64_t last_ = -1;
  std::int32_t count_ = 0;   // words held, or -1 once there is no room
  std::int32_t full_ = -1;   // words held when room ran out
  std::uint64_t spare_ = 0;  // word that is only counted
  std::int64_t dropped_ = 0;
};

inline InsertResult sorted_insert_rows(const CoordIndexRef& index, const std::int32_t* indices,
                                       std::int32_t n) noexcept {
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
    pairs = radix_sort(pairs, pairs + index.capacity, valid, num_keys(index.grid),
                       [](const KeyRow& p) { return p.key; });
    for (std::int32_t i = 1; i < valid; ++i) {
      if (pairs[i].key != pairs[i - 1].key) continue;
      if (result.duplicate_row < 0 || pairs[i].row < result.duplicate_row)
        result.duplicate_row = pairs[i].row;
    }
  }
  if (result.duplicate_row >= 0) result.out_of_range_row = -1;  // the earlier row is the one reported
  if (result.out_of_range_row >= 0 || result.duplicate_row >= 0) {
    *index.state = {};
    number(index, 0, 0);
    return result;
  }
  WordMerger merger(index);
  for (std::int32_t i = 0; i < n; ++i) {
    if (!canonical) note_rank(index, pairs[i].row, i);
    merger.add(pairs[i].key >> 6, std::uint64_t{1} << (pairs[i].key & 63));
  }
  merger.finish();
  index.state->canonical = canonical ? 1 : 0;
  return result;
}

inline void sorted_insert_reached(const CoordIndexRef& index, const CoordIndexRef& from,
                                  const Relation& reach) noexcept {
  auto* words = reinterpret_cast<WordBits*>(index.scratch);
  std::int64_t n = 0;
  for_each_reached(from, reach, [&](std::int64_t key, std::uint64_t bits) {
    const std::uint64_t over = bits >> 1 >> (63 - (key & 63));
    if (bits << (key & 63) != 0) words[n++] = {key >> 6, bits << (key & 63)};
    if (over != 0) words[n++] = {(key >> 6) + 1, over};
  });
  words = radix_sort(words, words + n, n, (num_keys(index.grid) >> 6) + 1,
                     [](const WordBits& w) { return w.id; });
  WordMerger merger(index);
  for (std::int64_t i = 0; i < n; ++i) merger.add(words[i].id, words[i].bits);
  merger.finish();
}

inline void sorted_write_sites(const CoordIndexRef& index, std::int32_t* indices) noexcept {
  LineCursor line(index.grid);
  for (std::int32_t i = 0; i < index.state->num_words; ++i) {
    indices = write_word_sites(line, index.grid.ndim, index.ids[i], index.words[i], indices);
  }
}

}  // namespace
}  // namespace voxgemm
