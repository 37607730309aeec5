// The epilogue of a quantised layer: one formula, host and device, scalar and vector, the same bits.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "voxgemm/types.h"

namespace voxgemm {

enum class Activation : std::uint8_t { kNone, kReLU, kLeakyReLU, kSigmoid };

/// How a layer turns its int32 sums into output, for output channel n and row i:
///
///   t = fma(scale[n], float(acc), bias[n])          one rounding; float(acc) rounds to nearest even
///   t = fma(beta, float(residual[i][n]), t)         when the layer has a residual
///   t = t > 0 ? t : 0                               kReLU       (NaN gives 0)
///   t = t >= 0 ? t : t * act_alpha                  kLeakyReLU
///   t = act_alpha / (1 + exp(-t))                   kSigmoid    (see scaled_sigmoid(); NaN stays)
///   y = saturate_int8(round_half_even(t))           int8 output ([-128, 127]; NaN gives 0)
///   y = t                                           float32 output
///
/// scale[n] = in_scale * w_scale[n] / out_scale, bias[n] = b[n] / out_scale and
/// beta = residual_scale / out_scale are data: see make_epilogue(). Source: spconv 2.3.8 int8 kernels.
///
/// ReLU and leaky ReLU may act on t in units of out_scale, a sigmoid may not: of a kSigmoid layer scale, bias
/// and beta give t in real units (out_scale = 1 in the three rules) and act_alpha = 1 / out_scale turns the
/// result into those of the output. (spconv's int8 kernels take the sigmoid of t / out_scale, which is no
/// sigmoid of the value.)
struct EpilogueParams {
  std::vector<float> scale;  ///< [c_out], or one value for all
  std::vector<float> bias;   ///< [c_out], or empty = zeros
  float beta = 0.0F;         ///< factor of the residual; only read when a residual is given
  Activation activation = Activation::kNone;
  float act_alpha = 0.0F;  ///< slope of kLeakyReLU; factor of kSigmoid: 1 / out_scale, above 0
};

/// Reference rules, float32, in this order: scale = (in_scale * w_scale[n]) / out_scale,
/// bias = b[n] / out_scale, beta = residual_scale / out_scale. For float32 output pass out_scale = 1.
/// kSigmoid: the same with 1 in the place of out_scale, and act_alpha = 1 / out_scale whatever is given.
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

// Device code unrolls the epilogue for every element: a call is shorter.
#if defined(__CUDA_ARCH__)
#define VOXGEMM_OUT_OF_LINE __noinline__
#else
#define VOXGEMM_OUT_OF_LINE
#endif

namespace {  // internal linkage: every translation unit keeps its own copy, whatever its ISA flags

/// factor / (1 + exp(-t)) in float32 operations that round to nearest even, in this order:
///   x = -t, at least -87, at most 87                    NaN stays NaN
///   n = fma(x, log2(e), 1.5 * 2^23) - 1.5 * 2^23        the integer nearest to x / ln 2, half to even
///   r = fma(n, l, fma(n, -L, x))                        L - l = ln 2, two floats
///   p = 1 + r (1 + r (c2 + r (c3 + r (c4 + r (c5 + r c6)))))     by fma, innermost first
///   y = factor / fma(p, 2^n, 1)                         2^n from its exponent bits, exact
/// With factor 1 and |t| <= 87 y is within 1.5 units in the last place of the sigmoid for t >= 0 and 2.5 for
/// t < 0 (every such float compared with float64); beyond it stays at that of +-87. Nothing is denormal on
/// the way.
VOXGEMM_HOST_DEVICE VOXGEMM_OUT_OF_LINE inline float scaled_sigmoid(float t, float factor) {
  float x = -t;
  x = x < -87.0F ? -87.0F : x;
  x = x > 87.0F ? 87.0F : x;
  const float shifted = fmaf(x, 0x1.715476p+0F, 0x1.8p+23F);
  const float n = shifted - 0x1.8p+23F;
  const float r = fmaf(n, 0x1.05c61p-29F, fmaf(n, -0x1.62e43p-1F, x));
  float p = fmaf(0x1.6a23cep-10F, r, 0x1.123a2p-7F);
  p = fmaf(p, r, 0x1.5558f2p-5F);
  p = fmaf(p, r, 0x1.555492p-3F);
  p = fmaf(p, r, 0x1.fffffcp-2F);
  p = fmaf(p, r, 1.0F);
  p = fmaf(p, r, 1.0F);
#if defined(__CUDA_ARCH__)
  const float power = __uint_as_float((__float_as_uint(shifted) << 23) + 0x3F800000U);
#else
  const float power = std::bit_cast<float>((std::bit_cast<std::uint32_t>(shifted) << 23) + 0x3F800000U);
#endif
  return factor / fmaf(p, power, 1.0F);
}

/// finish_epilogue() of every activation but kSigmoid, which is left out.
VOXGEMM_HOST_DEVICE inline float finish_piecewise(float t, bool has_residual, float beta, float residual,
                                                  Activation activation, float act_alpha) {
  if (has_residual) t = fmaf(beta, residual, t);
  if (activation == Activation::kReLU) t = t > 0.0F ? t : 0.0F;
  if (activation == Activation::kLeakyReLU) t = t >= 0.0F ? t : t * act_alpha;
  return t;
}

/// The formula above from its second line on: residual (read only when has_residual) and activation.
VOXGEMM_HOST_DEVICE inline float finish_epilogue(float t, bool has_residual, float beta, float residual,
                                                 Activation activation, float act_alpha) {
  t = finish_piecewise(t, has_residual, beta, residual, activation, act_alpha);
  return activation == Activation::kSigmoid ? scaled_sigmoid(t, act_alpha) : t;
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

#undef VOXGEMM_OUT_OF_LINE

}  // namespace voxgemm
