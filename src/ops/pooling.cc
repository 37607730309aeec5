#include "kernels/pooling/pooling.h"

#include "ops/dispatch.h"
#include "voxgemm/operators.h"

namespace voxgemm {
namespace {

bool poolable(DType dtype) { return dtype != DType::kInt32; }

}  // namespace

Status pool(Context& context, const IndicePairsView& pairs, const FeatureView& in, const PoolOptions& options,
            const FeatureSpan& out) noexcept {
  if (const Status status = check_view(in, kInputOperand); !status.ok()) return status;
  if (const Status status = check_view(out, kOutputOperand); !status.ok()) return status;
  if (in.dtype != out.dtype || !poolable(in.dtype)) return ops::dtype_error(in.dtype, kInputOperand);
  if (in.channels != out.channels) {
    return {.code = ErrorCode::kShape,
            .value = out.channels,
            .limit = in.channels,
            .what = kOutputOperand.channels};
  }
  if (pairs.kv < 1 || pairs.kv > kMaxKernelVolume) {
    return {.code = ErrorCode::kShape,
            .value = pairs.kv,
            .limit = kMaxKernelVolume,
            .what = "kernel volume of the pairs"};
  }
  if (in.rows < pairs.n_in) {
    return {.code = ErrorCode::kShape, .value = in.rows, .limit = pairs.n_in, .what = kInputOperand.rows};
  }
  if (out.rows < pairs.num_out) {
    return {
        .code = ErrorCode::kShape, .value = out.rows, .limit = pairs.num_out, .what = kOutputOperand.rows};
  }
  if (pairs.num_out == 0) return {};
  if (pairs.pair_fwd == nullptr || pairs.pair_stride < pairs.num_out) {  // not built, or not this map
    return {.code = ErrorCode::kInvalidArgument,
            .value = pairs.pair_stride,
            .limit = pairs.num_out,
            .what = "pair_stride of a pair table (kPairTable)"};
  }
  const PoolingArgs args{.average = options.kind == PoolKind::kAverage,
                         .zero_floor = options.zero_floor,
                         .dtype = in.dtype,
                         .kv = pairs.kv,
                         .pair_fwd = pairs.pair_fwd,
                         .pair_stride = pairs.pair_stride,
                         .in = in.data,
                         .in_stride = in.stride,
                         .out = out.data,
                         .out_stride = out.stride,
                         .channels = in.channels,
                         .num_out = pairs.num_out,
                         .device_num_out = pairs.device_num_out};
  const auto row_bytes = static_cast<std::int64_t>(size_of(in.dtype)) * in.channels * 4 + pairs.kv * 4;
  return ops::run_row(context, pooling_kernels(), args, pairs.num_out, ops::grain_of(row_bytes));
}

Status global_pool(Context& context, const SparseTensorView& in, PoolKind kind,
                   const FeatureSpan& out) noexcept {
  FeatureView features = in.features;
  features.rows = in.num_voxels;
  if (const Status status = check_view(features, kInputOperand); !status.ok()) return status;
  if (const Status status = check_view(out, kOutputOperand); !status.ok()) return status;
  if (features.dtype != out.dtype || !poolable(out.dtype))
    return ops::dtype_error(features.dtype, kInputOperand);
  if (features.channels != out.channels) {
    return {.code = ErrorCode::kShape,
            .value = out.channels,
            .limit = features.channels,
            .what = kOutputOperand.channels};
  }
  if (in.batch_size < 1 || out.rows < in.batch_size) {
    return {.code = ErrorCode::kShape, .value = in.batch_size, .limit = out.rows, .what = "batch_size"};
  }
  if (in.indices == nullptr && in.num_voxels > 0) {
    return {.code = ErrorCode::kInvalidArgument, .what = "the indices are null"};
  }
  const GlobalPoolArgs args{.average = kind == PoolKind::kAverage,
                            .dtype = out.dtype,
                            .indices = in.indices,
                            .index_stride = 1 + in.spatial_shape.ndim,
                            .in = features.data,
                            .in_stride = features.stride,
                            .out = out.data,
                            .out_stride = out.stride,
                            .channels = out.channels,
                            .batch_size = in.batch_size,
                            .rows = in.num_voxels,
                            .device_rows = in.device_num_voxels};
  return ops::run_row(context, global_pool_kernels(), args, in.batch_size, 1);
}

}  // namespace voxgemm
