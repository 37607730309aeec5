// Bitmaps and ranked words, slab by slab. A slab's words are collected as a dense piece of a bitmap: in place
// for a bitmap, aside for ranked words, from where the occupied ones are listed. Portable code, compiled once
// without and once with bit instructions.
#pragma once

#include "kernels/coord_index/reach.h"

namespace voxgemm {
namespace {

constexpr std::int64_t kMaxSlabWords = std::int64_t{1} << (kMaxSlabShift - 6);

/// Keys [begin, end) of slab s, whole words.
RowRange slab_keys(const CoordIndexRef& index, std::int64_t s) {
  const std::int64_t end = (s + 1) << index.slab_shift;
  const std::int64_t last = (num_keys(index.grid) + 63) / 64 * 64;
  return {s << index.slab_shift, end < last ? end : last};
}

/// Words of one slab while they are collected: word `id` at words[id - first_id].
struct SlabWords {
  const CoordIndexRef& index;
  IndexSlab& slab;
  std::uint64_t* words;
  std::int64_t first_id;
  std::int64_t last_id;  // of the slab

  void set(std::int64_t word, std::uint64_t bit) const {
    words[word] |= bit;
    index.summary[(first_id + word) >> 6] |= std::uint64_t{1} << (word & 63);  // slabs begin at whole ones
  }
  void clear_summary() const {
    for (std::int64_t i = first_id >> 6; i <= last_id >> 6; ++i) index.summary[i] = 0;
  }
  /// Counts the occupied words and their sites.
  void count() const {
    slab.num_words = 0;
    slab.sites = 0;
    for (std::int64_t i = first_id >> 6; i <= last_id >> 6; ++i) {
      for (std::uint64_t bits = index.summary[i]; bits != 0; bits &= bits - 1) {
        ++slab.num_words;
        slab.sites += __builtin_popcountll(words[i * 64 + __builtin_ctzll(bits) - first_id]);
      }
    }
  }
  /// Empties the words; they stand aside.
  void drop() const {
    for (std::int64_t i = first_id >> 6; i <= last_id >> 6; ++i) {
      for (std::uint64_t bits = index.summary[i]; bits != 0; bits &= bits - 1)
        words[i * 64 + __builtin_ctzll(bits) - first_id] = 0;
    }
  }
  /// Lists the words from slab.first_word on. Words without room are emptied: as each word before holds a
  /// site, no site of theirs is among the first `capacity`.
  void list() const {
    const bool ranked = index.form == IndexForm::kRankedWords;
    std::int32_t at = slab.first_word;
    for (std::int64_t i = first_id >> 6; i <= last_id >> 6; ++i) {
      std::uint64_t bits = index.summary[i];
      if (ranked) {
        index.places[2 * i] = at;
        index.places[2 * i + 1] = at + __builtin_popcount(static_cast<std::uint32_t>(bits));
      }
      for (; bits != 0; bits &= bits - 1) {
        const std::int64_t id = i * 64 + __builtin_ctzll(bits);
        std::uint64_t& word = words[id - first_id];
        if (at < index.capacity) {
          if (ranked) index.words[at] = word;
          index.ids[at++] = id;
        } else {
          index.summary[i] &= ~(bits & -bits);
        }
        if (ranked || (index.summary[i] & bits & -bits) == 0) word = 0;
      }
    }
    slab.num_words = at - slab.first_word;
  }
};

/// Calls fn(slab words) for every slab of the range; words that stand aside begin as zeros, and fn leaves
/// zeros.
template <typename Fn>
inline void for_each_slab(const CoordIndexRef& index, RowRange slabs, Fn&& fn) {
  const auto visit = [&](std::int64_t s, std::uint64_t* words) {
    const RowRange keys = slab_keys(index, s);
    fn(SlabWords{index, index.slabs[s], words, keys.begin >> 6, (keys.end >> 6) - 1}, keys);
  };
  if (index.form == IndexForm::kBitmap) {
    for (std::int64_t s = slabs.begin; s < slabs.end; ++s)
      visit(s, index.words + (s << (index.slab_shift - 6)));
    return;
  }
  std::uint64_t aside[kMaxSlabWords];
  __builtin_memset(aside, 0, std::size_t{8} << (index.slab_shift - 6));
  for (std::int64_t s = slabs.begin; s < slabs.end; ++s) visit(s, aside);
}

/// Ranks of a slab's listed words, cut to the capacity.
inline void rank_words(const CoordIndexRef& index, IndexSlab& slab) {
  const std::int64_t capacity = index.capacity;
  const bool direct = index.form == IndexForm::kBitmap;
  std::int64_t rank = slab.first_rank;
  std::int32_t kept = 0;
  for (std::int32_t i = slab.first_word; i < slab.first_word + slab.num_words; ++i) {
    const std::int64_t id = index.ids[i];
    std::uint64_t& word = index.words[direct ? id : i];
    if (direct && i + kAhead < slab.first_word + slab.num_words)
      __builtin_prefetch(&index.ranks[2 * index.ids[i + kAhead]], 1);
    const std::int32_t bits = __builtin_popcountll(word);
    if (rank + bits > capacity) {  // keep the smallest keys
      word = without_top_bits(word, rank + bits - capacity);
      if (word == 0) {
        index.summary[id >> 6] &= ~(std::uint64_t{1} << (id & 63));
        continue;
      }
    }
    set_ranks(index, direct ? id : i, word, static_cast<std::int32_t>(rank));
    rank += __builtin_popcountll(word);
    ++kept;
  }
  slab.num_words = kept;
}

/// Key of row i, or false when it lies outside the grid.
inline bool row_key(const CoordIndexRef& index, const std::int32_t* indices, std::int64_t i,
                    std::int64_t& key) {
  const KeyGrid& grid = index.grid;
  const std::int32_t* row = indices + i * (1 + grid.ndim);
  if (grid.ndim != 3) return key_of_row(grid, row, key);
  // The common case without loops over axes, and without a branch an axis.
  const auto below = [](std::int32_t v, std::int32_t limit) {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(v) < static_cast<std::uint32_t>(limit));
  };
  key = grid.origin + row[0] * grid.batch_pitch + row[1] * grid.pitch[1] + row[2] * grid.pitch[2] + row[3];
  return (below(row[0], grid.batch) & below(row[1], grid.extent[1]) & below(row[2], grid.extent[2]) &
          below(row[3], grid.extent[3])) != 0;
}

inline RowsFound slabs_count_rows(const CoordIndexRef& index, const std::int32_t* indices, RowRange rows,
                                  std::int32_t* counts) noexcept {
  RowsFound found;
  std::int64_t last = -1;
  if (rows.begin > 0 && !row_key(index, indices, rows.begin - 1, last)) last = -1;
  for (std::int64_t i = rows.begin; i < rows.end; ++i) {
    std::int64_t key = 0;
    if (!row_key(index, indices, i, key)) {
      found.out_of_range_row = static_cast<std::int32_t>(i);
      return found;
    }
    ++counts[key >> index.slab_shift];
    found.ascending &= key > last;
    last = key;
  }
  return found;
}

inline void slabs_split_rows(const CoordIndexRef& index, const std::int32_t* indices, RowRange rows,
                             std::int32_t* next) noexcept {
  const std::int64_t in_slab = (std::int64_t{1} << index.slab_shift) - 1;
  for (std::int64_t i = rows.begin; i < rows.end; ++i) {
    std::int64_t key = 0;
    row_key(index, indices, i, key);
    index.entries[next[key >> index.slab_shift]++] = {static_cast<std::uint32_t>(key & in_slab),
                                                      static_cast<std::int32_t>(i)};
  }
}

/// Sets the bits of the entries [begin, end); first row that equals an earlier one, or -1.
inline std::int32_t set_entries(const SlabWords& words, const SlabEntry* begin, const SlabEntry* end) {
  const bool direct = words.index.form == IndexForm::kBitmap;
  std::int32_t duplicate_row = -1;
  for (const SlabEntry* e = begin; e < end; ++e) {
    const std::int64_t word = e->cell >> 6;
    if (direct && end - e > kAhead) __builtin_prefetch(&words.words[e[kAhead].cell >> 6], 1);
    const std::uint64_t bit = std::uint64_t{1} << (e->cell & 63);
    if ((words.words[word] & bit) != 0 && duplicate_row < 0) duplicate_row = e->row;
    words.set(word, bit);
  }
  return duplicate_row;
}

/// Sites of a slab's listed words to their place in `indices`.
inline void write_slab_sites(const CoordIndexRef& index, const IndexSlab& slab, LineCursor& line,
                             std::int32_t* indices) {
  const bool direct = index.form == IndexForm::kBitmap;
  const std::int32_t ndim = index.grid.ndim;
  std::int32_t* out = indices + static_cast<std::int64_t>(slab.first_rank) * (1 + ndim);
  for (std::int32_t i = slab.first_word; i < slab.first_word + slab.num_words; ++i) {
    out = write_word_sites(line, ndim, index.ids[i], index.words[direct ? index.ids[i] : i], out);
  }
}

inline void slabs_number_rows(const CoordIndexRef& index, const std::int32_t* indices, RowRange slabs,
                              std::int32_t* sites) noexcept {
  const bool direct = index.form == IndexForm::kBitmap;
  LineCursor line(index.grid);
  for_each_slab(index, slabs, [&](const SlabWords& words, RowRange keys) {
    IndexSlab& slab = words.slab;
    slab.duplicate_row = -1;
    slab.first_word = slab.first_rank;  // no more words than rows
    words.clear_summary();
    if (index.state->canonical != 0) {  // rows lie slab by slab as they are, and no two are equal
      for (std::int64_t i = slab.first_rank; i < slab.first_rank + std::int64_t{slab.sites}; ++i) {
        std::int64_t key = 0;
        row_key(index, indices, i, key);
        words.set((key >> 6) - words.first_id, std::uint64_t{1} << (key & 63));
      }
      words.list();
      rank_words(index, slab);
      return;
    }
    const SlabEntry* const begin = index.entries + slab.first_rank;
    const SlabEntry* const end = begin + slab.sites;
    slab.duplicate_row = set_entries(words, begin, end);
    words.list();
    rank_words(index, slab);
    for (const SlabEntry* e = begin; e < end; ++e) {
      const std::int64_t key = keys.begin + e->cell;
      const std::int64_t at = direct ? key >> 6 : ranked_place(index, key >> 6);
      const std::uint64_t below = (std::uint64_t{1} << (key & 63)) - 1;
      note_rank(index, e->row, index.ranks[2 * at] + __builtin_popcountll(index.words[at] & below));
    }
    if (index.rank_of_row != nullptr) write_slab_sites(index, slab, line, sites);
  });
}

/// Takes bits for the words of one slab; words outside are left to others. Without branches on the bits:
/// which words they fall into cannot be foretold.
struct SlabSink {
  std::uint64_t* words;
  std::int64_t begin;  // key
  std::int64_t size;   // words

  void operator()(std::int64_t key, std::uint64_t bits) const {
    const std::int64_t at = (key - begin) >> 6;
    const std::uint64_t low = bits << (key & 63);
    const std::uint64_t high = bits >> 1 >> (63 - (key & 63));
    if (at >= 0 && at + 1 < size) {
      words[at] |= low;
      words[at + 1] |= high;
    } else {
      if (at >= 0 && at < size) words[at] |= low;
      if (at + 1 >= 0 && at + 1 < size) words[at + 1] |= high;
    }
  }
};

/// Collects what the sites of `from` reach in a slab, and the summary bits.
inline void reach_slab(const SlabWords& words, const CoordIndexRef& from, const Relation& reach,
                       RowRange keys) {
  const SlabSink sink{words.words, keys.begin, (keys.end - keys.begin) >> 6};
  for_each_reached_in(from, reach, keys.begin, keys.end, sink);
  for (std::int64_t i = 0; i < sink.size; i += 64) {
    std::uint64_t bits = 0;
    const std::int64_t end = sink.size - i < 64 ? sink.size - i : 64;
    for (std::int64_t j = 0; j < end; ++j) bits |= static_cast<std::uint64_t>(sink.words[i + j] != 0) << j;
    words.index.summary[(words.first_id + i) >> 6] = bits;
  }
}

inline void slabs_reach(const CoordIndexRef& index, const CoordIndexRef& from, const Relation& reach,
                        RowRange slabs) noexcept {
  for_each_slab(index, slabs, [&](const SlabWords& words, RowRange keys) {
    IndexSlab& slab = words.slab;
    reach_slab(words, from, reach, keys);
    words.count();
    if (index.form == IndexForm::kBitmap) return;
    const std::int64_t first =
        __atomic_fetch_add(&index.state->taken_words, std::int64_t{slab.num_words}, __ATOMIC_RELAXED);
    if (first + slab.num_words > index.capacity) {  // all will be made again
      words.drop();
      return;
    }
    slab.first_word = static_cast<std::int32_t>(first);
    words.list();
  });
}

inline void slabs_number_reached(const CoordIndexRef& index, const CoordIndexRef& from, const Relation& reach,
                                 RowRange slabs, std::int32_t* indices) noexcept {
  const bool direct = index.form == IndexForm::kBitmap;
  LineCursor line(index.grid);
  const auto finish = [&](IndexSlab& slab) {
    rank_words(index, slab);
    write_slab_sites(index, slab, line, indices);
  };
  if (!direct && index.state->taken_words <= index.capacity) {
    for (std::int64_t s = slabs.begin; s < slabs.end; ++s) finish(index.slabs[s]);
    return;
  }
  for_each_slab(index, slabs, [&](const SlabWords& words, RowRange keys) {
    if (!direct) reach_slab(words, from, reach, keys);
    words.list();
    finish(words.slab);
  });
}

inline void slabs_clear(const CoordIndexRef& index, RowRange slabs) noexcept {
  if (index.form != IndexForm::kBitmap) return;
  for (std::int64_t s = slabs.begin; s < slabs.end; ++s) {
    IndexSlab& slab = index.slabs[s];
    const std::int32_t end = slab.first_word + slab.num_words;
    for (std::int32_t i = slab.first_word; i < end; ++i) {
      prefetch_word(index, i, end);
      index.words[index.ids[i]] = 0;
    }
    slab.num_words = 0;
  }
}

}  // namespace
}  // namespace voxgemm
