// The words and limits of spatial shapes, the same wherever one is refused.
#pragma once

#include <cstdint>
#include <string>

#include "voxgemm/types.h"

namespace voxgemm {

/// "z", "y", "x" of three axes, "w" before them of four: the last axis is x.
const char* axis_name(int ndim, int axis) noexcept;
/// "extent of axis z of spatial_shape": what a Status means.
const char* extent_operand(int ndim, int axis) noexcept;

/// "[z 41, y 1440, x 1440]"
std::string axes_text(const Dims& shape);

/// Throws kShape unless 1 to 4 axes, batch and every extent are at least 1 and the cells fit 63 bits. Keys,
/// capacities and loops count with int64 behind this. The message names the axis or the shape, the value and
/// the limit.
void check_extents(const Dims& shape, std::int32_t batch_size);

/// Throws kShape unless batch * cells * channels fits 63 bits; check_extents() holds.
void check_elements(const Dims& shape, std::int32_t batch_size, std::int32_t channels);

}  // namespace voxgemm
