// Row orders on CUDA: stable counting passes over 10-bit digits of the masks; the counts stay on the device.
#pragma once

#include <cstdint>

#include "kernels/kernel.h"
#include "kernels/order_chunks.h"

namespace voxgemm::device {

/// One pass of one order: order_out is the stable arrangement of order_in by
///   (mask[row][word] & filter) >> shift & 1023,   or by pattern_key(mask[row][word] & filter).
struct OrderPass {
  const std::int32_t* count = nullptr;  // one int32
  std::int32_t capacity = 0;
  const std::uint32_t* mask = nullptr;  // [count][mask_words]
  std::int32_t mask_words = 1;
  std::int32_t word = 0;
  std::int32_t shift = 0;
  std::uint32_t filter = 0xFFFFFFFFU;
  bool pattern = false;
  const std::int32_t* order_in = nullptr;  // [count]; null = identity
  std::int32_t* order_out = nullptr;       // [count]
  std::uint32_t* chunk_counts = nullptr;   // [chunks][1024]
  std::uint32_t* group_counts = nullptr;   // [groups][1024], zero before the pass is counted
};

inline constexpr int kMaxOrderPasses = 16;  // one launch

struct OrderArgs {
  std::int32_t num_passes = 0;
  OrderPass passes[kMaxOrderPasses] = {};
};

/// Fills chunk_counts and group_counts.
void sm80_order_count(const OrderArgs&, Exec) noexcept;
/// Reads them and writes order_out.
void sm80_order_scatter(const OrderArgs&, Exec) noexcept;

}  // namespace voxgemm::device
