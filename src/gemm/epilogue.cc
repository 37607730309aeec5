// Scale rules: what a layer's real-valued scales and bias become in its epilogue.
#include "voxgemm/epilogue.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "core/check.h"
#include "gemm/scale_rules.h"
#include "quant/scale.h"

namespace voxgemm {
namespace {

constexpr float kMost = std::numeric_limits<float>::max();

/// check_layer(), or the same for an epilogue that no layer has yet.
template <typename... Args>
void require(bool condition, std::string_view layer, fmt::format_string<Args...> format, Args&&... args) {
  if (condition) [[likely]]
    return;
  const std::string text = fmt::format(format, args...);
  if (layer.empty()) fail(ErrorCode::kInvalidArgument, "epilogue: {}", text);
  fail_layer(ErrorCode::kInvalidArgument, layer, "{}", text);
}

void require_positive(std::string_view layer, const char* what, float scale) {
  require(scale >= kLeastScale && scale <= kMost, layer, "{} is {}, must be finite and at least {}", what,
          scale, kLeastScale);
}

/// A quotient that has no normal float32 counts for nothing: 2^31 steps of it are below 2^-95 of an output's.
float negligible_as_zero(float quotient) { return std::fabs(quotient) < kLeastScale ? 0.0F : quotient; }

/// in_scale * w / out_scale of channel n.
float channel_scale(std::string_view layer, std::size_t n, float in_scale, float w, float out_scale) {
  require(std::isfinite(w), layer, "weight_scale[{}] is {}, must be finite", n, w);
  require(is_zero_or_normal(w), layer, "weight_scale[{}] is {}, must be 0 or at least {} in magnitude", n, w,
          kLeastScale);
  const float product = in_scale * w;
  require(std::isfinite(product), layer, "in_scale {} * weight_scale[{}] {} is {}, limit {}", in_scale, n, w,
          product, kMost);
  // Before the division: the quotient may be a number as good as any, of few or no bits of the product.
  require(w == 0.0F || std::fabs(product) >= kLeastScale, layer,
          "in_scale {} * weight_scale[{}] {} is {}, must be at least {} in magnitude", in_scale, n, w,
          product, kLeastScale);
  const float quotient = product / out_scale;
  require(std::isfinite(quotient), layer, "in_scale {} * weight_scale[{}] {} / out_scale {} is {}, limit {}",
          in_scale, n, w, out_scale, quotient, kMost);
  return negligible_as_zero(quotient);
}

}  // namespace

bool is_zero_or_normal(float scale) { return scale == 0.0F || std::isnormal(scale); }

float scale_ratio(std::string_view layer, std::string_view what, float scale, float out_scale) {
  const float ratio = scale / out_scale;
  require(std::isfinite(ratio), layer, "{} {} / out_scale {} is {}, limit {}", what, scale, out_scale, ratio,
          kMost);
  return negligible_as_zero(ratio);
}

EpilogueParams make_layer_epilogue(std::string_view layer, float in_scale,
                                   std::span<const float> weight_scale, float out_scale,
                                   std::span<const float> bias, Activation activation, float act_alpha,
                                   float residual_scale) {
  require_positive(layer, "in_scale", in_scale);
  require_positive(layer, "out_scale", out_scale);
  require(is_zero_or_normal(residual_scale), layer,
          "residual_scale is {}, must be finite and 0 or at least {} in magnitude", residual_scale,
          kLeastScale);
  require(std::isfinite(act_alpha), layer, "act_alpha is {}, must be finite", act_alpha);
  const bool sigmoid = activation == Activation::kSigmoid;
  const float unit = sigmoid ? 1.0F : out_scale;  // of what the activation acts on
  EpilogueParams e;
  for (std::size_t n = 0; n < weight_scale.size(); ++n)
    e.scale.push_back(channel_scale(layer, n, in_scale, weight_scale[n], unit));
  for (std::size_t n = 0; n < bias.size(); ++n) {
    const float b = bias[n];
    require(std::isfinite(b), layer, "bias[{}] is {}, must be finite", n, b);
    e.bias.push_back(b / unit);
    require(std::isfinite(e.bias.back()), layer, "bias[{}] {} / out_scale {} is {}, limit {}", n, b, unit,
            e.bias.back(), kMost);
  }
  e.beta = scale_ratio(layer, "residual_scale", residual_scale, unit);
  e.activation = activation;
  e.act_alpha = sigmoid ? 1.0F / out_scale : act_alpha;
  return e;
}

EpilogueParams make_epilogue(float in_scale, std::span<const float> weight_scale, float out_scale,
                             std::span<const float> bias, Activation activation, float act_alpha,
                             float residual_scale) {
  return make_layer_epilogue({}, in_scale, weight_scale, out_scale, bias, activation, act_alpha,
                             residual_scale);
}

}  // namespace voxgemm
