// Channel blocks, register shapes and weight layout of the CPU rows: pure functions, shared by kernels and
// packing.
//
// Output channels come in units of 16, units in blocks of at most 4; a tile is worked through block by block.
// Input channels come in steps of `depth`: 4 for dot products of bytes, 2 for those of 16-bit numbers, 1 for
// float32.
#pragma once

#include <cstdint>

namespace voxgemm {
namespace {  // internal linkage: ISA files include this

inline constexpr std::int32_t kUnitChannels = 16;
inline constexpr std::int32_t kMaxUnits = 4;

/// Register block of a row for `units` units side by side.
struct BlockShape {
  std::int32_t rows = 1;    // output rows (pairs) of a full block
  bool stationary = false;  // the weights of an offset stay in registers over its whole list
};

constexpr std::int32_t num_units(std::int32_t c_out) { return (c_out + kUnitChannels - 1) / kUnitChannels; }
constexpr std::int32_t num_blocks(std::int32_t c_out) {
  return (num_units(c_out) + kMaxUnits - 1) / kMaxUnits;
}
constexpr std::int32_t num_steps(std::int32_t c_in, std::int32_t depth) { return (c_in + depth - 1) / depth; }

/// First unit of channel block `block`; blocks are as even as can be.
constexpr std::int32_t first_unit(std::int32_t c_out, std::int32_t block) {
  return static_cast<std::int32_t>(std::int64_t{num_units(c_out)} * block / num_blocks(c_out));
}
constexpr std::int32_t block_units(std::int32_t c_out, std::int32_t block) {
  return first_unit(c_out, block + 1) - first_unit(c_out, block);
}
constexpr std::int32_t widest_block(std::int32_t c_out) {
  return (num_units(c_out) + num_blocks(c_out) - 1) / num_blocks(c_out);
}

/// Weights from one offset to the next within a block of `units` units: [steps][units][16][depth].
constexpr std::int64_t offset_weights(std::int32_t c_in, std::int32_t depth, std::int32_t units) {
  return std::int64_t{num_steps(c_in, depth)} * units * kUnitChannels * depth;
}

/// Index of weight W[n][k][c]: [block][kv][steps][units of the block][16 channels][depth].
constexpr std::int64_t weight_at(std::int32_t kv, std::int32_t c_in, std::int32_t c_out, std::int32_t depth,
                                 std::int32_t n, std::int32_t k, std::int32_t c) {
  const std::int32_t unit = n / kUnitChannels;
  std::int32_t block = 0;
  while (first_unit(c_out, block + 1) <= unit) ++block;
  const std::int32_t first = first_unit(c_out, block);
  const std::int32_t units = block_units(c_out, block);
  const std::int64_t before =
      offset_weights(c_in, depth, first) * kv + offset_weights(c_in, depth, units) * k;
  const std::int64_t step = c / depth;
  return before + ((step * units + unit - first) * kUnitChannels + n % kUnitChannels) * depth + c % depth;
}

/// Register block of the AVX-512 VNNI rows for `steps` dot steps. 32 registers hold rows * units
/// accumulators, the weights (units of one step, or all of an offset when they take at most 16) and a
/// broadcast activation. Weights stay where they fit: a block of few channels otherwise loads one weight per
/// dot. About 10 independent sums hide the latency of the two dot ports; the blocks that follow fill the
/// rest, and higher ones are slower again (measured: 3 to 6 rows).
constexpr BlockShape vnni_shape(std::int32_t steps, std::int32_t units) {
  constexpr std::int32_t kStationary[] = {0, 4, 5, 3, 3};
  constexpr std::int32_t kStreaming[] = {0, 6, 6, 6, 6};
  const bool power_of_two = steps == 1 || steps == 2 || steps == 4 || steps == 8;
  if (power_of_two && steps * units <= 16) return {kStationary[units], true};
  return {kStreaming[units], false};
}

/// Sums that a row of the table keeps in the L1 cache: 32 KiB of them, unit by unit: (units, rows, 16). With
/// all units of a row side by side, the loads of one register block would meet the stores of the block before
/// at equal addresses modulo 4096, and wait for them; unit by unit that takes rows 64 apart.
inline constexpr std::int32_t kMostSums = 8192;
constexpr std::int32_t accumulator_rows(std::int32_t units) { return kMostSums / kUnitChannels / units; }
/// Sums from one unit to the next.
constexpr std::int32_t accumulator_plane(std::int32_t units) {
  return accumulator_rows(units) * kUnitChannels;
}

}  // namespace
}  // namespace voxgemm
