// Row orders that put like masks together.
//
//   argsort is the stable permutation of [0, n) that sorts rows by (mask & offsets [lo, hi)), ascending, word
//   0 most significant; or by pattern_key of those bits.
#pragma once

#include <cstdint>

namespace voxgemm {

struct MaskSortArgs {
  const std::uint32_t* mask = nullptr;  // [n][words]
  std::int32_t n = 0;
  std::int32_t words = 1;
  std::int32_t lo = 0;  // offsets [lo, hi) take part
  std::int32_t hi = 27;
  bool pattern = false;             // by pattern_key: one word, 27 offsets
  std::int32_t* argsort = nullptr;  // [n]
  std::int32_t* scratch = nullptr;  // [n]
};

void mask_sort(const MaskSortArgs& args) noexcept;

}  // namespace voxgemm
