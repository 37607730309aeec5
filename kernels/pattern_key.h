// Short row key of a 3x3x3 submanifold mask: rows that meet the same neighbours get near keys.
#pragma once

#include <cstdint>

#include "voxgemm/types.h"

namespace voxgemm {

inline constexpr std::uint32_t kPatternKeys = 1024;

/// Rank of a Gray code of at most 16 bits: neighbouring ranks differ in one bit of the code.
VOXGEMM_HOST_DEVICE constexpr std::uint32_t gray_rank(std::uint32_t code) {
  code ^= code >> 8;
  code ^= code >> 4;
  code ^= code >> 2;
  return code ^ code >> 1;
}

/// Gray rank (0..1023) of: bits 0..7, any neighbour in each of the eight columns around the site (row-major
/// over the last two axes, centre left out); bit 8, any neighbour below (first axis); bit 9, any above.
VOXGEMM_HOST_DEVICE constexpr std::uint32_t pattern_key(std::uint32_t mask) {
  const std::uint32_t below = mask & 0x1FFU;
  const std::uint32_t above = mask >> 18 & 0x1FFU;
  const std::uint32_t columns = below | (mask >> 9 & 0x1FFU) | above;
  std::uint32_t key = (columns & 0xFU) | (columns >> 1 & 0xF0U);  // column 4 is the site's own
  key |= (below != 0 ? 0x100U : 0U) | (above != 0 ? 0x200U : 0U);
  return gray_rank(key);
}

}  // namespace voxgemm
