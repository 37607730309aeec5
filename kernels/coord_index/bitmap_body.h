// Occupancy bitmap with rank: one bit per cell, a summary bit per word, ranks for touched words only.
// Portable code, compiled once without and once with bit instructions.
#pragma once

#include "kernels/coord_index/reach.h"

namespace voxgemm {
namespace {

void mark_word(const CoordIndexRef& index, std::int64_t id) {
  index.summary[id >> 6] |= std::uint64_t{1} << (id & 63);
}

// Lists touched words in ascending order and clears the summary. Words beyond the capacity are emptied;
// returns the sites that they held.
std::int64_t list_words(const CoordIndexRef& index) {
  const std::int64_t summary_words = ((num_keys(index.grid) + 63) / 64 + 63) / 64;
  std::int32_t count = 0;
  std::int64_t dropped = 0;
  for (std::int64_t s = 0; s < summary_words; ++s) {
    if (index.summary[s] == 0) continue;
    for (std::uint64_t bits = index.summary[s]; bits != 0; bits &= bits - 1) {
      const std::int64_t id = s * 64 + __builtin_ctzll(bits);
      if (count < index.capacity) {
        index.ids[count++] = id;
      } else {  // every listed word holds a site: no room for even one of this word
        dropped += __builtin_popcountll(index.words[id]);
        index.words[id] = 0;
      }
    }
    index.summary[s] = 0;
  }
  index.state->num_words = count;
  return dropped;
}

void number(const CoordIndexRef& index) {
  const std::int64_t dropped = list_words(index);
  number_words(index, index.state->num_words, [&](std::int32_t i) { return index.ids[i]; });
  index.state->wanted += dropped;
}

inline void bitmap_clear(const CoordIndexRef& index) {
  for (std::int32_t i = 0; i < index.state->num_words; ++i) index.words[index.ids[i]] = 0;
  index.state->num_words = 0;
}

// Sets the bits of rows [0, n) until one is bad. True when keys ascend.
template <typename KeyOf>
bool set_rows(const CoordIndexRef& index, std::int32_t n, InsertResult& result, KeyOf&& key_of) {
  std::int64_t last = -1;
  bool canonical = true;
  for (std::int32_t i = 0; i < n; ++i) {
    std::int64_t key = 0;
    if (!key_of(i, key)) {
      result.out_of_range_row = i;
      break;
    }
    std::uint64_t& word = index.words[key >> 6];
    const std::uint64_t bit = std::uint64_t{1} << (key & 63);
    if ((word & bit) != 0) {
      result.duplicate_row = i;
      break;
    }
    word |= bit;
    mark_word(index, key >> 6);
    canonical &= key > last;
    last = key;
    index.keys_of_rows[i] = key;
  }
  return canonical;
}

inline InsertResult bitmap_insert_rows(const CoordIndexRef& index, const std::int32_t* indices,
                                       std::int32_t n) {
  InsertResult result;
  const KeyGrid& grid = index.grid;
  bool canonical = true;
  if (grid.ndim == 3) {  // the common case without loops over axes
    canonical = set_rows(index, n, result, [&](std::int32_t i, std::int64_t& key) {
      const std::int32_t* row = indices + static_cast<std::int64_t>(i) * 4;
      const auto below = [](std::int32_t v, std::int32_t limit) {
        return static_cast<std::uint32_t>(v) < static_cast<std::uint32_t>(limit);
      };
      const bool inside = below(row[0], grid.batch) & below(row[1], grid.extent[1]) &
                          below(row[2], grid.extent[2]) & below(row[3], grid.extent[3]);
      if (inside) {
        key = grid.origin + row[0] * grid.batch_pitch + row[1] * grid.pitch[1] + row[2] * grid.pitch[2] +
              row[3];
      }
      return inside;
    });
  } else {
    canonical = set_rows(index, n, result, [&](std::int32_t i, std::int64_t& key) {
      return key_of_row(grid, indices + static_cast<std::int64_t>(i) * (1 + grid.ndim), key);
    });
  }
  number(index);
  if (result.out_of_range_row >= 0 || result.duplicate_row >= 0) {
    bitmap_clear(index);
    *index.state = {};
    return result;
  }
  index.state->canonical = canonical ? 1 : 0;
  return result;
}

inline void bitmap_rank_rows(const CoordIndexRef& index, RowRange range) {
  for (std::int64_t i = range.begin; i < range.end; ++i) {
    const std::int64_t key = index.keys_of_rows[i];
    const std::uint64_t below = (std::uint64_t{1} << (key & 63)) - 1;
    const std::int32_t rank =
        index.ranks[2 * (key >> 6)] + __builtin_popcountll(index.words[key >> 6] & below);
    index.row_of_rank[rank] = static_cast<std::int32_t>(i);
  }
}

inline void bitmap_insert_reached(const CoordIndexRef& index, const CoordIndexRef& from,
                                  const Relation& reach) {
  for_each_reached(from, reach, [&](std::int64_t id, std::uint64_t bits) {
    index.words[id] |= bits;
    mark_word(index, id);
  });
  number(index);
}

inline void bitmap_write_sites(const CoordIndexRef& index, std::int32_t* indices) {
  write_word_sites(index, indices, [&](std::int32_t i) { return index.ids[i]; });
}

}  // namespace
}  // namespace voxgemm
