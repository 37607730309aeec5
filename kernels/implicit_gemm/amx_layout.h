// Slabs and weight layout of the AMX row: pure functions, shared by kernel and packing.
//
// A slab is what one tile multiply takes of an output row: 64 bytes of input. Rows of more than 32 channels
// fill ceil(c_in / 64) slabs an offset; narrower rows share a slab between 2 or 4 neighbouring offsets, side
// by side, so that a multiply is not mostly padding.
#pragma once

#include <cstdint>

namespace voxgemm {
namespace {  // internal linkage: ISA files include this

inline constexpr std::int32_t kSlabBytes = 64;
inline constexpr std::int32_t kWeightTileBytes = 1024;  // 64 input channels x 16 output channels
inline constexpr std::int32_t kGroupUnits = 2;          // units of 16 output channels multiplied together

/// How the input of a layer falls into slabs.
struct SlabShape {
  std::int32_t share = 1;   // offsets side by side in one slab: 1, 2 or 4
  std::int32_t steps = 1;   // groups of `share` offsets
  std::int32_t chunks = 1;  // slabs of a step; 1 when offsets share
};

constexpr SlabShape slab_shape(std::int32_t kv, std::int32_t c_in) {
  const std::int32_t share = c_in <= kSlabBytes / 4 ? 4 : c_in <= kSlabBytes / 2 ? 2 : 1;
  return {share, (kv + share - 1) / share, (c_in + kSlabBytes - 1) / kSlabBytes};
}

/// Units of the group that starts at unit `unit` (even) of `units`.
constexpr std::int32_t group_units(std::int32_t unit, std::int32_t units) {
  return units - unit < kGroupUnits ? units - unit : kGroupUnits;
}

/// Whether a layer is worth pair blocks, which list single offsets: what skipped offsets spare against making
/// the blocks.
constexpr bool blocks_pay(SlabShape s) { return s.share == 1 && s.steps >= 9; }

/// First byte of the weights of the group that starts at unit `unit` (even):
/// [group][steps][chunks][units of the group][16 steps of 4 channels][16 output channels][4].
constexpr std::int64_t group_weights(SlabShape s, std::int32_t unit) {
  return std::int64_t{unit} * s.steps * s.chunks * kWeightTileBytes;
}

/// Byte of weight W[n][k][c] among `units` units.
constexpr std::int64_t slab_weight_at(SlabShape s, std::int32_t units, std::int32_t n, std::int32_t k,
                                      std::int32_t c) {
  const std::int32_t unit = n / 16;
  const std::int32_t first = unit / kGroupUnits * kGroupUnits;
  const std::int64_t slab = std::int64_t{k / s.share} * s.chunks + c / kSlabBytes;
  const std::int32_t byte = k % s.share * (kSlabBytes / s.share) + c % kSlabBytes;
  return group_weights(s, first) + (slab * group_units(first, units) + unit - first) * kWeightTileBytes +
         byte / 4 * 64 + n % 16 * 4 + byte % 4;
}

}  // namespace
}  // namespace voxgemm
