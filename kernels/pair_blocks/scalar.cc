#include "kernels/pair_blocks/pair_blocks.h"

namespace voxgemm {
namespace {

// Lists the offsets of the block at place `place` of the order.
void list_block(const PairBlocksArgs& a, std::int64_t place) {
  const std::int64_t left = a.num_out - place;
  const std::int64_t rows = left < kPairBlockRows ? left : kPairBlockRows;
  const std::int64_t block = place / kPairBlockRows;
  std::int32_t steps = 0;
  for (std::int32_t k = 0; k < a.kv; ++k) {
    std::int32_t* const to = a.in_rows + (block * a.kv + steps) * kPairBlockRows;
    bool any = false;
    for (std::int64_t r = 0; r < kPairBlockRows; ++r) {
      to[r] = r < rows ? a.table[k * a.table_stride + a.order[place + r]] : -1;
      any = any || to[r] >= 0;
    }
    a.offsets[block * a.kv + steps] = k;
    steps += any ? 1 : 0;
  }
  a.num_steps[block] = steps;
}

}  // namespace

void scalar_pair_blocks(const PairBlocksArgs& a, RowRange windows) noexcept {
  std::uint16_t keys[kPairWindowRows];
  std::uint16_t ends[kPairBlockKeys];
  for (std::int64_t w = windows.begin; w < windows.end; ++w) {
    const std::int64_t first = w * kPairWindowRows;
    const std::int32_t count = window_rows(a.num_out, w);
    for (std::int32_t r = 0; r < count; ++r) {
      const std::uint32_t key = has_block_keys(a.kv) ? block_key(a.mask[first + r], a.kv) : 0;
      keys[r] = static_cast<std::uint16_t>(key);
    }
    sort_by_key(keys, count, ends, a.order + first);
    for (std::int32_t r = 0; r < count; ++r) a.order[first + r] += static_cast<std::int32_t>(first);
    for (std::int32_t r = 0; r < count; r += kPairBlockRows) list_block(a, first + r);
  }
}

}  // namespace voxgemm
