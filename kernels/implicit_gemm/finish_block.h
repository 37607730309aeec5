// What a row hands to its epilogue: a block of sums. ISA files only.
#pragma once

#include <cstdint>

namespace voxgemm {
namespace {  // internal linkage: every ISA file keeps its own copy

/// Sums of `rows` output rows times the 16-channel units of a block, and where they go. The epilogue leaves
/// zeros in them: the next tile starts without a pass of its own.
template <typename Sum>
struct FinishBlock {
  Sum* acc = nullptr;                         // (units, rows, 16), units accumulator_plane() apart
  const std::int32_t* corrections = nullptr;  // (rows) taken off every sum of a row; null = none
  std::int64_t first_row = 0;                 // output row of the block's first
  std::int32_t rows = 0;
  std::int32_t channel = 0;  // first output channel
};

}  // namespace
}  // namespace voxgemm
