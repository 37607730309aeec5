// Shapes and weight layout of the AVX-512 VNNI rows: pure functions, shared by the kernels and by the
// packing.
#pragma once

#include <cstdint>

namespace voxgemm {
namespace {  // internal linkage: ISA files include this

inline constexpr std::int32_t kVnniLanes = 16;    // int32 lanes of a register: output channels of a unit
inline constexpr std::int32_t kVnniDepth = 4;     // input channels of one dot step
inline constexpr std::int32_t kVnniMaxUnits = 4;  // units of one channel block: at most 64 channels

/// How the register block of one channel block looks.
struct VnniShape {
  std::int32_t units = 1;   // 16-channel units side by side
  std::int32_t rows = 1;    // output rows of a full register block
  bool stationary = false;  // the weights of an offset stay in registers over its whole list
};

constexpr std::int32_t vnni_units(std::int32_t c_out) { return (c_out + kVnniLanes - 1) / kVnniLanes; }
constexpr std::int32_t vnni_steps(std::int32_t c_in) { return (c_in + kVnniDepth - 1) / kVnniDepth; }
constexpr std::int32_t vnni_blocks(std::int32_t c_out) {
  return (vnni_units(c_out) + kVnniMaxUnits - 1) / kVnniMaxUnits;
}

/// First unit of channel block `block`; blocks are as even as can be.
constexpr std::int32_t vnni_first_unit(std::int32_t c_out, std::int32_t block) {
  return static_cast<std::int32_t>(std::int64_t{vnni_units(c_out)} * block / vnni_blocks(c_out));
}
constexpr std::int32_t vnni_block_units(std::int32_t c_out, std::int32_t block) {
  return vnni_first_unit(c_out, block + 1) - vnni_first_unit(c_out, block);
}

/// Register block for `steps` dot steps and `units` units. 32 registers hold rows * units accumulators, the
/// weights (units of one step, or all of an offset when they take at most 16) and a broadcast activation. 10
/// independent sums or more hide the latency of the two dot ports.
constexpr VnniShape vnni_shape(std::int32_t steps, std::int32_t units) {
  const bool power_of_two = steps == 1 || steps == 2 || steps == 4 || steps == 8;
  if (power_of_two && steps * units <= 16) {
    const std::int32_t rows = units >= 4 ? 3 : (units == 3 || steps * units > 8 ? 4 : 8);
    return {units, rows, true};
  }
  constexpr std::int32_t kRows[] = {0, 12, 8, 8, 6};
  return {units, kRows[units], false};
}

/// Bytes from one offset's weights to the next within a channel block: [steps][units][16][4].
constexpr std::int64_t vnni_offset_bytes(std::int32_t c_in, std::int32_t units) {
  return std::int64_t{64} * vnni_steps(c_in) * units;
}

/// Byte of weight W[n][k][c]: [block][kv][steps][units of the block][16 channels][4].
constexpr std::int64_t vnni_weight_at(std::int32_t kv, std::int32_t c_in, std::int32_t c_out, std::int32_t n,
                                      std::int32_t k, std::int32_t c) {
  const std::int32_t unit = n / kVnniLanes;
  std::int32_t block = 0;
  while (vnni_first_unit(c_out, block + 1) <= unit) ++block;
  const std::int32_t first = vnni_first_unit(c_out, block);
  const std::int32_t units = vnni_block_units(c_out, block);
  const std::int64_t before = vnni_offset_bytes(c_in, first) * kv + vnni_offset_bytes(c_in, units) * k;
  const std::int64_t step = c / kVnniDepth;
  return before + ((step * units + unit - first) * kVnniLanes + n % kVnniLanes) * kVnniDepth + c % kVnniDepth;
}

}  // namespace
}  // namespace voxgemm
