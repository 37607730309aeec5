#include "kernels/scatter_dense/scatter_dense.h"

#include <fmt/format.h>

#include <cstring>
#include <limits>

#include "core/extents.h"
#include "ops/dispatch.h"
#include "voxgemm/operators.h"

namespace voxgemm {
namespace {

// batch * channels * product(shape), or -1 when an extent is negative or the product has no int64.
std::int64_t count_elements(const Dims& shape, std::int32_t batch_size, std::int32_t channels) {
  if (batch_size < 0 || channels < 0) return -1;
  std::int64_t count = std::int64_t{batch_size} * channels;
  for (int axis = 0; axis < shape.ndim && axis < kMaxDims; ++axis) {
    if (shape[axis] < 0 || __builtin_mul_overflow(count, std::int64_t{shape[axis]}, &count)) return -1;
  }
  return count;
}

// Smaller arrays had better stay in the caches for whoever reads them.
constexpr std::int64_t kStreamBytes = std::int64_t{4} << 20;

// Whether every row lies inside and the rows ascend in (batch, axes).
bool is_ordered(const ScatterDenseArgs& a) {
  std::int64_t last = -1;
  const std::int32_t* index = a.indices;
  for (std::int32_t r = 0; r < a.rows; ++r, index += 1 + a.ndim) {
    bool inside = static_cast<std::uint32_t>(index[0]) < static_cast<std::uint32_t>(a.batch_size);
    std::int64_t key = index[0];
    for (std::int32_t axis = 0; axis < a.ndim; ++axis) {
      const std::int32_t extent = a.spatial_shape[axis];
      inside &= static_cast<std::uint32_t>(index[1 + axis]) < static_cast<std::uint32_t>(extent);
      key = key * extent + index[1 + axis];
    }
    if (!inside || key <= last) return false;
    last = key;
  }
  return true;
}

// Writes large arrays in one pass where a row can. False: not this problem.
bool stream(const Context& context, const ScatterDenseArgs& args, std::int64_t bytes) {
  if (bytes < kStreamBytes) return false;
  const ScatterDenseKernel* row = pick_kernel(context, scatter_dense_kernels());
  if (row == nullptr || row->ordered_strips == nullptr) return false;
  const std::int64_t strips = row->ordered_strips(args);
  if (strips == 0 || !is_ordered(args)) return false;
  parallel_for(context, 0, strips, 1, [&](std::int64_t begin, std::int64_t end) {
    row->run_ordered(args, {begin, end});
  });
  return true;
}

}  // namespace

std::int64_t dense_elements(const Dims& spatial_shape, std::int32_t batch_size, std::int32_t channels) {
  const std::int64_t count = count_elements(spatial_shape, batch_size, channels);
  if (count >= 0) return count;
  throw Error(ErrorCode::kShape, fmt::format("a dense array of batch {}, {} and {} channels has no int64 "
                                             "number of elements",
                                             batch_size, axes_text(spatial_shape), channels));
}

Status scatter_dense(Context& context, const SparseTensorView& in, DenseLayout layout, void* out) noexcept {
  FeatureView features = in.features;
  features.rows = in.num_voxels;
  if (const Status status = check_view(features, kInputOperand); !status.ok()) return status;
  const std::int32_t ndim = in.spatial_shape.ndim;
  if (ndim < 1 || ndim > kMaxDims) {
    return {.code = ErrorCode::kShape, .value = ndim, .limit = kMaxDims, .what = "axes of spatial_shape"};
  }
  for (int axis = 0; axis < ndim; ++axis) {
    if (in.spatial_shape[axis] < 1) {
      return {.code = ErrorCode::kShape,
              .value = in.spatial_shape[axis],
              .limit = 1,
              .what = extent_operand(ndim, axis)};
    }
  }
  if (in.batch_size < 1) {
    return {.code = ErrorCode::kShape, .value = in.batch_size, .limit = 1, .what = "batch_size"};
  }
  if (out == nullptr) return {.code = ErrorCode::kInvalidArgument, .what = "the dense output is null"};
  if (in.indices == nullptr && in.num_voxels > 0) {
    return {.code = ErrorCode::kInvalidArgument, .what = "the indices are null"};
  }
  const std::int64_t elements = count_elements(in.spatial_shape, in.batch_size, features.channels);
  constexpr std::int64_t kMaxElements = std::numeric_limits<std::int64_t>::max() / 4;
  if (elements < 0 || elements > kMaxElements) {
    return {.code = ErrorCode::kShape, .limit = kMaxElements, .what = "elements of the dense output"};
  }
  std::int32_t bad_row = std::numeric_limits<std::int32_t>::max();
  const bool cpu = context.device().kind == DeviceKind::kCpu;
  const auto element = static_cast<std::int64_t>(size_of(features.dtype));
  const bool channels_last = layout == DenseLayout::kNHWC || layout == DenseLayout::kNHWCFoldLast;
  const bool fold_last = layout == DenseLayout::kNCHWFoldLast || layout == DenseLayout::kNHWCFoldLast;
  const ScatterDenseArgs args{.channels_last = channels_last,
                              .fold_last = fold_last,
                              .element_bytes = static_cast<std::int32_t>(element),
                              .ndim = ndim,
                              .spatial_shape = in.spatial_shape,
                              .batch_size = in.batch_size,
                              .channels = features.channels,
                              .indices = in.indices,
                              .features = features.data,
                              .stride = features.stride,
                              .out = out,
                              .rows = in.num_voxels,
                              .device_rows = in.device_num_voxels,
                              .bad_row = cpu ? &bad_row : nullptr};
  if (cpu) {
    const std::int64_t bytes = element * elements;
    if (stream(context, args, bytes)) return {};
    constexpr std::int64_t kZeroGrain = 1 << 20;
    parallel_for(context, 0, bytes, kZeroGrain, [&](std::int64_t begin, std::int64_t end) {
      std::memset(static_cast<std::byte*>(out) + begin, 0, static_cast<std::size_t>(end - begin));
    });
  }
  const Status status = ops::run_row(context, scatter_dense_kernels(), args, in.num_voxels,
                                     ops::grain_of(features.channels * 16));
  if (status.ok() && bad_row != std::numeric_limits<std::int32_t>::max()) {
    return {.code = ErrorCode::kOutOfRange, .value = bad_row, .limit = in.num_voxels};
  }
  return status;
}

}  // namespace voxgemm
