// Short row key of a 3x3x3 submanifold mask: rows that meet the same neighbours get near keys.
#pragma once

#include <cstdint>

#include "voxgemm/types.h"

namespace voxgemm {

inline constexpr std::uint32_t kPatternKeys = 1024;

/// Gray rank (0..1023) of: bits 0..7, any neighbour in each of the eight columns around the site (row-major
/// over the last two axes, centre left out); bit 8, any neighbour below (first axis); bit 9, any above.
VOXGEMM_HOST_DEVICE constexpr std::uint32_t pattern_key(std::uint32_t mask) {
  const std::uint32_t below = mask & 0x1FFU;
  const std::uint32_t above = mask >> 18 & 0x1FFU;
  const std::uint32_t columns = below | (mask >> 9 & 0x1FFU) | above;
  std::uint32_t key = (columns & 0xFU) | (columns >> 1 & 0xF0U);  // column 4 is the site's own
  key |= (below != 0 ? 0x100U : 0U) | (above != 0 ? 0x200U : 0U);
  key ^= key >> 8;  // Gray code to rank
  key ^= key >> 4;
  key ^= key >> 2;
  key ^= key >> 1;
  return key;
}

}  // namespace voxgemm
