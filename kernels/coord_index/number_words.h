// Steps that both structures share once their occupied words are listed in ascending order.
#pragma once

#include "kernels/coord_index/coord_index.h"

namespace voxgemm {

/// Ranks of the listed words (word_at(i) = place of their storage), cut to the capacity: bits past it are
/// cleared.
template <typename WordAt>
void number_words(const CoordIndexRef& index, std::int32_t num_words, WordAt&& word_at) {
  std::int64_t total = 0;
  for (std::int32_t i = 0; i < num_words; ++i) {
    const std::int64_t at = word_at(i);
    std::uint64_t& word = index.words[at];
    const std::int32_t bits = std::popcount(word);
    if (total + bits > index.capacity) {  // keep the smallest keys
      std::int64_t surplus = total + bits - index.capacity;
      for (; surplus > 0 && word != 0; --surplus)
        word &= ~(std::uint64_t{1} << (63 - std::countl_zero(word)));
    }
    const auto first = static_cast<std::int32_t>(total < index.capacity ? total : index.capacity);
    index.ranks[2 * at] = first;
    index.ranks[2 * at + 1] = first + std::popcount(static_cast<std::uint32_t>(word));
    total += bits;
  }
  index.state->wanted = total;
  index.state->count = static_cast<std::int32_t>(total < index.capacity ? total : index.capacity);
  index.state->num_words = num_words;
  index.state->canonical = 1;
}

/// Decodes ascending keys; divides only where a line ends.
class LineCursor {
 public:
  explicit LineCursor(const KeyGrid& grid) : grid_(grid) {}
  /// Moves to an active key's line. True when the line changed.
  bool seek(std::int64_t key) {
    if (key >= begin_ && key < begin_ + grid_.extent[kAxes - 1]) return false;
    batch = grid_.decode(key, site);
    begin_ = key - site[kAxes - 1];
    return true;
  }
  /// Key of the line's first cell, and one past its last.
  [[nodiscard]] std::int64_t begin() const { return begin_; }
  [[nodiscard]] std::int64_t end() const { return begin_ + grid_.extent[kAxes - 1]; }

  std::int32_t batch = 0;
  Site site{};  // last axis: of the key that changed the line

 private:
  const KeyGrid& grid_;
  std::int64_t begin_ = -(std::int64_t{1} << 62);  // no key is on this line
};

/// Coordinates of all sites in rank order.
template <typename WordAt>
void write_word_sites(const CoordIndexRef& index, std::int32_t* indices, WordAt&& word_at) {
  LineCursor line(index.grid);
  const std::int32_t ndim = index.grid.ndim;
  for (std::int32_t i = 0; i < index.state->num_words; ++i) {
    for (std::uint64_t word = index.words[word_at(i)]; word != 0; word &= word - 1) {
      const std::int64_t key = index.ids[i] * 64 + std::countr_zero(word);
      line.seek(key);
      line.site[kAxes - 1] = static_cast<std::int32_t>(key - line.begin());
      if (ndim == 3) {
        indices[0] = line.batch;
        indices[1] = line.site[1];
        indices[2] = line.site[2];
        indices[3] = line.site[3];
      } else {
        write_site(line.batch, line.site, ndim, indices);
      }
      indices += 1 + ndim;
    }
  }
}

}  // namespace voxgemm
