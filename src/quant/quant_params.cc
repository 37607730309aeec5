#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "voxgemm/epilogue.h"
#include "voxgemm/error.h"
#include "voxgemm/quantize.h"

namespace voxgemm {
namespace {

void check_finite(float value, const char* what, std::size_t index) {
  if (std::isfinite(value)) return;
  throw Error(ErrorCode::kInvalidArgument, fmt::format("{}[{}] is {}, must be finite", what, index, value));
}

void check_finite(float value, const char* what) {
  if (std::isfinite(value)) return;
  throw Error(ErrorCode::kInvalidArgument, fmt::format("{} is {}, must be finite", what, value));
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

EpilogueParams make_epilogue(float in_scale, std::span<const float> weight_scale, float out_scale,
                             std::span<const float> bias, Activation activation, float act_alpha,
                             float residual_scale) {
  check_finite(in_scale, "in_scale");
  check_finite(out_scale, "out_scale");
  check_finite(act_alpha, "act_alpha");
  check_finite(residual_scale, "residual_scale");
  if (!(out_scale > 0.0F)) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("out_scale is {}, must be > 0", out_scale));
  }
  check(!weight_scale.empty(), ErrorCode::kShape, "weight_scale is empty, must have one value or c_out");
  if (!bias.empty() && weight_scale.size() != 1 && bias.size() != weight_scale.size()) {
    throw Error(ErrorCode::kShape,
                fmt::format("bias has {} values, weight_scale {}", bias.size(), weight_scale.size()));
  }
  EpilogueParams params{.activation = activation, .act_alpha = act_alpha};
  params.scale.reserve(weight_scale.size());
  for (std::size_t n = 0; n < weight_scale.size(); ++n) {
    check_finite(weight_scale[n], "weight_scale", n);
    params.scale.push_back((in_scale * weight_scale[n]) / out_scale);
    check_finite(params.scale.back(), "in_scale * weight_scale / out_scale", n);
  }
  params.bias.reserve(bias.size());
  for (std::size_t n = 0; n < bias.size(); ++n) {
    check_finite(bias[n], "bias", n);
    params.bias.push_back(bias[n] / out_scale);
    check_finite(params.bias.back(), "bias / out_scale", n);
  }
  params.beta = residual_scale / out_scale;
  check_finite(params.beta, "residual_scale / out_scale");
  return params;
}

QuantizedWeights quantize_weights(std::span<const float> krsc, std::int32_t c_out, WeightScaling scaling) {
  if (c_out < 1 || krsc.size() % static_cast<std::size_t>(c_out) != 0) {
    throw Error(ErrorCode::kShape,
                fmt::format("{} weights do not divide into {} output channels", krsc.size(), c_out));
  }
  for (std::size_t i = 0; i < krsc.size(); ++i) check_finite(krsc[i], "weight", i);
  const auto channels = static_cast<std::size_t>(c_out);
  const std::size_t per_channel = krsc.size() / channels;
  const float amax_all = max_magnitude(krsc);
  QuantizedWeights result;
  result.values.reserve(krsc.size());
  result.scale.reserve(channels);
  for (std::size_t n = 0; n < channels; ++n) {
    const std::span<const float> channel = krsc.subspan(n * per_channel, per_channel);
    const float amax = scaling == WeightScaling::kPerTensor ? amax_all : max_magnitude(channel);
    const float quotient = amax / 127.0F;
    const float scale = quotient > 0.0F ? quotient : 1.0F;
    result.scale.push_back(scale);
    for (const float w : channel) result.values.push_back(quantize_weight(w, scale));
  }
  return result;
}

}  // namespace voxgemm
