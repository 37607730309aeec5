#include "kernels/elementwise/elementwise.h"

#include "ops/dispatch.h"
#include "voxgemm/operators.h"

namespace voxgemm {
namespace {

Status run(Context& context, const ElementwiseArgs& args) noexcept {
  if (args.dtype == DType::kInt32) return ops::dtype_error(args.dtype, kInputOperand);
  if (args.rows == 0) return {};
  return ops::run_row(context, elementwise_kernels(), args, args.rows,
                      ops::grain_of(args.channels * static_cast<std::int64_t>(size_of(args.dtype))));
}

}  // namespace

Status add(Context& context, const FeatureView& a, const FeatureView& b, float a_factor, float b_factor,
           Activation activation, const FeatureSpan& out, const std::int32_t* device_rows) noexcept {
  if (const Status status = ops::check_pair(a, out); !status.ok()) return status;
  if (const Status status = ops::check_pair(b, out); !status.ok()) return status;
  if (a.rows != b.rows) {
    return {.code = ErrorCode::kShape, .value = b.rows, .limit = a.rows, .what = "rows of the second input"};
  }
  if (a.dtype != out.dtype) return ops::dtype_error(a.dtype, kInputOperand);
  if (b.dtype != out.dtype) return ops::dtype_error(b.dtype, kInputOperand);
  if (!ops::is_finite(a_factor) || !ops::is_finite(b_factor)) {
    return {.code = ErrorCode::kInvalidArgument, .what = "a factor is not finite"};
  }
  if (activation != Activation::kNone && activation != Activation::kReLU) {
    return {.code = ErrorCode::kUnsupported,
            .value = static_cast<std::int64_t>(activation),
            .limit = static_cast<std::int64_t>(Activation::kReLU),
            .what = "activation of an add, none or ReLU"};
  }
  return run(context, {.op = ElementwiseOp::kAdd,
                       .dtype = out.dtype,
                       .activation = activation,
                       .a = a.data,
                       .a_stride = a.stride,
                       .b = b.data,
                       .b_stride = b.stride,
                       .out = out.data,
                       .out_stride = out.stride,
                       .channels = out.channels,
                       .a_factor = a_factor,
                       .b_factor = b_factor,
                       .rows = a.rows,
                       .device_rows = device_rows});
}

Status relu(Context& context, const FeatureView& in, const FeatureSpan& out,
            const std::int32_t* device_rows) noexcept {
  if (const Status status = ops::check_pair(in, out); !status.ok()) return status;
  if (in.dtype != out.dtype) return ops::dtype_error(in.dtype, kInputOperand);
  return run(context, {.op = ElementwiseOp::kRelu,
                       .dtype = out.dtype,
                       .a = in.data,
                       .a_stride = in.stride,
                       .out = out.data,
                       .out_stride = out.stride,
                       .channels = out.channels,
                       .rows = in.rows,
                       .device_rows = device_rows});
}

}  // namespace voxgemm
