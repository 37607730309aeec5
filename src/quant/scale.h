// What a float32 may be to be the scale of int8 values.
#pragma once

#include <algorithm>
#include <limits>

namespace voxgemm {

/// Below the least, a float32 keeps fewer than 24 bits; above the most, 127 * scale is infinite.
inline constexpr float kLeastScale = std::numeric_limits<float>::min();
inline constexpr float kMostScale = std::numeric_limits<float>::max() / 127.0F;

/// The least that is taken from values or weights: the product of two such scales is still a normal float32,
/// so in_scale * w_scale never underflows.
inline constexpr float kLeastMadeScale = 0x1p-63F;
static_assert(kLeastMadeScale * kLeastMadeScale == kLeastScale);

/// False for NaN, 0 and negative values too.
inline bool is_scale_of_values(float scale) { return scale >= kLeastScale && scale <= kMostScale; }

/// True for what a table may hold: a scale, or 0 for a value that was never seen.
inline bool is_scale_or_unseen(float scale) { return scale == 0.0F || is_scale_of_values(scale); }

/// amax / 127 for values up to amax in magnitude, but no less than kLeastMadeScale, with which tiny values
/// round to few steps or to 0. 0 when there was nothing but zeros.
inline float scale_of_magnitude(float amax) {
  return amax > 0.0F ? std::max(amax / 127.0F, kLeastMadeScale) : 0.0F;
}

/// True when values up to amax lose precision by that.
inline bool is_too_small_for_scale(float amax) { return amax > 0.0F && amax / 127.0F < kLeastMadeScale; }

}  // namespace voxgemm
