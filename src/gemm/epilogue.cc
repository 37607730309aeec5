// Scale rules: what a layer's real-valued scales and bias become in its epilogue.
#include "voxgemm/epilogue.h"

#include <cmath>

#include "core/check.h"

namespace voxgemm {
namespace {

void check_finite(const char* what, float value) {
  check(std::isfinite(value), ErrorCode::kInvalidArgument, "epilogue: {} is {}, must be finite", what, value);
}

void check_finite(const char* what, std::size_t n, float value) {
  check(std::isfinite(value), ErrorCode::kInvalidArgument, "epilogue: {}[{}] is {}, must be finite", what, n,
        value);
}

}  // namespace

EpilogueParams make_epilogue(float in_scale, std::span<const float> weight_scale, float out_scale,
                             std::span<const float> bias, Activation activation, float act_alpha,
                             float residual_scale) {
  check(std::isfinite(in_scale) && in_scale > 0.0F, ErrorCode::kInvalidArgument,
        "epilogue: in_scale is {}, must be finite and above 0", in_scale);
  check_finite("residual_scale", residual_scale);
  check_finite("act_alpha", act_alpha);
  check(std::isfinite(out_scale) && out_scale > 0.0F, ErrorCode::kInvalidArgument,
        "epilogue: out_scale is {}, must be finite and above 0", out_scale);
  EpilogueParams e;
  for (std::size_t n = 0; n < weight_scale.size(); ++n) {
    const float w = weight_scale[n];
    check_finite("weight_scale", n, w);
    const float product = in_scale * w;
    e.scale.push_back(product / out_scale);
    check_finite("in_scale * weight_scale / out_scale", e.scale.back());
  }
  for (std::size_t n = 0; n < bias.size(); ++n) {
    const float b = bias[n];
    check_finite("bias", n, b);
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
