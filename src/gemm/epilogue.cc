// Scale rules: what a layer's real-valued scales and bias become in its epilogue.
#include "voxgemm/epilogue.h"

#include <fmt/format.h>

#include <cmath>
#include <string_view>

#include "voxgemm/error.h"

namespace voxgemm {
namespace {

void check_finite(std::string_view what, float value) {
  if (std::isfinite(value)) return;
  check(false, ErrorCode::kInvalidArgument, fmt::format("epilogue: {} is {}, must be finite", what, value));
}

}  // namespace

EpilogueParams make_epilogue(float in_scale, std::span<const float> weight_scale, float out_scale,
                             std::span<const float> bias, Activation activation, float act_alpha,
                             float residual_scale) {
  check(std::isfinite(in_scale) && in_scale > 0.0F, ErrorCode::kInvalidArgument,
        fmt::format("epilogue: in_scale is {}, must be finite and above 0", in_scale));
  check_finite("residual_scale", residual_scale);
  check_finite("act_alpha", act_alpha);
  check(std::isfinite(out_scale) && out_scale > 0.0F, ErrorCode::kInvalidArgument,
        fmt::format("epilogue: out_scale is {}, must be finite and above 0", out_scale));
  EpilogueParams e;
  for (std::size_t n = 0; n < weight_scale.size(); ++n) {
    const float w = weight_scale[n];
    check_finite(fmt::format("weight_scale[{}]", n), w);
    const float product = in_scale * w;
    e.scale.push_back(product / out_scale);
    check_finite("in_scale * weight_scale / out_scale", e.scale.back());
  }
  for (std::size_t n = 0; n < bias.size(); ++n) {
    const float b = bias[n];
    check_finite(fmt::format("bias[{}]", n), b);
    e.bias.push_back(b / out_scale);
    check_finite("bias / out_scale", e.bias.back());
  }
  e.beta = residual_scale / out_scale;
  check_finite("residual_scale / out_scale", e.beta);
  e.activation = activation;
  e.act_alpha = act_alpha;
  return e;
}

}  // namespace voxgemm
