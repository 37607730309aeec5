#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "quant/scale.h"
#include "voxgemm/error.h"
#include "voxgemm/quantize.h"

namespace voxgemm {
namespace {

void check_finite(std::span<const float> weights) {
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (std::isfinite(weights[i])) continue;
    throw Error(ErrorCode::kInvalidArgument, fmt::format("weight {} is {}, must be finite", i, weights[i]));
  }
}

float max_magnitude(std::span<const float> values) {
  float amax = 0.0F;
  for (const float v : values) amax = std::max(amax, std::fabs(v));
  return amax;
}

std::int8_t quantize_weight(float w, float scale) {
  return static_cast<std::int8_t>(std::clamp(std::rint(w / scale), -127.0F, 127.0F));
}

}  // namespace

QuantizedWeights quantize_weights(std::span<const float> krsc, std::int32_t c_out, WeightScaling scaling) {
  if (c_out < 1 || krsc.size() % static_cast<std::size_t>(c_out) != 0) {
    throw Error(ErrorCode::kShape,
                fmt::format("{} weights do not divide into {} output channels", krsc.size(), c_out));
  }
  check_finite(krsc);
  const auto channels = static_cast<std::size_t>(c_out);
  const std::size_t per_channel = krsc.size() / channels;
  const float amax_all = max_magnitude(krsc);
  QuantizedWeights result;
  result.values.reserve(krsc.size());
  result.scale.reserve(channels);
  for (std::size_t n = 0; n < channels; ++n) {
    const std::span<const float> channel = krsc.subspan(n * per_channel, per_channel);
    const float amax = scaling == WeightScaling::kPerTensor ? amax_all : max_magnitude(channel);
    const float scale = amax > 0.0F ? scale_of_magnitude(amax) : 1.0F;
    result.scale.push_back(scale);
    for (const float w : channel) result.values.push_back(quantize_weight(w, scale));
  }
  return result;
}

}  // namespace voxgemm
