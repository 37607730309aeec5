// The epilogue of a quantised layer: one formula, host and device, scalar and vector, the same bits.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "voxgemm/types.h"

namespace voxgemm {

enum class Activation : std::uint8_t { kNone, kReLU, kLeakyReLU };

/// How a layer turns its int32 sums into output, for output channel n and row i:
///
///   t = fma(scale[n], float(acc), bias[n])          one rounding; float(acc) rounds to nearest even
///   t = fma(beta, float(residual[i][n]), t)         when the layer has a residual
///   t = t > 0 ? t : 0                               kReLU       (NaN gives 0)
///   t = t >= 0 ? t : t * act_alpha                  kLeakyReLU
///   y = saturate_int8(round_half_even(t))           int8 output ([-128, 127]; NaN gives 0)
///   y = t                                           float32 output
///
/// scale[n] = in_scale * w_scale[n] / out_scale, bias[n] = b[n] / out_scale and
/// beta = residual_scale / out_scale are data: see make_epilogue(). Source: spconv 2.3.8 int8 kernels.
struct EpilogueParams {
  std::vector<float> scale;  ///< [c_out], or one value for all
  std::vector<float> bias;   ///< [c_out], or empty = zeros
  float beta = 0.0F;         ///< factor of the residual; only read when a residual is given
  Activation activation = Activation::kNone;
  float act_alpha = 0.0F;  ///< slope of kLeakyReLU
};

/// Reference rules, float32, in this order: scale = (in_scale * w_scale[n]) / out_scale,
/// bias = b[n] / out_scale, beta = residual_scale / out_scale. For float32 output pass out_scale = 1.
/// weight_scale: [c_out], one value for all, or empty (float32 layers). A zero or negative entry is taken as
/// it is: that channel's sums count for nothing, or with their sign turned. A quotient by out_scale below
/// 2^-126, the least normal float32, becomes 0: whole sums of it are no part of an output's step.
/// Throws kInvalidArgument naming the channel, the values and the limit when in_scale or out_scale is not
/// finite and at least 2^-126, another scale is subnormal, in_scale * w_scale[n] is beyond the normal
/// float32s (the quotient would have few of its bits, or none), or another argument or a result is not
/// finite.
VOXGEMM_API EpilogueParams make_epilogue(float in_scale, std::span<const float> weight_scale, float out_scale,
                                         std::span<const float> bias = {},
                                         Activation activation = Activation::kNone, float act_alpha = 0.0F,
                                         float residual_scale = 0.0F);

namespace {  // internal linkage: every translation unit keeps its own copy, whatever its ISA flags

/// The formula above from its second line on: residual (read only when has_residual) and activation.
VOXGEMM_HOST_DEVICE inline float finish_epilogue(float t, bool has_residual, float beta, float residual,
                                                 Activation activation, float act_alpha) {
  if (has_residual) t = fmaf(beta, residual, t);
  if (activation == Activation::kReLU) t = t > 0.0F ? t : 0.0F;
  if (activation == Activation::kLeakyReLU) t = t >= 0.0F ? t : t * act_alpha;
  return t;
}

/// The float part of the formula above.
VOXGEMM_HOST_DEVICE inline float apply_epilogue(std::int32_t acc, float scale, float bias, bool has_residual,
                                                float beta, float residual, Activation activation,
                                                float act_alpha) {
  const float t = fmaf(scale, static_cast<float>(acc), bias);
  return finish_epilogue(t, has_residual, beta, residual, activation, act_alpha);
}

/// Round half to even, saturate to [-128, 127]; NaN gives 0.
VOXGEMM_HOST_DEVICE inline std::int8_t saturate_int8(float t) {
  if (!(t == t)) return 0;
  const float c = t < -128.0F ? -128.0F : (t > 127.0F ? 127.0F : t);
  return static_cast<std::int8_t>(rintf(c));
}

}  // namespace

}  // namespace voxgemm
