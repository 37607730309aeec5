// What a float32 may be to be the scale of int8 values.
#pragma once

#include <limits>

namespace voxgemm {

/// Below the least, a float32 keeps fewer than 24 bits and would make a coarse scale, or none; above the
/// most, 127 * scale is infinite.
inline constexpr float kLeastScale = std::numeric_limits<float>::min();
inline constexpr float kMostScale = std::numeric_limits<float>::max() / 127.0F;

/// False for NaN, 0 and negative values too.
inline bool is_scale_of_values(float scale) { return scale >= kLeastScale && scale <= kMostScale; }

/// amax / 127 for values up to amax in magnitude, or 0 where they are too small to have a scale.
inline float scale_of_magnitude(float amax) {
  const float scale = amax / 127.0F;
  return scale >= kLeastScale ? scale : 0.0F;
}

}  // namespace voxgemm
