// From a pair table to blocks of 32 output rows with like neighbours (BlockPairsView): rows of a window are
// sorted by a key of their masks, stable; every block lists the offsets that some row of it has.
//
//   key = pattern_key(mask) of 27 offsets; the Gray rank of the mask of at most 10; else 0, which sorts
//   nothing
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/kernel.h"
#include "kernels/pattern_key.h"
#include "voxgemm/pair_views.h"
#include "voxgemm/types.h"

namespace voxgemm {

/// Rows that are sorted together: few enough that gathers of neighbours stay in the caches.
inline constexpr std::int32_t kPairWindowRows = 1024;
inline constexpr std::int32_t kPairBlockKeys = kPatternKeys;

struct PairBlocksArgs {
  const std::int32_t* table = nullptr;  // [kv][table_stride] input row or -1
  std::int64_t table_stride = 0;
  const std::uint32_t* mask = nullptr;  // [num_out][ceil(kv/32)]
  std::int32_t kv = 1;
  std::int32_t num_out = 0;
  // Members of BlockPairsView.
  std::int32_t* order = nullptr;
  std::int32_t* num_steps = nullptr;
  std::int32_t* offsets = nullptr;
  std::int32_t* in_rows = nullptr;
};

struct PairBlocksKernel {
  std::string_view name;  // "<isa>_pair_blocks"
  Isa isa = Isa::kScalar;
  /// Makes the blocks of windows [range.begin, range.end).
  void (*run)(const PairBlocksArgs&, RowRange windows) noexcept = nullptr;
};

/// Best first; the last row is scalar.
std::span<const PairBlocksKernel> pair_blocks_kernels();

void scalar_pair_blocks(const PairBlocksArgs&, RowRange windows) noexcept;
void avx512_pair_blocks(const PairBlocksArgs&, RowRange windows) noexcept;

/// Rows of window w.
constexpr std::int32_t window_rows(std::int32_t num_out, std::int64_t w) {
  const std::int64_t left = num_out - w * kPairWindowRows;
  return static_cast<std::int32_t>(left < kPairWindowRows ? left : kPairWindowRows);
}

/// Whether rows of a map have keys.
constexpr bool has_block_keys(std::int32_t kv) { return kv == 27 || kv <= 10; }

/// Sort key of a row, when has_block_keys().
constexpr std::uint32_t block_key(std::uint32_t mask, std::int32_t kv) {
  return kv == 27 ? pattern_key(mask) : gray_rank(mask);
}

/// local[0, count) = the rows of a window by ascending keys[], equal keys in the order of the rows.
/// `ends` [kPairBlockKeys] is scratch.
static inline void sort_by_key(const std::uint16_t* keys, std::int32_t count, std::uint16_t* ends,
                               std::int32_t* local) {
  for (std::int32_t i = 0; i < kPairBlockKeys; ++i) ends[i] = 0;
  for (std::int32_t r = 0; r < count; ++r) ++ends[keys[r]];
  std::uint32_t end = 0;
  for (std::int32_t i = 0; i < kPairBlockKeys; ++i) {
    end += ends[i];
    ends[i] = static_cast<std::uint16_t>(end);
  }
  for (std::int32_t r = count - 1; r >= 0; --r) local[--ends[keys[r]]] = r;
}

}  // namespace voxgemm
