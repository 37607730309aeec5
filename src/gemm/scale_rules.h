// How the scales of an int8 layer become factors: what make_epilogue() promises, with the layer in the
// errors.
#pragma once

#include <span>
#include <string_view>

#include "voxgemm/epilogue.h"

namespace voxgemm {

/// make_epilogue() whose errors begin with "layer 'LAYER': " ("epilogue: " when `layer` is empty).
EpilogueParams make_layer_epilogue(std::string_view layer, float in_scale,
                                   std::span<const float> weight_scale, float out_scale,
                                   std::span<const float> bias, Activation activation, float act_alpha,
                                   float residual_scale);

/// scale / out_scale, or 0 when that is below the least normal float32. Throws kInvalidArgument naming
/// `layer`, `what` the scale is of, and both values, when it is not finite.
float scale_ratio(std::string_view layer, std::string_view what, float scale, float out_scale);

/// False for NaN, infinities and subnormal numbers, which have fewer bits than the values that they scale.
bool is_zero_or_normal(float scale);

}  // namespace voxgemm
