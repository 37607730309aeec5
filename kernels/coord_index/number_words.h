// Steps that all structures share once their occupied words are known. Portable code,
// compiled once without and once with bit instructions.
#pragma once

#include "kernels/coord_index/coord_index.h"

namespace voxgemm {
namespace {

constexpr std::int32_t kAhead = 12;  // entries between the one at hand and the one asked for

/// Asks for a word of a bitmap that is listed some places after place i.
inline void prefetch_word(const CoordIndexRef& index, std::int32_t i, std::int32_t end) {
  if (index.form == IndexForm::kBitmap && i + kAhead < end)
    __builtin_prefetch(&index.words[index.ids[i + kAhead]]);
}

/// `word` without its `surplus` largest keys.
inline std::uint64_t without_top_bits(std::uint64_t word, std::int64_t surplus) {
  for (; surplus > 0 && word != 0; --surplus) word &= ~(std::uint64_t{1} << (63 - __builtin_clzll(word)));
  return word;
}

/// Ranks of a word whose first site has rank `first`.
inline void set_ranks(const CoordIndexRef& index, std::int64_t at, std::uint64_t word, std::int32_t first) {
  index.ranks[2 * at] = first;
  index.ranks[2 * at + 1] = first + __builtin_popcount(static_cast<std::uint32_t>(word));
}

/// Decodes ascending keys; divides only where a line ends.
class LineCursor {
 public:
  explicit LineCursor(const KeyGrid& grid)
      : grid_(grid), per_line_(1.0 / static_cast<double>(grid.pitch[2])) {}
  /// Moves to an active key's line. True when the line changed.
  bool seek(std::int64_t key) {
    if (key >= begin_ && key < end_) return false;
    const std::int64_t in_plane = key - plane_begin_;
    if (in_plane >= 0 && in_plane < plane_size_) {
      // Exact below 2^31: half a cell keeps the product further from whole numbers than it is rounded.
      const auto line = static_cast<std::int32_t>((static_cast<double>(in_plane) + 0.5) * per_line_);
      site.at[2] = line;
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
  /// Makes the next seek() find a line anew.
  void forget() { begin_ = end_ = 0; }
  /// Key of the line's first cell, and one past its last.
  [[nodiscard]] std::int64_t begin() const { return begin_; }
  [[nodiscard]] std::int64_t end() const { return end_; }

  Site site{};  // last axis: anything

 private:
  const KeyGrid& grid_;
  double per_line_;
  std::int64_t begin_ = 0;
  std::int64_t end_ = 0;
  std::int64_t plane_begin_ = 0;
  std::int64_t plane_size_ = 0;  // keys of the plane of the current line, 0 = unknown or beyond 32 bits
};

/// Writes the coordinates of the sites of one word; returns where the next word's go.
inline std::int32_t* write_word_sites(LineCursor& line, std::int32_t ndim, std::int64_t id,
                                      std::uint64_t word, std::int32_t* indices) {
  for (; word != 0; word &= word - 1) {
    const std::int64_t key = id * 64 + __builtin_ctzll(word);
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
  return indices;
}

}  // namespace
}  // namespace voxgemm
