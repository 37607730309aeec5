// Windows of a bitmap or of ranked words, 16 targets at a time; keys fit 32 bits.
#include <immintrin.h>

#include "kernels/pairs/fill_tiles.h"
#include "kernels/pairs/rows.h"
#include "kernels/pairs/target_block.h"

namespace voxgemm {
namespace {

constexpr std::int32_t kLanes = 16;

// Non-empty windows of one block, group after group; whole vectors are stored, so each array has room for one
// more.
struct Lists {
  alignas(64) std::int32_t key[kListEntries + kLanes];
  alignas(64) std::uint32_t tag[kListEntries + kLanes];  // window bits | row in tile << 8
  std::int32_t begin[kMaxPairOffsets + 1];
};

using Block = TargetBlock<std::int32_t, kLanes>;

__mmask16 first_lanes(std::int64_t n) {
  return static_cast<__mmask16>(n >= kLanes ? 0xFFFFU : (1U << n) - 1U);
}

std::int32_t lanes_in(__mmask16 m) { return __builtin_popcount(m); }

__m512i popcount32(__m512i v) {
  const __m512i table = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
  const __m512i nibble = _mm512_set1_epi8(0xF);
  const __m512i low = _mm512_shuffle_epi8(table, _mm512_and_si512(v, nibble));
  const __m512i high = _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(v, 4), nibble));
  const __m512i pairs = _mm512_maddubs_epi16(_mm512_add_epi8(low, high), _mm512_set1_epi8(1));
  return _mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
}

// Index of the lowest set bit; lanes without one are rubbish.
__m512i lowest_bit(__m512i v) {
  const __m512i low = _mm512_and_si512(v, _mm512_sub_epi32(_mm512_setzero_si512(), v));
  const __m512i exponent = _mm512_srli_epi32(_mm512_castps_si512(_mm512_cvtepi32_ps(low)), 23);
  return _mm512_sub_epi32(exponent, _mm512_set1_epi32(127));
}

// Rows of ranks, 16 at a time.
struct RowOrder16 {
  const std::int32_t* row_of_rank;  // null = the rank itself

  explicit RowOrder16(const CoordIndexRef& index)
      : row_of_rank(index.state->canonical != 0 ? nullptr : index.row_of_rank) {}
  __m512i rows(__mmask16 m, __m512i rank) const {
    if (row_of_rank == nullptr) return rank;
    return _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), m, rank, row_of_rank, 4);
  }
};

__m512i bits_below(__m512i bit) {  // bit < 32
  return _mm512_sub_epi32(_mm512_sllv_epi32(_mm512_set1_epi32(1), bit), _mm512_set1_epi32(1));
}

// Words addressed directly.
struct DirectSource : RowOrder16 {
  const void* bytes;
  const std::int32_t* ranks;

  explicit DirectSource(const CoordIndexRef& index)
      : RowOrder16(index), bytes(index.words), ranks(index.ranks) {}

  // At least `width` bits from each key on.
  __m512i window(__mmask16 m, __m512i key, std::int32_t /*width*/) const {
    const __m512i at = _mm512_srli_epi32(key, 3);
    const __m512i bits = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), m, at, bytes, 1);
    return _mm512_srlv_epi32(bits, _mm512_and_si512(key, _mm512_set1_epi32(7)));
  }
  // Ranks of occupied keys.
  __m512i rank(__mmask16 m, __m512i key) const {
    const __m512i half = _mm512_srli_epi32(key, 5);
    const __m512i bits = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), m, half, bytes, 4);
    const __m512i before = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), m, half, ranks, 4);
    const __m512i below = bits_below(_mm512_and_si512(key, _mm512_set1_epi32(31)));
    return _mm512_add_epi32(before, popcount32(_mm512_and_si512(bits, below)));
  }
};

// Occupied words only, found by their rank among the summary bits.
struct RankedSource : RowOrder16 {
  const void* words;
  const void* summary;
  const std::int32_t* places;
  const std::int32_t* ranks;

  explicit RankedSource(const CoordIndexRef& index)
      : RowOrder16(index),
        words(index.words),
        summary(index.summary),
        places(index.places),
        ranks(index.ranks) {}

  // Places of the words of the keys; `kept` says which there are.
  __m512i place(__mmask16 m, __m512i key, __mmask16& kept) const {
    const __m512i half = _mm512_srli_epi32(key, 11);
    const __m512i bits = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), m, half, summary, 4);
    const __m512i bit = _mm512_and_si512(_mm512_srli_epi32(key, 6), _mm512_set1_epi32(31));
    kept = _mm512_mask_test_epi32_mask(m, bits, _mm512_sllv_epi32(_mm512_set1_epi32(1), bit));
    const __m512i before = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), kept, half, places, 4);
    return _mm512_add_epi32(before, popcount32(_mm512_and_si512(bits, bits_below(bit))));
  }
  // Bits from each key to the end of its word, up to 25 of them, or none.
  __m512i rest_of_word(__mmask16 m, __m512i key) const {
    __mmask16 kept = 0;
    const __m512i in_word = _mm512_and_si512(key, _mm512_set1_epi32(63));
    const __m512i at =
        _mm512_add_epi32(_mm512_slli_epi32(place(m, key, kept), 3), _mm512_srli_epi32(in_word, 3));
    const __m512i bits = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), kept, at, words, 1);
    const __m512i own = _mm512_sub_epi32(_mm512_set1_epi32(64), in_word);  // counts of 32 and more shift out
    const __m512i mask = _mm512_sub_epi32(_mm512_sllv_epi32(_mm512_set1_epi32(1), own), _mm512_set1_epi32(1));
    return _mm512_and_si512(_mm512_srlv_epi32(bits, _mm512_and_si512(key, _mm512_set1_epi32(7))), mask);
  }
  // At least `width` bits from each key on.
  __m512i window(__mmask16 m, __m512i key, std::int32_t width) const {
    const __m512i bits = rest_of_word(m, key);
    const __m512i in_word = _mm512_and_si512(key, _mm512_set1_epi32(63));
    const __mmask16 over = _mm512_mask_cmpgt_epi32_mask(m, in_word, _mm512_set1_epi32(64 - width));
    if (over == 0) return bits;
    const __m512i own = _mm512_sub_epi32(_mm512_set1_epi32(64), in_word);
    return _mm512_or_si512(
        bits, _mm512_maskz_sllv_epi32(over, rest_of_word(over, _mm512_add_epi32(key, own)), own));
  }
  // Ranks of occupied keys.
  __m512i rank(__mmask16 m, __m512i key) const {
    __mmask16 kept = 0;
    const __m512i half = _mm512_or_si512(_mm512_slli_epi32(place(m, key, kept), 1),
                                         _mm512_and_si512(_mm512_srli_epi32(key, 5), _mm512_set1_epi32(1)));
    const __m512i bits = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), m, half, words, 4);
    const __m512i before = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), m, half, ranks, 4);
    const __m512i below = bits_below(_mm512_and_si512(key, _mm512_set1_epi32(31)));
    return _mm512_add_epi32(before, popcount32(_mm512_and_si512(bits, below)));
  }
};

// Base keys of targets of an affine relation.
void affine_bases(const Relation& rel, const std::int32_t* row, std::int32_t ndim, std::int32_t rows,
                  std::int32_t* base) {
  const std::int32_t columns = 1 + ndim;
  const std::int32_t pad = kAxes - ndim;
  const __m512i lane = _mm512_mullo_epi32(
      _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_epi32(columns));
  std::int64_t fixed = rel.source.origin;
  for (std::int32_t a = pad; a < kAxes; ++a) fixed += rel.axis[a].offset * rel.source.pitch[a];
  for (std::int32_t i = 0; i < rows; i += kLanes, row += kLanes * columns) {
    const __mmask16 m = first_lanes(rows - i);
    const __m512i batch = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), m, lane, row, 4);
    __m512i key =
        _mm512_mullo_epi32(batch, _mm512_set1_epi32(static_cast<std::int32_t>(rel.source.batch_pitch)));
    key = _mm512_add_epi32(key, _mm512_set1_epi32(static_cast<std::int32_t>(fixed)));
    for (std::int32_t a = pad; a < kAxes; ++a) {
      const __m512i c = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), m, lane, row + 1 + a - pad, 4);
      const auto pitch = static_cast<std::int32_t>(rel.axis[a].mul * rel.source.pitch[a]);
      key = _mm512_add_epi32(key, _mm512_mullo_epi32(c, _mm512_set1_epi32(pitch)));
    }
    _mm512_storeu_si512(base + i, key);
  }
}

// Base key and phase number of one target of a divided relation.
std::int32_t divided_base(const Relation& rel, const std::int32_t* row, std::int32_t ndim,
                          std::int32_t& phase) {
  std::int64_t key = rel.source.origin + row[0] * rel.source.batch_pitch;
  const std::int32_t pad = kAxes - ndim;
  phase = 0;
  for (std::int32_t a = pad; a < kAxes; ++a) {
    const AxisRelation& axis = rel.axis[a];
    const std::int32_t num = row[1 + a - pad] * axis.mul + axis.offset;  // >= 0 where div is not 1
    const std::int32_t q = axis.div == 1 ? num : num / axis.div;
    key += q * rel.source.pitch[a];
    phase = phase * axis.div + (num - q * axis.div);
  }
  return static_cast<std::int32_t>(key);
}

void make_block(const PairsArgs& a, std::int64_t tile, std::int64_t first, std::int32_t rows, Block& block) {
  const Relation& rel = a.problem.relation;
  const std::int32_t ndim = a.problem.target_ndim;
  const std::int32_t phases = a.problem.taps.phases;
  const std::int32_t* row = a.targets + first * (1 + ndim);
  const auto local = static_cast<std::uint32_t>(first - tile);
  if (phases == 1) {
    affine_bases(rel, row, ndim, rows, block.base);
    return tag_rows(local, rows, block);
  }
  const auto base_of = [&](std::int32_t i, std::int32_t& phase) {
    return divided_base(rel, row + i * (1 + ndim), ndim, phase);
  };
  group_by_phase(local, rows, phases, base_of, block);
}

// Keys of a group's windows for 16 targets, and their bits; zeros outside m.
__m512i window_keys(const TapGroup& group, const Block& block, std::int32_t i) {
  return _mm512_add_epi32(_mm512_loadu_si512(block.base + i),
                          _mm512_set1_epi32(static_cast<std::int32_t>(group.delta)));
}

template <typename Source>
__m512i window_bits(const TapGroup& group, __mmask16 m, __m512i key, const Source& source) {
  return _mm512_and_si512(source.window(m, key, group.width), _mm512_set1_epi32((1 << group.width) - 1));
}

template <typename Source>
void sweep(const Taps& taps, const Source& source, const Block& block, Lists& lists) {
  std::int32_t n = 0;
  for (std::int32_t f = 0; f < taps.phases; ++f) {
    const std::int32_t end = block.begin[f + 1];
    for (std::int32_t g = taps.phase_begin[f]; g < taps.phase_begin[f + 1]; ++g) {
      lists.begin[g] = n;
      const TapGroup& group = taps.groups[g];
      for (std::int32_t i = block.begin[f]; i < end; i += kLanes) {
        const __m512i key = window_keys(group, block, i);
        const __m512i bits = window_bits(group, first_lanes(end - i), key, source);
        const __mmask16 some = _mm512_test_epi32_mask(bits, bits);
        const __m512i tag = _mm512_or_si512(_mm512_loadu_si512(block.tag + i), bits);
        _mm512_storeu_si512(lists.key + n, _mm512_maskz_compress_epi32(some, key));
        _mm512_storeu_si512(lists.tag + n, _mm512_maskz_compress_epi32(some, tag));
        n += lanes_in(some);
      }
    }
  }
  lists.begin[taps.num_groups] = n;
}

// Adds each offset's pairs.
void count_lists(const Taps& taps, const Lists& lists, std::int32_t* counts) {
  for (std::int32_t g = 0; g < taps.num_groups; ++g) {
    const TapGroup& group = taps.groups[g];
    for (std::int32_t i = lists.begin[g]; i < lists.begin[g + 1]; i += kLanes) {
      const __mmask16 m = first_lanes(lists.begin[g + 1] - i);
      const __m512i tag = _mm512_loadu_si512(lists.tag + i);
      for (std::int32_t j = 0; j < group.width; ++j) {
        counts[group.first_k + j * group.step] +=
            lanes_in(_mm512_mask_test_epi32_mask(m, tag, _mm512_set1_epi32(1 << j)));
      }
    }
  }
}

// Appends the pairs of a block to each offset's run.
template <typename Source>
void emit(const PairsArgs& a, const Source& source, const Lists& lists, std::int32_t* cursor) {
  const Taps& taps = a.problem.taps;
  for (std::int32_t g = 0; g < taps.num_groups; ++g) {
    const TapGroup group = taps.groups[g];
    for (std::int32_t i = lists.begin[g]; i < lists.begin[g + 1]; i += kLanes) {
      const __mmask16 m = first_lanes(lists.begin[g + 1] - i);
      const __m512i tag = _mm512_maskz_loadu_epi32(m, lists.tag + i);
      const __m512i bits = _mm512_and_si512(tag, _mm512_set1_epi32(0xFF));
      const __m512i row = _mm512_srli_epi32(tag, 8);
      const __m512i key = _mm512_add_epi32(_mm512_loadu_si512(lists.key + i), lowest_bit(bits));
      __m512i rank = source.rank(m, key);
      for (std::int32_t j = 0; j < group.width; ++j) {
        const __mmask16 here = _mm512_mask_test_epi32_mask(m, bits, _mm512_set1_epi32(1 << j));
        const std::int32_t n = lanes_in(here);
        const __mmask16 out = first_lanes(n);
        std::int32_t& at = cursor[group.first_k + j * group.step];
        const __m512i in_rows = source.rows(out, _mm512_maskz_compress_epi32(here, rank));
        _mm512_mask_storeu_epi32(a.in_rows + at, out, in_rows);
        const __m512i rows = _mm512_maskz_compress_epi32(here, row);
        _mm256_mask_storeu_epi16(a.out_rows + at, out, _mm512_cvtepi32_epi16(rows));
        at += n;
        rank = _mm512_mask_add_epi32(rank, here, rank, _mm512_set1_epi32(1));
      }
    }
  }
}

// Writes table entries and collects mask words of the listed windows, one pair at a time.
template <typename Source>
void scatter(const PairsArgs& a, std::int64_t first, const Source& source, const Lists& lists) {
  const Taps& taps = a.problem.taps;
  const std::int32_t words = (a.problem.kv + 31) / 32;
  alignas(64) std::int32_t ranks[kLanes];
  for (std::int32_t g = 0; g < taps.num_groups; ++g) {
    const TapGroup& group = taps.groups[g];
    for (std::int32_t i = lists.begin[g]; i < lists.begin[g + 1]; i += kLanes) {
      const std::int32_t rest = lists.begin[g + 1] - i;
      const __mmask16 m = first_lanes(rest);
      const __m512i bits =
          _mm512_and_si512(_mm512_maskz_loadu_epi32(m, lists.tag + i), _mm512_set1_epi32(0xFF));
      const __m512i key = _mm512_add_epi32(_mm512_loadu_si512(lists.key + i), lowest_bit(bits));
      _mm512_store_si512(ranks, source.rank(m, key));
      for (std::int32_t e = 0; e < (rest < kLanes ? rest : kLanes); ++e) {
        const std::int64_t row = first + (lists.tag[i + e] >> 8);
        std::int32_t rank = ranks[e];
        for (std::uint32_t left = lists.tag[i + e] & 0xFFU; left != 0; left &= left - 1, ++rank) {
          const std::int32_t k = group.first_k + __builtin_ctz(left) * group.step;
          a.table[k * a.table_stride + row] = source.row_of_rank == nullptr ? rank : source.row_of_rank[rank];
          if (a.mask != nullptr) a.mask[row * words + k / 32] |= 1U << (k % 32);
        }
      }
    }
  }
}

// Mask words of a block of rows, word after word.
struct MaskBlock {
  alignas(64) std::uint32_t word[(kMaxPairOffsets + 31) / 32][kBlockRows];

  // Adds offsets first_k + j*step of 16 rows, bit j of `bits` each.
  void add(const TapGroup& group, std::int32_t row, __m512i bits) {
    const std::int32_t last_k = group.first_k + (group.width - 1) * group.step;
    if (group.step == 1 && group.first_k / 32 == last_k / 32) {
      std::uint32_t* at = word[group.first_k / 32] + row;
      const __m512i placed = _mm512_sll_epi32(bits, _mm_cvtsi32_si128(group.first_k % 32));
      _mm512_store_si512(at, _mm512_or_si512(_mm512_load_si512(at), placed));
      return;
    }
    for (std::int32_t j = 0; j < group.width; ++j) {
      const std::int32_t k = group.first_k + j * group.step;
      const __mmask16 here = _mm512_test_epi32_mask(bits, _mm512_set1_epi32(1 << j));
      std::uint32_t* at = word[k / 32] + row;
      const __m512i one = _mm512_maskz_set1_epi32(here, static_cast<std::int32_t>(1U << (k % 32)));
      _mm512_store_si512(at, _mm512_or_si512(_mm512_load_si512(at), one));
    }
  }
};

// The windows of one group for the rows of a block, and those of them that are not empty, side by side.
struct Windows {
  alignas(64) std::uint32_t bits[kBlockRows];
  alignas(64) std::int32_t key[kBlockRows + kLanes];                 // listed: of the first source
  alignas(64) std::uint32_t listed[kBlockRows + kLanes];             // listed: bits
  alignas(64) std::int32_t rows[kMaxTapWidth][kBlockRows + kLanes];  // sources of each offset, side by side
};

// Looks up the windows of a block; returns how many are listed.
template <typename Source>
std::int32_t list_windows(const TapGroup& group, std::int32_t rows, const Source& source, const Block& block,
                          Windows& w) {
  std::int32_t n = 0;
  for (std::int32_t i = 0; i < rows; i += kLanes) {
    const __m512i key = window_keys(group, block, i);
    const __m512i bits = window_bits(group, first_lanes(rows - i), key, source);
    const __mmask16 some = _mm512_test_epi32_mask(bits, bits);
    _mm512_store_si512(w.bits + i, bits);
    _mm512_storeu_si512(w.key + n,
                        _mm512_maskz_compress_epi32(some, _mm512_add_epi32(key, lowest_bit(bits))));
    _mm512_storeu_si512(w.listed + n, _mm512_maskz_compress_epi32(some, bits));
    n += lanes_in(some);
  }
  return n;
}

// Source rows of `n` listed windows, offset by offset.
template <typename Source>
void find_rows(const TapGroup& group, std::int32_t n, const Source& source, Windows& w) {
  std::int32_t count[kMaxTapWidth] = {};
  for (std::int32_t e = 0; e < n; e += kLanes) {
    const __mmask16 m = first_lanes(n - e);
    const __m512i bits = _mm512_maskz_loadu_epi32(m, w.listed + e);
    __m512i rank = source.rank(m, _mm512_load_si512(w.key + e));
    for (std::int32_t j = 0; j < group.width; ++j) {
      const __mmask16 here = _mm512_test_epi32_mask(bits, _mm512_set1_epi32(1 << j));
      _mm512_storeu_si512(w.rows[j] + count[j], _mm512_maskz_compress_epi32(here, rank));
      count[j] += lanes_in(here);
      rank = _mm512_mask_add_epi32(rank, here, rank, _mm512_set1_epi32(1));
    }
  }
  for (std::int32_t j = 0; j < group.width; ++j) {
    for (std::int32_t e = 0; e < count[j]; e += kLanes) {
      const __m512i rank = _mm512_load_si512(w.rows[j] + e);
      _mm512_store_si512(w.rows[j] + e, source.rows(first_lanes(count[j] - e), rank));
    }
  }
}

// Table entries of a group for rows in the order of the scan. Gathers cost as much for absent lanes as for
// present ones: they get what is present, side by side, and the entries are spread afterwards.
template <typename Source>
void fill_rows(const TapGroup& group, std::int32_t rows, const Source& source, const Block& block, Windows& w,
               std::int32_t* table, std::int64_t next) {
  const __m512i none = _mm512_set1_epi32(-1);
  find_rows(group, list_windows(group, rows, source, block, w), source, w);
  for (std::int32_t j = 0; j < group.width; ++j, table += next) {
    const std::int32_t* from = w.rows[j];
    for (std::int32_t i = 0; i < rows; i += kLanes) {
      const __mmask16 here = _mm512_test_epi32_mask(_mm512_load_si512(w.bits + i), _mm512_set1_epi32(1 << j));
      _mm512_mask_storeu_epi32(table + i, first_lanes(rows - i),
                               _mm512_mask_expand_epi32(none, here, _mm512_loadu_si512(from)));
      from += lanes_in(here);
    }
  }
}

// The same for rows in key order, where a rank is the row: too little is gathered for lists to pay.
template <typename Source>
void fill_ranks(const TapGroup& group, std::int32_t rows, const Source& source, const Block& block,
                Windows& w, std::int32_t* table, std::int64_t next) {
  const __m512i none = _mm512_set1_epi32(-1);
  for (std::int32_t i = 0; i < rows; i += kLanes, table += kLanes) {
    const __mmask16 m = first_lanes(rows - i);
    const __m512i key = window_keys(group, block, i);
    const __m512i bits = window_bits(group, m, key, source);
    _mm512_store_si512(w.bits + i, bits);
    const __mmask16 some = _mm512_test_epi32_mask(bits, bits);
    __m512i rank = none;
    if (some != 0) rank = source.rank(some, _mm512_add_epi32(key, lowest_bit(bits)));
    for (std::int32_t j = 0; j < group.width; ++j) {
      const __mmask16 here = _mm512_test_epi32_mask(bits, _mm512_set1_epi32(1 << j));
      _mm512_mask_storeu_epi32(table + j * next, m, _mm512_mask_blend_epi32(here, none, rank));
      rank = _mm512_mask_add_epi32(rank, here, rank, _mm512_set1_epi32(1));
    }
  }
}

// Table entries of a block of an affine relation: each is written once.
template <typename Source>
void fill_block(const PairsArgs& a, std::int64_t first, std::int32_t rows, const Source& source,
                const Block& block, MaskBlock& mask) {
  Windows w;
  for (std::int32_t g = 0; g < a.problem.taps.num_groups; ++g) {
    const TapGroup group = a.problem.taps.groups[g];
    std::int32_t* const table = a.table + group.first_k * a.table_stride + first;
    const std::int64_t next = group.step * a.table_stride;
    if (source.row_of_rank == nullptr) {
      fill_ranks(group, rows, source, block, w, table, next);
    } else {
      fill_rows(group, rows, source, block, w, table, next);
    }
    if (a.mask == nullptr) continue;
    for (std::int32_t i = 0; i < rows; i += kLanes) mask.add(group, i, _mm512_load_si512(w.bits + i));
  }
}

void write_masks(const PairsArgs& a, std::int64_t first, std::int32_t rows, std::int32_t words,
                 const MaskBlock& mask) {
  std::uint32_t* out = a.mask + first * words;
  for (std::int32_t w = 0; w < words; ++w) {
    for (std::int32_t i = 0; i < rows; ++i) out[static_cast<std::int64_t>(i) * words + w] = mask.word[w][i];
  }
}

template <typename Source>
void fill_table_body(const PairsArgs& a, RowRange targets) {
  const Source source(a.source);
  const std::int32_t step = block_rows(a.problem.taps, kLanes);
  const std::int32_t words = (a.problem.kv + 31) / 32;
  Lists lists;
  Block block;
  MaskBlock mask;
  for (std::int64_t i = targets.begin; i < targets.end; i += step) {
    const auto rows = static_cast<std::int32_t>(targets.end - i < step ? targets.end - i : step);
    make_block(a, i, i, rows, block);
    if (a.problem.taps.phases == 1) {
      if (a.mask != nullptr)
        __builtin_memset(mask.word, 0, static_cast<std::size_t>(words) * sizeof(mask.word[0]));
      fill_block(a, i, rows, source, block, mask);
      if (a.mask != nullptr) write_masks(a, i, rows, words, mask);
      continue;
    }
    for (std::int32_t k = 0; k < a.problem.kv; ++k) {
      __builtin_memset(a.table + k * a.table_stride + i, 0xFF, static_cast<std::size_t>(rows) * 4);
    }
    if (a.mask != nullptr)
      __builtin_memset(a.mask + i * words, 0, static_cast<std::size_t>(rows * words) * 4);
    sweep(a.problem.taps, source, block, lists);
    scatter(a, i, source, lists);
  }
}

}  // namespace

void pairs_avx512_fill_tiles(const PairsArgs& a, RowRange tiles) noexcept {
  const std::int32_t step = block_rows(a.problem.taps, kLanes);
  a.problem.form == IndexForm::kBitmap ? fill_tiles_body<Lists, Block, DirectSource>(a, tiles, step)
                                       : fill_tiles_body<Lists, Block, RankedSource>(a, tiles, step);
}

void pairs_avx512_fill_table(const PairsArgs& a, RowRange targets) noexcept {
  a.problem.form == IndexForm::kBitmap ? fill_table_body<DirectSource>(a, targets)
                                       : fill_table_body<RankedSource>(a, targets);
}

}  // namespace voxgemm
