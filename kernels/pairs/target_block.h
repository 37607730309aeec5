// A block of targets grouped by phase, which the rows of the pairs table look up at a time. ISA files include
// this.
#pragma once

#include "kernels/pairs/rows.h"

namespace voxgemm {
namespace {  // internal linkage: every ISA file keeps its own copy

constexpr std::int32_t kBlockRows = 512;
constexpr std::int32_t kListEntries = 8192;

/// Each phase has room for kMore rows to be read behind it.
template <typename Key, std::int32_t kMore>
struct TargetBlock {
  alignas(64) Key base[kBlockRows + kMore];           // key that the windows of a target are counted from
  alignas(64) std::uint32_t tag[kBlockRows + kMore];  // row in tile << 8
  std::int32_t begin[kMaxTapPhases + 1];
};

/// A block of one phase, without its bases. `local`: its first row in the tile.
template <typename Key, std::int32_t kMore>
void tag_rows(std::uint32_t local, std::int32_t rows, TargetBlock<Key, kMore>& block) {
  for (std::int32_t i = 0; i < rows; ++i) block.tag[i] = (local + static_cast<std::uint32_t>(i)) << 8;
  block.begin[0] = 0;
  block.begin[1] = rows;
}

/// A block of several; base_of(i, phase) gives the base of target i and sets its phase.
template <typename Key, std::int32_t kMore, typename BaseOf>
void group_by_phase(std::uint32_t local, std::int32_t rows, std::int32_t phases, const BaseOf& base_of,
                    TargetBlock<Key, kMore>& block) {
  Key base[kBlockRows];
  std::int32_t phase_of[kBlockRows];
  std::int32_t place[kMaxTapPhases + 1] = {};
  for (std::int32_t i = 0; i < rows; ++i) {
    base[i] = base_of(i, phase_of[i]);
    ++place[phase_of[i] + 1];
  }
  for (std::int32_t f = 0; f < phases; ++f) place[f + 1] += place[f];
  for (std::int32_t f = 0; f <= phases; ++f) block.begin[f] = place[f];
  for (std::int32_t i = 0; i < rows; ++i) {
    const std::int32_t at = place[phase_of[i]]++;
    block.base[at] = base[i];
    block.tag[at] = (local + static_cast<std::uint32_t>(i)) << 8;
  }
}

/// Rows of a block, a multiple of `step`, whose lists are sure to fit in kListEntries.
inline std::int32_t block_rows(const Taps& taps, std::int32_t step) {
  std::int32_t most = 1;
  for (std::int32_t f = 0; f < taps.phases; ++f) {
    const std::int32_t groups = taps.phase_begin[f + 1] - taps.phase_begin[f];
    most = groups > most ? groups : most;
  }
  const std::int32_t rows = kListEntries / most / step * step;
  return rows < kBlockRows ? rows : kBlockRows;
}

}  // namespace
}  // namespace voxgemm
