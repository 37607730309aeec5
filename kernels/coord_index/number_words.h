// Steps that both structures share once their occupied words are listed in ascending order.
#pragma once

#include "kernels/coord_index/coord_index.h"

namespace voxgemm {

/// Ranks of the listed words (word_at(i) = its storage), cut to the capacity: bits past it are cleared.
template <typename WordAt>
void number_words(const CoordIndexRef& index, std::int32_t num_words, WordAt&& word_at) {
  std::int64_t total = 0;
  for (std::int32_t i = 0; i < num_words; ++i) {
    const std::int64_t at = word_at(i);
    std::uint64_t& word = index.words[at];
    const std::int32_t bits = std::popcount(word);
    index.ranks[at] = static_cast<std::int32_t>(total < index.capacity ? total : index.capacity);
    total += bits;
    if (total > index.capacity) {  // keep the smallest keys
      std::int64_t surplus = total - index.capacity;
      for (; surplus > 0 && word != 0; --surplus)
        word &= ~(std::uint64_t{1} << (63 - std::countl_zero(word)));
    }
  }
  index.state->wanted = total;
  index.state->count = static_cast<std::int32_t>(total < index.capacity ? total : index.capacity);
  index.state->num_words = num_words;
  index.state->canonical = 1;
}

/// Coordinates of all sites in rank order.
template <typename WordAt>
void write_word_sites(const CoordIndexRef& index, std::int32_t* indices, WordAt&& word_at) {
  const std::int32_t columns = 1 + index.grid.ndim;
  for (std::int32_t i = 0; i < index.state->num_words; ++i) {
    for (std::uint64_t word = index.words[word_at(i)]; word != 0; word &= word - 1) {
      write_row(index.grid, index.ids[i] * 64 + std::countr_zero(word), indices);
      indices += columns;
    }
  }
}

/// row_of_rank for rows in any order.
inline void write_row_of_rank(const CoordIndexRef& index, const std::int32_t* indices, std::int32_t n) {
  const std::int32_t columns = 1 + index.grid.ndim;
  for (std::int32_t i = 0; i < n; ++i) {
    std::int64_t key = 0;
    key_of_row(index.grid, indices + static_cast<std::int64_t>(i) * columns, key);
    index.row_of_rank[find_rank(index, key)] = i;
  }
}

}  // namespace voxgemm
