#include "core/extents.h"

#include <fmt/format.h>

#include <iterator>
#include <limits>

#include "core/check.h"

namespace voxgemm {

namespace {

constexpr const char* kNames[] = {"w", "z", "y", "x", "?"};
constexpr const char* kOperands[] = {"extent of axis w of spatial_shape", "extent of axis z of spatial_shape",
                                     "extent of axis y of spatial_shape", "extent of axis x of spatial_shape",
                                     "extent of an axis of spatial_shape"};
static_assert(std::size(kNames) == kMaxDims + 1 && std::size(kOperands) == kMaxDims + 1);

int place(int ndim, int axis) noexcept {
  return ndim <= kMaxDims && axis >= 0 && axis < ndim ? kMaxDims - ndim + axis : kMaxDims;
}

}  // namespace

const char* axis_name(int ndim, int axis) noexcept { return kNames[place(ndim, axis)]; }
const char* extent_operand(int ndim, int axis) noexcept { return kOperands[place(ndim, axis)]; }

std::string axes_text(const Dims& shape) {
  std::string text = "[";
  for (int a = 0; a < shape.ndim && a < kMaxDims; ++a) {
    text += fmt::format("{}{} {}", a == 0 ? "" : ", ", axis_name(shape.ndim, a), shape[a]);
  }
  return text + "]";
}

void check_extents(const Dims& shape, std::int32_t batch_size) {
  if (shape.ndim < 1 || shape.ndim > kMaxDims)
    fail(ErrorCode::kShape, "{} spatial axes, allowed 1 to {}", shape.ndim, kMaxDims);
  if (batch_size < 1) fail(ErrorCode::kShape, "batch_size is {}, at least 1", batch_size);
  for (int a = 0; a < shape.ndim; ++a) {
    if (shape[a] >= 1) continue;
    fail(ErrorCode::kShape, "the extent of axis {} is {} in {}, at least 1", axis_name(shape.ndim, a),
         shape[a], shape);
  }
  check_elements(shape, batch_size, 1);
}

void check_elements(const Dims& shape, std::int32_t batch_size, std::int32_t channels) {
  std::int64_t count = std::int64_t{batch_size} * channels;
  double value = static_cast<double>(count);
  bool fits = true;
  for (int a = 0; a < shape.ndim && a < kMaxDims; ++a) {
    fits = fits && !__builtin_mul_overflow(count, std::int64_t{shape[a]}, &count);
    value *= shape[a];
  }
  if (fits) return;
  const std::string what = channels == 1 ? "cells" : fmt::format("elements of {} channels", channels);
  fail(ErrorCode::kShape, "batch {} of {} makes {:.4g} {}, limit {}", batch_size, shape, value, what,
       std::numeric_limits<std::int64_t>::max());
}

}  // namespace voxgemm
