#include "kernels/quantize/quantize.h"

#include "ops/dispatch.h"
#include "ops/row_map.h"
#include "voxgemm/operators.h"

namespace voxgemm {
namespace {

constexpr const char* kBadScale = "a scale is not finite and at least 2^-126";

Status run(Context& context, QuantizeOp op, const FeatureView& in, float factor, const FeatureSpan& out,
           std::int64_t zero_channels, const std::int32_t* device_rows,
           const ops::RowMap& rows = {}) noexcept {
  const QuantizeArgs args{.op = op,
                          .in_dtype = in.dtype,
                          .out_dtype = out.dtype,
                          .in = in.data,
                          .in_stride = in.stride,
                          .out = out.data,
                          .out_stride = out.stride,
                          .channels = in.channels,
                          .zero_channels = zero_channels,
                          .factor = factor,
                          .in_rows = rows.in,
                          .out_rows = rows.out,
                          .rows = in.rows,
                          .device_rows = device_rows};
  if (in.rows == 0) return {};
  return ops::run_row(context, quantize_kernels(), args, in.rows,
                      ops::grain_of(in.channels * static_cast<std::int64_t>(size_of(in.dtype))));
}

bool is_float(DType dtype) { return dtype == DType::kFloat32 || dtype == DType::kFloat16; }

}  // namespace

namespace ops {

Status quantize(Context& context, const FeatureView& in, float scale, const FeatureSpan& out,
                const std::int32_t* device_rows, const RowMap& rows) noexcept {
  FeatureSpan converted = out;
  if (out.channels > in.channels) converted.channels = in.channels;
  if (const Status status = check_pair(in, converted); !status.ok()) return status;
  if (out.stride < out.channels)
    return {
        .code = ErrorCode::kShape, .value = out.stride, .limit = out.channels, .what = kOutputOperand.stride};
  if (!is_float(in.dtype)) return dtype_error(in.dtype, kInputOperand);
  if (out.dtype != DType::kInt8) return dtype_error(out.dtype, kOutputOperand);
  if (!is_scale(scale)) return {.code = ErrorCode::kInvalidArgument, .what = kBadScale};
  return run(context, QuantizeOp::kQuantize, in, scale, out, out.stride - in.channels, device_rows, rows);
}

Status dequantize(Context& context, const FeatureView& in, float scale, const FeatureSpan& out,
                  const std::int32_t* device_rows, const RowMap& rows) noexcept {
  if (const Status status = check_pair(in, out); !status.ok()) return status;
  if (in.dtype != DType::kInt8) return dtype_error(in.dtype, kInputOperand);
  if (!is_float(out.dtype)) return dtype_error(out.dtype, kOutputOperand);
  if (scale != 0.0F && !is_scale(scale < 0.0F ? -scale : scale))
    return {.code = ErrorCode::kInvalidArgument, .what = "the scale is subnormal or not finite"};
  return run(context, QuantizeOp::kDequantize, in, scale, out, 0, device_rows, rows);
}

Status convert(Context& context, const FeatureView& in, const FeatureSpan& out,
               const std::int32_t* device_rows, const RowMap& rows) noexcept {
  if (const Status status = check_pair(in, out); !status.ok()) return status;
  if (in.dtype != out.dtype) {
    if (!is_float(in.dtype)) return dtype_error(in.dtype, kInputOperand);
    if (!is_float(out.dtype)) return dtype_error(out.dtype, kOutputOperand);
  }
  return run(context, QuantizeOp::kConvert, in, 1.0F, out, 0, device_rows, rows);
}

}  // namespace ops

Status quantize(Context& context, const FeatureView& in, float scale, const FeatureSpan& out,
                const std::int32_t* device_rows) noexcept {
  return ops::quantize(context, in, scale, out, device_rows, {});
}

Status dequantize(Context& context, const FeatureView& in, float scale, const FeatureSpan& out,
                  const std::int32_t* device_rows) noexcept {
  return ops::dequantize(context, in, scale, out, device_rows, {});
}

Status convert(Context& context, const FeatureView& in, const FeatureSpan& out,
               const std::int32_t* device_rows) noexcept {
  return ops::convert(context, in, out, device_rows, {});
}

Status requantize(Context& context, const FeatureView& in, float in_scale, float out_scale,
                  const FeatureSpan& out, const std::int32_t* device_rows) noexcept {
  if (const Status status = ops::check_pair(in, out); !status.ok()) return status;
  if (in.dtype != DType::kInt8) return ops::dtype_error(in.dtype, kInputOperand);
  if (out.dtype != DType::kInt8) return ops::dtype_error(out.dtype, kOutputOperand);
  const float factor = in_scale / out_scale;
  if (!ops::is_scale(in_scale) || !ops::is_scale(out_scale))
    return {.code = ErrorCode::kInvalidArgument, .what = kBadScale};
  if (!ops::is_finite(factor))
    return {.code = ErrorCode::kInvalidArgument, .what = "in_scale / out_scale is not finite"};
  return run(context, QuantizeOp::kRequantize, in, factor, out, 0, device_rows);
}

Status concat(Context& context, std::span<const FeatureView> inputs, const FeatureSpan& out,
              const std::int32_t* device_rows) noexcept {
  if (inputs.empty()) return {.code = ErrorCode::kInvalidArgument, .limit = 1, .what = "number of inputs"};
  std::int64_t channels = 0;
  for (const FeatureView& in : inputs) {
    if (const Status status = check_view(in, kInputOperand); !status.ok()) return status;
    if (in.dtype != out.dtype) return ops::dtype_error(in.dtype, kInputOperand);
    if (in.rows != inputs[0].rows) {
      return {
          .code = ErrorCode::kShape, .value = in.rows, .limit = inputs[0].rows, .what = kInputOperand.rows};
    }
    channels += in.channels;
  }
  if (const Status status = check_view(out, kOutputOperand); !status.ok()) return status;
  if (channels != out.channels) {
    return {.code = ErrorCode::kShape,
            .value = channels,
            .limit = out.channels,
            .what = "channels of the inputs together"};
  }
  if (out.rows < inputs[0].rows) {
    return {
        .code = ErrorCode::kShape, .value = inputs[0].rows, .limit = out.rows, .what = kInputOperand.rows};
  }
  auto* to = static_cast<std::byte*>(out.data);
  for (const FeatureView& in : inputs) {
    FeatureSpan slice = out;
    slice.data = to;
    slice.channels = in.channels;
    if (const Status status = run(context, QuantizeOp::kConvert, in, 1.0F, slice, 0, device_rows);
        !status.ok()) {
      return status;
    }
    to += static_cast<std::size_t>(in.channels) * size_of(out.dtype);
  }
  return {};
}

}  // namespace voxgemm
