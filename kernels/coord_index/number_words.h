// Steps that both structures share once their occupied words are listed in ascending order. Portable code,
// compiled once without and once with bit instructions.
#pragma once

#include "kernels/coord_index/coord_index.h"

namespace voxgemm {
namespace {

/// Ranks of the listed words (word_at(i) = place of their storage), cut to the capacity: bits past it are
/// cleared.
template <typename WordAt>
inline void number_words(const CoordIndexRef& index, std::int32_t num_words, WordAt&& word_at) {
  const std::int64_t capacity = index.capacity;
  std::int64_t total = 0;
  for (std::int32_t i = 0; i < num_words; ++i) {
    const std::int64_t at = word_at(i);
    std::uint64_t word = index.words[at];
    const std::int32_t bits = __builtin_popcountll(word);
    if (total + bits > capacity) {  // keep the smallest keys
      std::int64_t surplus = total + bits - capacity;
      for (; surplus > 0 && word != 0; --surplus) word &= ~(std::uint64_t{1} << (63 - __builtin_clzll(word)));
      index.words[at] = word;
    }
    const auto first = static_cast<std::int32_t>(total < capacity ? total : capacity);
    index.ranks[2 * at] = first;
    index.ranks[2 * at + 1] = first + __builtin_popcount(static_cast<std::uint32_t>(word));
    total += bits;
  }
  index.state->wanted = total;
  index.state->count = static_cast<std::int32_t>(total < capacity ? total : capacity);
  index.state->num_words = num_words;
  index.state->canonical = 1;
}

/// Decodes ascending keys; divides only where a line ends.
class LineCursor {
 public:
  explicit LineCursor(const KeyGrid& grid) : grid_(grid) {}
  /// Moves to an active key's line. True when the line changed.
  bool seek(std::int64_t key) {
    if (key >= begin_ && key < end_) return false;
    const std::int64_t in_plane = key - plane_begin_;
    if (in_plane >= 0 && in_plane < plane_size_) {
      const std::uint32_t line =
          static_cast<std::uint32_t>(in_plane) / static_cast<std::uint32_t>(grid_.pitch[2]);
      site.at[2] = static_cast<std::int32_t>(line);
      begin_ = plane_begin_ + line * grid_.pitch[2];
    } else {
      site = site_of(grid_, key);
      begin_ = key - site.at[3];
      plane_begin_ = begin_ - site.at[2] * grid_.pitch[2];
      plane_size_ = grid_.pitch[1] < (std::int64_t{1} << 31) ? grid_.pitch[1] : 0;
    }
    end_ = begin_ + grid_.extent[3];
    return true;
  }
  /// Key of the line's first cell, and one past its last.
  [[nodiscard]] std::int64_t begin() const { return begin_; }
  [[nodiscard]] std::int64_t end() const { return end_; }

  Site site{};  // last axis: anything

 private:
  const KeyGrid& grid_;
  std::int64_t begin_ = 0;
  std::int64_t end_ = 0;
  std::int64_t plane_begin_ = 0;
  std::int64_t plane_size_ = 0;  // keys of the plane of the current line, 0 = unknown or beyond 32 bits
};

/// Coordinates of all sites in rank order.
template <typename WordAt>
inline void write_word_sites(const CoordIndexRef& index, std::int32_t* indices, WordAt&& word_at) {
  LineCursor line(index.grid);
  const std::int32_t ndim = index.grid.ndim;
  for (std::int32_t i = 0; i < index.state->num_words; ++i) {
    for (std::uint64_t word = index.words[word_at(i)]; word != 0; word &= word - 1) {
      const std::int64_t key = index.ids[i] * 64 + __builtin_ctzll(word);
      line.seek(key);
      line.site.at[3] = static_cast<std::int32_t>(key - line.begin());
      if (ndim == 3) {
        indices[0] = line.site.batch;
        indices[1] = line.site.at[1];
        indices[2] = line.site.at[2];
        indices[3] = line.site.at[3];
      } else {
        write_site(line.site, ndim, indices);
      }
      indices += 1 + ndim;
    }
  }
}

}  // namespace
}  // namespace voxgemm
