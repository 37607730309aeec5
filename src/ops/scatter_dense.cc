#include "kernels/scatter_dense/scatter_dense.h"

#include <cstring>
#include <limits>

#include "ops/dispatch.h"
#include "voxgemm/operators.h"

namespace voxgemm {

std::int64_t dense_elements(const Dims& spatial_shape, std::int32_t batch_size, std::int32_t channels) {
  return spatial_shape.product() * batch_size * channels;
}

Status scatter_dense(Context& context, const SparseTensorView& in, DenseLayout layout, void* out) noexcept {
  FeatureView features = in.features;
  features.rows = in.num_voxels;
  if (const Status status = ops::check_view(features); !status.ok()) return status;
  const std::int32_t ndim = in.spatial_shape.ndim;
  if (ndim < 1 || ndim > kMaxDims) return {.code = ErrorCode::kShape, .value = ndim, .limit = kMaxDims};
  for (int axis = 0; axis < ndim; ++axis) {
    if (in.spatial_shape[axis] < 1) {
      return {.code = ErrorCode::kShape, .value = in.spatial_shape[axis], .limit = 1};
    }
  }
  if (in.batch_size < 1) return {.code = ErrorCode::kShape, .value = in.batch_size, .limit = 1};
  if (out == nullptr || (in.indices == nullptr && in.num_voxels > 0)) {
    return {.code = ErrorCode::kInvalidArgument};
  }
  std::int32_t bad_row = std::numeric_limits<std::int32_t>::max();
  const bool cpu = context.device().kind == DeviceKind::kCpu;
  const auto element = static_cast<std::int64_t>(size_of(features.dtype));
  const ScatterDenseArgs args{.channels_last = layout == DenseLayout::kNHWC,
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
    const std::int64_t bytes = element * dense_elements(in.spatial_shape, in.batch_size, features.channels);
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
