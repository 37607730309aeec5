// What a row hands to its epilogue: a block of sums. ISA files only.
#pragma once

#include <cstdint>

namespace voxgemm {
namespace {  // internal linkage: every ISA file keeps its own copy

/// What the sums of a block are.
enum class SumsOf : std::uint8_t {
  kTile,        // of consecutive rows, units accumulator_plane() apart; left as zeros, so that the next tile
                // starts without a pass of its own
  kBiasedTile,  // the same, with corrections
  kTableBlock,  // of rows in any order, units kPairBlockRows rows apart; left as they are
};

/// Sums of `rows` output rows times the 16-channel units of a block, and where they go.
template <typename Sum>
struct FinishBlock {
  Sum* acc = nullptr;                         // (units, rows, 16)
  const std::int32_t* corrections = nullptr;  // (rows) taken off every sum of a row; kBiasedTile only
  const std::int32_t* order = nullptr;  // (rows) row i is output row first_row + order[i]; kTableBlock only
  std::int64_t first_row = 0;           // output row of the block's first
  std::int32_t rows = 0;
  std::int32_t channel = 0;  // first output channel
};

}  // namespace
}  // namespace voxgemm
