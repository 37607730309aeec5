// From the sites of one level to the sites they reach, 64 cells of a line at a time.
#pragma once

#include "kernels/coord_index/number_words.h"

namespace voxgemm {
namespace {

constexpr std::int32_t kMaxReach = 343;

/// Every other bit of `word`, beginning with bit 0.
inline std::uint64_t even_bits(std::uint64_t word) {
#ifdef __BMI2__
  return __builtin_ia32_pext_di(word, 0x5555555555555555U);
#endif
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

/// Sources of one coordinate on one axis within [lowest, highest], kept until the coordinate changes.
struct AxisSources {
  std::int32_t t = -1;
  std::int32_t count = 0;
  std::int32_t lowest = 0;
  std::int32_t highest = INT32_MAX;
  std::int32_t source[kMaxReach + 1];  // one to be written over

  void set(const AxisRelation& axis, std::int32_t coordinate) {
    if (coordinate == t) return;
    t = coordinate;
    count = 0;
    if (axis.div > 2) {
      for (std::int32_t r = 0; r < axis.kernel; ++r) {
        const std::int32_t s = source_of(axis, t, r);
        if (s >= lowest && s <= highest) source[count++] = s;
      }
      return;
    }
    // Every r, or every second one from the first that divides.
    const std::int64_t num = static_cast<std::int64_t>(t) * axis.mul + axis.offset;
    const bool halved = axis.div == 2;
    const bool odd_step = halved && (axis.step & 1) != 0;
    const std::int32_t odd = halved ? static_cast<std::int32_t>(num & 1) : 0;
    if (odd != 0 && !odd_step) return;
    const std::int32_t period = odd_step ? 2 : 1;
    const std::int64_t ds = static_cast<std::int64_t>(period) * axis.step >> (halved ? 1 : 0);
    const std::int32_t last = highest < axis.extent ? highest : axis.extent - 1;
    std::int64_t s = (num + static_cast<std::int64_t>(odd) * axis.step) >> (halved ? 1 : 0);
    for (std::int32_t r = odd; r < axis.kernel + odd; r += period, s += ds) {  // as often for any t
      source[count] = static_cast<std::int32_t>(s);
      count += ((r < axis.kernel) & (s >= lowest) & (s <= last)) ? 1 : 0;
    }
  }
  void limit(std::int32_t low, std::int32_t high) {
    lowest = low;
    highest = high;
    t = -1;
  }
};

/// Calls sink(key, bits) for cells of `reach.source` that words of `from` reach: bit i is the cell at key +
/// i. Some calls bring no bits.
template <typename Sink>
class WordReach {
 public:
  WordReach(const CoordIndexRef& from, const Relation& reach, const Sink& sink)
      : reach_(reach), by_bits_(reaches_by_bits(reach.axis[3])), sink_(sink), line_(from.grid) {}

  /// Only sources in [low, high] of one of the first three axes count from here on.
  void limit(std::int32_t axis, std::int32_t low, std::int32_t high) { sources_[axis].limit(low, high); }
  /// Lines are to be looked at again: limits have changed.
  void restart() { line_.forget(); }

  /// A word may hold the end of one line and the beginning of others.
  void add(std::int64_t id, std::uint64_t word) {
    const std::int64_t base = id * 64;
    while (word != 0) {
      const std::int64_t key = base + __builtin_ctzll(word);
      if (line_.seek(key)) new_line();
      const std::int64_t end = line_.end() - base;
      const std::uint64_t own = end >= 64 ? word : word & ((std::uint64_t{1} << end) - 1);
      word &= ~own;
      const std::int64_t x0 = base - line_.begin();
      piece(x0 < 0 ? 0 : x0, x0 < 0 ? own >> -x0 : own);
    }
  }

 private:
  void new_line() {
    const KeyGrid& grid = reach_.source;
    lines_ = 0;
    for (std::int32_t a = 0; a < 3; ++a) sources_[a].set(reach_.axis[a], line_.site.at[a]);
    for (std::int32_t i0 = 0; i0 < sources_[0].count; ++i0) {
      for (std::int32_t i1 = 0; i1 < sources_[1].count; ++i1) {
        const std::int64_t plane = grid.origin + line_.site.batch * grid.batch_pitch +
                                   sources_[0].source[i0] * grid.pitch[0] +
                                   sources_[1].source[i1] * grid.pitch[1];
        for (std::int32_t i2 = 0; i2 < sources_[2].count; ++i2) {
          keys_[lines_++] = plane + sources_[2].source[i2] * grid.pitch[2];
        }
      }
    }
    if (lines_ % 2 != 0) keys_[lines_++] = keys_[0];  // twice does no harm, and one or two lines are as long
  }
  // Cells x0 + (set bits) of the current line.
  void piece(std::int64_t x0, std::uint64_t bits) {
    const AxisRelation& axis = reach_.axis[3];
    if (by_bits_) {
      LineBits reached = reached_bits(axis, x0, bits);
      reached.clip(axis.extent);
      for (std::int32_t k = 0; k < lines_; ++k) {
        sink_(keys_[k] + reached.first, reached.part[0]);
        if (reached.part[1] != 0) sink_(keys_[k] + reached.first + 64, reached.part[1]);
      }
      return;
    }
    for (; bits != 0; bits &= bits - 1) {
      const auto x = static_cast<std::int32_t>(x0 + __builtin_ctzll(bits));
      for (std::int32_t r = 0; r < axis.kernel; ++r) {
        const std::int32_t s = source_of(axis, x, r);
        for (std::int32_t k = 0; s >= 0 && k < lines_; ++k) sink_(keys_[k] + s, 1);
      }
    }
  }

  const Relation& reach_;
  bool by_bits_;
  const Sink& sink_;
  LineCursor line_;
  AxisSources sources_[3];
  std::int64_t keys_[kMaxReach + 1];  // first cells of the lines that the current line reaches
  std::int32_t lines_ = 0;
};

/// Calls fn(word id, bits) for the sites of `index` with keys in [begin, end), ascending.
template <typename Fn>
inline void for_each_word(const CoordIndexRef& index, std::int64_t begin, std::int64_t end, Fn&& fn) {
  const auto inside = [&](std::int64_t id, std::uint64_t word) {
    if (id * 64 < begin) word &= ~std::uint64_t{0} << (begin - id * 64);
    if (end - id * 64 < 64) word &= (std::uint64_t{1} << (end - id * 64)) - 1;
    if (word != 0) fn(id, word);
  };
  const std::int64_t first = begin >> 6;
  const std::int64_t last = (end - 1) >> 6;
  if (index.form == IndexForm::kSortedWords) {
    for (std::int32_t i = first_word_from(index, first); i < index.state->num_words && index.ids[i] <= last;
         ++i) {
      inside(index.ids[i], index.words[i]);
    }
    return;
  }
  const bool direct = index.form == IndexForm::kBitmap;
  const std::int32_t shift = index.slab_shift - 6;
  for (std::int64_t s = first >> shift; s <= last >> shift && s < index.num_slabs; ++s) {
    const IndexSlab& slab = index.slabs[s];
    const std::int32_t slab_end = slab.first_word + slab.num_words;
    std::int32_t i = slab.first_word;
    for (std::int32_t n = slab.num_words; n > 0 && index.ids[i] < first;) {  // first id of the range
      const std::int32_t half = (n + 1) / 2;
      if (index.ids[i + half - 1] < first) i += half;
      n -= half;
    }
    for (; i < slab_end && index.ids[i] <= last; ++i) {
      const std::int64_t id = index.ids[i];
      prefetch_word(index, i, slab_end);
      inside(id, index.words[direct ? id : i]);
    }
  }
}

/// Calls sink(key, bits) for all cells that the sites of `from` reach, in no order.
template <typename Sink>
inline void for_each_reached(const CoordIndexRef& from, const Relation& reach, const Sink& sink) {
  WordReach<Sink> lines(from, reach, sink);
  for_each_word(from, 0, num_keys(from.grid),
                [&](std::int64_t id, std::uint64_t word) { lines.add(id, word); });
}

/// Target coordinate that reads source s under kernel coordinate r, or -1: the inverse of source_of().
inline std::int32_t target_of(const AxisRelation& axis, std::int32_t s, std::int32_t r, std::int32_t extent) {
  const std::int64_t num =
      static_cast<std::int64_t>(s) * axis.div - static_cast<std::int64_t>(r) * axis.step - axis.offset;
  if (num < 0 || num % axis.mul != 0 || num / axis.mul >= extent) return -1;
  return static_cast<std::int32_t>(num / axis.mul);
}

/// Range of targets [first, last] that holds all those that read sources [low, high]; empty when last <
/// first.
struct TargetRange {
  std::int64_t first = 0;
  std::int64_t last = -1;
};
inline TargetRange targets_of(const AxisRelation& axis, std::int32_t low, std::int32_t high,
                              std::int32_t extent) {
  const std::int64_t spread = static_cast<std::int64_t>(axis.kernel - 1) * axis.step;
  const std::int64_t lowest =
      static_cast<std::int64_t>(low) * axis.div - axis.offset - (spread > 0 ? spread : 0);
  const std::int64_t highest =
      static_cast<std::int64_t>(high) * axis.div - axis.offset - (spread < 0 ? spread : 0);
  if (highest < 0) return {};
  const std::int64_t first = lowest <= 0 ? 0 : lowest / axis.mul;
  const std::int64_t last = highest / axis.mul;
  return {first, last < extent ? last : extent - 1};
}

/// Part of a grid whose sites share the coordinates of the axes before `axis`.
struct GridBlock {
  std::int32_t axis = 2;  // first axis of the block
  std::int64_t pitch = 0;
  std::int64_t base = 0;  // key of the block's first cell
  std::int32_t batch = 0;
  std::int32_t at[2] = {0, 0};  // coordinates of the axes before
};

/// Blocks of about the size of `keys` or more, so that a slab meets few.
inline GridBlock block_shape(const KeyGrid& grid, std::int64_t keys) {
  GridBlock block;
  while (block.axis > 0 && grid.pitch[block.axis - 1] * 4 < keys) --block.axis;
  block.pitch = block.axis == 0 ? grid.batch_pitch : grid.pitch[block.axis - 1];
  return block;
}

/// Moves to block number i. False when it lies between sites.
inline bool seek_block(const KeyGrid& grid, std::int64_t i, GridBlock& block) {
  std::int64_t rest = i * block.pitch;
  block.base = grid.origin + rest;
  block.batch = static_cast<std::int32_t>(rest / grid.batch_pitch);
  rest -= block.batch * grid.batch_pitch;
  bool inside = block.batch < grid.batch;
  for (std::int32_t a = 0; a < block.axis; ++a) {
    block.at[a] = static_cast<std::int32_t>(rest / grid.pitch[a]);
    rest -= block.at[a] * grid.pitch[a];
    inside = inside && block.at[a] < grid.extent[a];
  }
  return inside;
}

/// What WordReach does, for words of one plane whose sources lie in one plane, with strides of two along both
/// axes: the common case, with hardly a branch that depends on the sites.
struct PlaneReach {
  const CoordIndexRef& from;
  AxisRelation x;
  AxisRelation y;
  std::int64_t source_pitch;

  PlaneReach(const CoordIndexRef& targets, const Relation& reach)
      : from(targets), x(reach.axis[3]), y(reach.axis[2]), source_pitch(reach.source.pitch[2]) {}

  /// Planes are below 2^31 cells, and so is what a word reaches on a line below 64.
  [[nodiscard]] bool takes() const {
    return reaches_by_bits(x) && x.div == 2 && y.div == 2 && (y.step & 1) != 0 &&
           from.grid.pitch[1] < (std::int64_t{1} << 31);
  }

  /// Words of keys [begin, end), which lie in the plane of `from` at key `plane`; sources in lines [low,
  /// high] of the plane at `source`.
  template <typename Sink>
  [[gnu::noinline]] void add(RowRange keys, std::int64_t plane, std::int64_t source, std::int64_t low,
                             std::int64_t high, Sink sink) const {
    const AxisRelation ax = x;
    const AxisRelation ay = y;
    const std::int64_t pitch = from.grid.pitch[2];
    const std::int64_t extent = from.grid.extent[3];
    const std::int64_t line_pitch = source_pitch;
    const double per_line = 1.0 / static_cast<double>(pitch);
    const std::int64_t x_low = ax.offset + (ax.step < 0 ? (ax.kernel - 1) * std::int64_t{ax.step} : 0);
    for_each_word(from, keys.begin, keys.end, [=](std::int64_t id, std::uint64_t word) {
      const std::int64_t base = id * 64 - plane;
      do {
        // Exact below 2^31: see LineCursor.
        const auto cell = static_cast<double>(base + __builtin_ctzll(word));
        const std::int64_t line = static_cast<std::int32_t>((cell + 0.5) * per_line);
        std::int64_t x0 = base - line * pitch;
        const std::int64_t end = extent - x0;
        std::uint64_t own = end >= 64 ? word : word & ((std::uint64_t{1} << end) - 1);
        word &= ~own;
        if (x0 < 0) {
          own >>= -x0;
          x0 = 0;
        }
        const std::uint64_t halves[2] = {even_bits(own), even_bits(own >> 1)};
        std::int64_t first = (x0 + x_low + 1) >> 1;
        std::uint64_t bits = 0;
        std::int64_t at = x0 + ax.offset;
        for (std::int32_t r = 0; r < ax.kernel; ++r, at += ax.step)
          bits |= halves[at & 1] << (((at + 1) >> 1) - first);
        if (first < 0) {
          bits >>= -first;
          first = 0;
        }
        const std::int64_t room = ax.extent - first;
        if (room < 64) bits &= room <= 0 ? 0 : (std::uint64_t{1} << room) - 1;
        const std::int64_t num = line * ay.mul + ay.offset;
        const std::int64_t odd = num & 1;
        std::int64_t s = (num + odd * ay.step) >> 1;
        for (std::int64_t r = odd; r < ay.kernel + odd; r += 2, s += ay.step) {  // as often for any line
          const bool there = (r < ay.kernel) & (s >= low) & (s <= high);
          sink(source + (there ? s : low) * line_pitch + first, there ? bits : 0);
        }
      } while (word != 0);
    });
  }
};

/// Calls sink(key, bits) for all cells that the sites of `from` reach with keys in [begin, end); bit i is the
/// cell at key + i. Some calls bring no bits, some lie beyond the range.
template <typename Sink>
inline void for_each_reached_in(const CoordIndexRef& from, const Relation& reach, std::int64_t begin,
                                std::int64_t end, const Sink& sink) {
  const KeyGrid& grid = reach.source;
  WordReach<Sink> lines(from, reach, sink);
  const PlaneReach planes(from, reach);
  const bool by_plane = block_shape(grid, end - begin).axis == 2 && planes.takes();
  GridBlock block = block_shape(grid, end - begin);
  const AxisRelation* axis = reach.axis;
  const std::int32_t own = block.axis;
  const std::int64_t first = begin > grid.origin ? (begin - grid.origin) / block.pitch : 0;
  for (std::int64_t i = first; grid.origin + i * block.pitch < end; ++i) {
    if (!seek_block(grid, i, block)) continue;
    const std::int64_t low = begin > block.base ? (begin - block.base) / grid.pitch[own] : 0;
    const std::int64_t above = end - 1 - block.base;
    std::int64_t high = (above < block.pitch ? above : block.pitch - 1) / grid.pitch[own];
    if (high >= grid.extent[own]) high = grid.extent[own] - 1;
    if (low > high) continue;
    const auto range = targets_of(axis[own], static_cast<std::int32_t>(low), static_cast<std::int32_t>(high),
                                  from.grid.extent[own]);
    if (range.last < range.first) continue;
    for (std::int32_t a = 0; a < own; ++a) lines.limit(a, block.at[a], block.at[a]);
    lines.limit(own, static_cast<std::int32_t>(low), static_cast<std::int32_t>(high));
    lines.restart();
    const std::int64_t item = from.grid.origin + block.batch * from.grid.batch_pitch;
    for (std::int32_t r0 = 0; r0 < (own > 0 ? axis[0].kernel : 1); ++r0) {
      const std::int32_t t0 = own > 0 ? target_of(axis[0], block.at[0], r0, from.grid.extent[0]) : 0;
      for (std::int32_t r1 = 0; t0 >= 0 && r1 < (own > 1 ? axis[1].kernel : 1); ++r1) {
        const std::int32_t t1 = own > 1 ? target_of(axis[1], block.at[1], r1, from.grid.extent[1]) : 0;
        if (t1 < 0) continue;
        const std::int64_t base = item + t0 * from.grid.pitch[0] + t1 * from.grid.pitch[1];
        const RowRange keys{base + range.first * from.grid.pitch[own],
                            base + (range.last + 1) * from.grid.pitch[own]};
        if (by_plane) {
          planes.add(keys, base, block.base, low, high, sink);
          continue;
        }
        for_each_word(from, keys.begin, keys.end,
                      [&](std::int64_t id, std::uint64_t word) { lines.add(id, word); });
      }
    }
  }
}

}  // namespace
}  // namespace voxgemm
