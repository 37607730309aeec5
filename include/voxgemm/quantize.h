// Weight quantisation: float KRSC weights -> int8 KRSC weights and their scales.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "voxgemm/types.h"

namespace voxgemm {

/// Symmetric int8 weights, real value = scale[n] * value.
struct QuantizedWeights {
  std::vector<std::int8_t> values;  ///< KRSC as given, in [-127, 127]
  std::vector<float> scale;         ///< [c_out]; equal values when quantised per tensor
};

enum class WeightScaling : std::uint8_t { kPerChannel, kPerTensor };

/// Quantises weights [c_out][kv][c_in], in float32 and in this order:
///   amax[n]  = max |w| over the channel (kPerTensor: over all weights)
///   scale[n] = max(amax[n] / 127, 2^-63), or 1 when amax[n] is 0
///   q        = clamp(round_half_even(w / scale[n]), -127, 127)
/// Errors: kShape when krsc.size() is not a multiple of c_out >= 1, kInvalidArgument naming the first weight
/// that is not finite.
VOXGEMM_API QuantizedWeights quantize_weights(std::span<const float> krsc, std::int32_t c_out,
                                              WeightScaling scaling = WeightScaling::kPerChannel);

}  // namespace voxgemm
