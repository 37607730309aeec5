// From the sites of one level to the sites they reach, 64 cells of a line at a time.
#pragma once

#include "kernels/coord_index/number_words.h"

namespace voxgemm {
namespace {

constexpr std::int32_t kMaxReach = 343;

/// Every other bit of `word`, beginning with bit 0.
inline std::uint64_t even_bits(std::uint64_t word) {
  word &= 0x5555555555555555U;
  word = (word | word >> 1) & 0x3333333333333333U;
  word = (word | word >> 2) & 0x0F0F0F0F0F0F0F0FU;
  word = (word | word >> 4) & 0x00FF00FF00FF00FFU;
  word = (word | word >> 8) & 0x0000FFFF0000FFFFU;
  return (word | word >> 16) & 0x00000000FFFFFFFFU;
}

/// Up to 128 cells of a line from cell `first` on.
struct LineBits {
  std::int64_t first = 0;
  std::uint64_t part[2] = {0, 0};

  void add(std::uint64_t bits, std::int64_t at) {  // first <= at < first + 64
    const std::int64_t shift = at - first;
    part[0] |= bits << shift;
    if (shift > 0) part[1] |= bits >> (64 - shift);
  }
  /// Drops cells outside [0, extent).
  void clip(std::int32_t extent) {
    if (first < 0) {  // never -64 or less: see reaches_by_bits
      part[0] = part[0] >> -first | part[1] << (64 + first);
      part[1] >>= -first;
      first = 0;
    }
    for (std::int32_t p = 0; p < 2; ++p) {
      const std::int64_t room = extent - first - 64 * p;
      if (room < 64) part[p] &= room <= 0 ? 0 : (std::uint64_t{1} << room) - 1;
    }
  }
};

/// Whether reached_bits can do the last axis.
inline bool reaches_by_bits(const AxisRelation& axis) {
  const std::int64_t spread = static_cast<std::int64_t>(axis.kernel - 1) * axis.step;
  const std::int64_t lowest = axis.offset + (spread < 0 ? spread : 0);
  return axis.mul == 1 && (axis.div == 1 || axis.div == 2) && spread > -64 && spread < 64 && lowest > -64;
}

/// Cells of the last axis that the cells x0 + (set bits) reach.
inline LineBits reached_bits(const AxisRelation& axis, std::int64_t x0, std::uint64_t bits) {
  const std::int64_t last = axis.offset + static_cast<std::int64_t>(axis.kernel - 1) * axis.step;
  const std::int64_t lowest = x0 + (last < axis.offset ? last : axis.offset);
  LineBits line;
  line.first = axis.div == 1 ? lowest : (lowest + 1) >> 1;
  const std::uint64_t halves[2] = {axis.div == 2 ? even_bits(bits) : 0,
                                   axis.div == 2 ? even_bits(bits >> 1) : 0};
  for (std::int32_t r = 0; r < axis.kernel; ++r) {
    const std::int64_t at = x0 + axis.offset + static_cast<std::int64_t>(r) * axis.step;
    if (axis.div == 1) {
      line.add(bits, at);
    } else {
      line.add(halves[at & 1], (at + 1) >> 1);
    }
  }
  return line;
}

/// Sources of one coordinate on one axis, kept until the coordinate changes.
struct AxisSources {
  std::int32_t t = -1;
  std::int32_t count = 0;
  std::int32_t source[kMaxReach];

  void set(const AxisRelation& axis, std::int32_t coordinate) {
    if (coordinate == t) return;
    t = coordinate;
    count = 0;
    for (std::int32_t r = 0; r < axis.kernel; ++r) {
      const std::int32_t s = source_of(axis, t, r);
      if (s >= 0) source[count++] = s;
    }
  }
};

/// Calls sink(word id, bits) for all cells of `grid` = reach.source that the sites of `from` reach; ids in no
/// order.
template <typename Sink>
inline void for_each_reached(const CoordIndexRef& from, const Relation& reach, Sink&& sink) {
  const AxisRelation* axis = reach.axis;
  const bool by_bits = reaches_by_bits(axis[3]);
  LineCursor line(from.grid);
  AxisSources sources[3];
  std::int64_t keys[kMaxReach];  // first cells of the lines that the current line reaches
  std::int32_t lines = 0;
  const auto new_line = [&] {
    lines = 0;
    for (std::int32_t a = 0; a < 3; ++a) sources[a].set(axis[a], line.site.at[a]);
    const KeyGrid& grid = reach.source;
    for (std::int32_t i0 = 0; i0 < sources[0].count; ++i0) {
      for (std::int32_t i1 = 0; i1 < sources[1].count; ++i1) {
        const std::int64_t plane = grid.origin + line.site.batch * grid.batch_pitch +
                                   sources[0].source[i0] * grid.pitch[0] +
                                   sources[1].source[i1] * grid.pitch[1];
        for (std::int32_t i2 = 0; i2 < sources[2].count; ++i2) {
          keys[lines++] = plane + sources[2].source[i2] * grid.pitch[2];
        }
      }
    }
  };
  const auto put = [&](std::int64_t key, std::uint64_t bits) {
    if (bits == 0) return;
    const std::int64_t id = key >> 6;
    const std::int64_t shift = key & 63;
    if (bits << shift != 0) sink(id, bits << shift);
    if (shift > 0 && bits >> (64 - shift) != 0) sink(id + 1, bits >> (64 - shift));
  };
  const auto piece = [&](std::int64_t x0, std::uint64_t bits) {
    if (by_bits) {
      LineBits reached = reached_bits(axis[3], x0, bits);
      reached.clip(axis[3].extent);
      for (std::int32_t k = 0; k < lines; ++k) {
        put(keys[k] + reached.first, reached.part[0]);
        put(keys[k] + reached.first + 64, reached.part[1]);
      }
      return;
    }
    for (; bits != 0; bits &= bits - 1) {
      const auto x = static_cast<std::int32_t>(x0 + __builtin_ctzll(bits));
      for (std::int32_t r = 0; r < axis[3].kernel; ++r) {
        const std::int32_t s = source_of(axis[3], x, r);
        for (std::int32_t k = 0; s >= 0 && k < lines; ++k) put(keys[k] + s, 1);
      }
    }
  };
  for (std::int32_t i = 0; i < from.state->num_words; ++i) {
    const std::int64_t base = from.ids[i] * 64;
    std::uint64_t word = from.words[from.summary != nullptr ? from.ids[i] : i];
    while (word != 0) {  // a word may hold the end of one line and the beginning of others
      const std::int64_t key = base + __builtin_ctzll(word);
      if (line.seek(key)) new_line();
      const std::int64_t end = line.end() - base;
      const std::uint64_t own = end >= 64 ? word : word & ((std::uint64_t{1} << end) - 1);
      word &= ~own;
      const std::int64_t x0 = base - line.begin();
      piece(x0 < 0 ? 0 : x0, x0 < 0 ? own >> -x0 : own);
    }
  }
}

}  // namespace
}  // namespace voxgemm
