// Kernel maps by windows of occupancy bits: portable code, compiled once without and once with bit
// instructions.
//
// A block of targets is swept group by group: a window with any bit set becomes an entry (key, bits | row <<
// 8) of the block's list. The lists are then counted (where does each offset's run of pairs begin?) and
// emitted: the rank of a window's first set bit, then one more for each further bit. All loops over entries
// are free of branches.
#pragma once

#include "kernels/pairs/fill_tiles.h"
#include "kernels/pairs/rows.h"
#include "kernels/pairs/target_block.h"

namespace voxgemm {
namespace {

struct Entry {
  std::int64_t key;
  std::uint32_t tag;  // window bits | row in tile << 8
};

struct Lists {
  Entry entry[kListEntries + 1];
  std::int32_t begin[kMaxPairOffsets + 1];  // of each group, in the order of Taps::groups
};

using Block = TargetBlock<std::int64_t, 0>;

// Words addressed directly.
class DirectSource {
 public:
  explicit DirectSource(const CoordIndexRef& index)
      : bytes_(reinterpret_cast<const unsigned char*>(index.words)),
        words_(index.words),
        ranks_(index.ranks) {}
  std::uint32_t window(std::int64_t key) const {  // at least kMaxTapWidth bits from key on
    static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
    std::uint32_t bits = 0;
    __builtin_memcpy(&bits, bytes_ + (key >> 3), sizeof(bits));
    return bits >> (key & 7);
  }
  std::int32_t rank(std::int64_t key) const {  // of an occupied key
    const std::uint64_t below = (std::uint64_t{1} << (key & 63)) - 1;
    return ranks_[2 * (key >> 6)] + __builtin_popcountll(words_[key >> 6] & below);
  }

 private:
  const unsigned char* bytes_;
  const std::uint64_t* words_;
  const std::int32_t* ranks_;
};

// Occupied words only, found through the index.
template <IndexForm kForm>
class ListedSource {
 public:
  explicit ListedSource(const CoordIndexRef& index) : index_(index) {}
  std::uint32_t window(std::int64_t key) const {
    const auto shift = static_cast<std::int32_t>(key & 63);
    std::uint64_t bits = word(key >> 6) >> shift;
    if (shift > 64 - kMaxTapWidth) bits |= word((key >> 6) + 1) << (64 - shift);
    return static_cast<std::uint32_t>(bits);
  }
  std::int32_t rank(std::int64_t key) const {
    const std::int64_t at =
        kForm == IndexForm::kRankedWords ? ranked_place(index_, key >> 6) : first_word_from(index_, key >> 6);
    const std::uint64_t below = (std::uint64_t{1} << (key & 63)) - 1;
    return index_.ranks[2 * at] + __builtin_popcountll(index_.words[at] & below);
  }

 private:
  std::uint64_t word(std::int64_t id) const {
    if (kForm == IndexForm::kRankedWords) {
      if ((index_.summary[id >> 6] >> (id & 63) & 1U) == 0) return 0;
      return index_.words[ranked_place(index_, id)];
    }
    const std::int32_t at = first_word_from(index_, id);
    return at < index_.state->num_words && index_.ids[at] == id ? index_.words[at] : 0;
  }
  const CoordIndexRef& index_;
};

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  const std::int64_t q = a / b;
  return q - (a % b < 0 ? 1 : 0);
}

// Base key and phase number of one target.
std::int64_t base_of(const Relation& rel, const std::int32_t* row, std::int32_t ndim, std::int32_t& phase) {
  std::int64_t key = rel.source.origin + row[0] * rel.source.batch_pitch;
  phase = 0;
  const std::int32_t pad = kAxes - ndim;  // leading axes of extent 1: nothing to add
  for (std::int32_t a = pad; a < kAxes; ++a) {
    const AxisRelation& axis = rel.axis[a];
    const std::int64_t num = static_cast<std::int64_t>(row[1 + a - pad]) * axis.mul + axis.offset;
    if (axis.div == 1) {
      key += num * rel.source.pitch[a];
    } else {
      const std::int64_t q = floor_div(num, axis.div);
      key += q * rel.source.pitch[a];
      phase = phase * axis.div + static_cast<std::int32_t>(num - q * axis.div);
    }
  }
  return key;
}

// Targets [first, first + rows) of a tile that begins at `tile`.
void make_block(const PairsArgs& a, std::int64_t tile, std::int64_t first, std::int32_t rows, Block& block) {
  const Relation& rel = a.problem.relation;
  const std::int32_t ndim = a.problem.target_ndim;
  const std::int32_t phases = a.problem.taps.phases;
  const std::int32_t* row = a.targets + first * (1 + ndim);
  const auto local = static_cast<std::uint32_t>(first - tile);
  if (phases == 1) {
    std::int32_t phase = 0;
    for (std::int32_t i = 0; i < rows; ++i) block.base[i] = base_of(rel, row + i * (1 + ndim), ndim, phase);
    return tag_rows(local, rows, block);
  }
  const auto base = [&](std::int32_t i, std::int32_t& phase) {
    return base_of(rel, row + i * (1 + ndim), ndim, phase);
  };
  group_by_phase(local, rows, phases, base, block);
}

// Lists every non-empty window of the block; returns its pairs.
template <typename Source>
void sweep(const Taps& taps, const Source& source, const Block& block, Lists& lists) {
  std::int32_t n = 0;
  for (std::int32_t f = 0; f < taps.phases; ++f) {
    for (std::int32_t g = taps.phase_begin[f]; g < taps.phase_begin[f + 1]; ++g) {
      lists.begin[g] = n;
      const TapGroup& group = taps.groups[g];
      const std::uint32_t window = (1U << group.width) - 1;
      for (std::int32_t i = block.begin[f]; i < block.begin[f + 1]; ++i) {
        const std::int64_t key = block.base[i] + group.delta;
        const std::uint32_t bits = source.window(key) & window;
        lists.entry[n] = {key, bits | block.tag[i]};
        n += bits != 0 ? 1 : 0;
      }
    }
  }
  lists.begin[taps.num_groups] = n;
}

// Adds each offset's pairs.
void count_lists(const Taps& taps, const Lists& lists, std::int32_t* counts) {
  for (std::int32_t g = 0; g < taps.num_groups; ++g) {
    const TapGroup& group = taps.groups[g];
    std::uint32_t sum[kMaxTapWidth] = {};
    for (std::int32_t i = lists.begin[g]; i < lists.begin[g + 1]; ++i) {
      for (std::int32_t j = 0; j < group.width; ++j) sum[j] += lists.entry[i].tag >> j & 1U;
    }
    for (std::int32_t j = 0; j < group.width; ++j) {
      counts[group.first_k + j * group.step] += static_cast<std::int32_t>(sum[j]);
    }
  }
}

// Appends the pairs of a block to each offset's run. A group's runs are made aside, so that the loop needs no
// branch: an absent pair is written and then written over.
template <typename Source>
void emit(const PairsArgs& a, const Source& source, const Lists& lists, std::int32_t* cursor) {
  const Taps& taps = a.problem.taps;
  const std::int32_t* const row_of_rank = a.source.state->canonical != 0 ? nullptr : a.source.row_of_rank;
  std::int32_t in_rows[kMaxTapWidth][kBlockRows + 1];
  std::uint16_t out_rows[kMaxTapWidth][kBlockRows + 1];
  for (std::int32_t g = 0; g < taps.num_groups; ++g) {
    const TapGroup& group = taps.groups[g];
    std::int32_t count[kMaxTapWidth] = {};
    for (std::int32_t i = lists.begin[g]; i < lists.begin[g + 1]; ++i) {
      const Entry& entry = lists.entry[i];
      const std::uint32_t bits = entry.tag & 0xFFU;
      std::int32_t rank = source.rank(entry.key + __builtin_ctz(bits));
      for (std::int32_t j = 0; j < group.width; ++j) {
        const auto present = static_cast<std::int32_t>(bits >> j & 1U);
        in_rows[j][count[j]] = row_of_rank == nullptr ? rank : row_of_rank[rank];
        out_rows[j][count[j]] = static_cast<std::uint16_t>(entry.tag >> 8);
        count[j] += present;
        rank += present;
      }
    }
    for (std::int32_t j = 0; j < group.width; ++j) {
      std::int32_t& at = cursor[group.first_k + j * group.step];
      const auto n = static_cast<std::size_t>(count[j]);
      __builtin_memcpy(a.in_rows + at, in_rows[j], n * sizeof(std::int32_t));
      __builtin_memcpy(a.out_rows + at, out_rows[j], n * sizeof(std::uint16_t));
      at += count[j];
    }
  }
}

// Writes the table entries of a block's windows, present or not, and collects its mask words.
template <typename Source>
void scatter(const PairsArgs& a, std::int64_t first, const Source& source, const Lists& lists) {
  const Taps& taps = a.problem.taps;
  const std::int32_t words = (a.problem.kv + 31) / 32;
  const std::int32_t* const row_of_rank = a.source.state->canonical != 0 ? nullptr : a.source.row_of_rank;
  for (std::int32_t g = 0; g < taps.num_groups; ++g) {
    const TapGroup& group = taps.groups[g];
    for (std::int32_t i = lists.begin[g]; i < lists.begin[g + 1]; ++i) {
      const Entry& entry = lists.entry[i];
      const std::uint32_t bits = entry.tag & 0xFFU;
      const std::int64_t target = first + (entry.tag >> 8);
      std::int32_t rank = source.rank(entry.key + __builtin_ctz(bits));
      for (std::int32_t j = 0; j < group.width; ++j) {
        const std::uint32_t present = bits >> j & 1U;
        const std::int32_t k = group.first_k + j * group.step;
        const std::int32_t row = row_of_rank == nullptr ? rank : row_of_rank[rank];
        a.table[k * a.table_stride + target] = present != 0 ? row : -1;
        if (a.mask != nullptr) a.mask[target * words + k / 32] |= present << (k % 32);
        rank += static_cast<std::int32_t>(present);
      }
    }
  }
}

template <typename Source>
void fill_table_body(const PairsArgs& a, RowRange targets) {
  const Source source(a.source);
  const std::int32_t step = block_rows(a.problem.taps, 1);
  const std::int32_t kv = a.problem.kv;
  const std::int32_t words = (kv + 31) / 32;
  Lists lists;
  Block block;
  for (std::int64_t i = targets.begin; i < targets.end; i += step) {
    const auto rows = static_cast<std::int32_t>(targets.end - i < step ? targets.end - i : step);
    for (std::int32_t k = 0; k < kv; ++k) {
      __builtin_memset(a.table + k * a.table_stride + i, 0xFF,
                       static_cast<std::size_t>(rows) * sizeof(std::int32_t));
    }
    std::uint32_t* mask = a.mask == nullptr ? nullptr : a.mask + i * words;
    if (mask != nullptr)
      __builtin_memset(mask, 0, static_cast<std::size_t>(rows * words) * sizeof(std::uint32_t));
    make_block(a, i, i, rows, block);
    sweep(a.problem.taps, source, block, lists);
    scatter(a, i, source, lists);
  }
}

void fill_tiles_of_form(const PairsArgs& a, RowRange tiles) {
  const std::int32_t step = block_rows(a.problem.taps, 1);
  switch (a.problem.form) {
    case IndexForm::kBitmap:
      return fill_tiles_body<Lists, Block, DirectSource>(a, tiles, step);
    case IndexForm::kRankedWords:
      return fill_tiles_body<Lists, Block, ListedSource<IndexForm::kRankedWords>>(a, tiles, step);
    case IndexForm::kSortedWords:
      return fill_tiles_body<Lists, Block, ListedSource<IndexForm::kSortedWords>>(a, tiles, step);
  }
}

void fill_table_of_form(const PairsArgs& a, RowRange targets) {
  switch (a.problem.form) {
    case IndexForm::kBitmap:
      return fill_table_body<DirectSource>(a, targets);
    case IndexForm::kRankedWords:
      return fill_table_body<ListedSource<IndexForm::kRankedWords>>(a, targets);
    case IndexForm::kSortedWords:
      return fill_table_body<ListedSource<IndexForm::kSortedWords>>(a, targets);
  }
}

}  // namespace
}  // namespace voxgemm
