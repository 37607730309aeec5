// What the operators share: the call of a kernel row, and operand checks that give a Status.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>

#include "core/kernel_table.h"
#include "core/operands.h"
#include "core/parallel.h"
#include "kernels/kernel.h"
#include "quant/scale.h"
#include "voxgemm/context.h"
#include "voxgemm/types.h"

namespace voxgemm::ops {

/// Calls row.run over [0, count): once on CUDA, else in ranges of about `grain` on the context's threads.
template <typename Kernel, typename Args>
Status run_row(Context& context, std::span<const Kernel> table, const Args& args, std::int64_t count,
               std::int64_t grain) noexcept {
  const Kernel* row = pick_kernel(context, table);
  if (row == nullptr) return {.code = ErrorCode::kUnsupported};
  const Exec exec = exec_of(context);
  const CurrentDevice current(context);
  if (context.device().kind == DeviceKind::kCuda) {
    row->run(args, {0, count}, exec);
    if (const std::int32_t error = context.impl().launch_error; error != 0) {
      return {.code = ErrorCode::kDevice, .value = error};
    }
    return {};
  }
  parallel_for(context, 0, count, grain, [&](std::int64_t begin, std::int64_t end) {
    row->run(args, {begin, end}, exec);
  });
  return {};
}

/// Rows per task, so that a task touches about 64 KB.
inline std::int64_t grain_of(std::int64_t row_bytes) {
  return std::max<std::int64_t>(1, 65536 / std::max<std::int64_t>(1, row_bytes));
}

/// in and out valid, out has at least the rows of in and exactly its channels.
inline Status check_pair(const FeatureView& in, const FeatureSpan& out) noexcept {
  if (const Status status = check_view(in, kInputOperand); !status.ok()) return status;
  if (const Status status = check_view(out, kOutputOperand); !status.ok()) return status;
  if (out.rows < in.rows) {
    return {.code = ErrorCode::kShape, .value = in.rows, .limit = out.rows, .what = kInputOperand.rows};
  }
  if (out.channels != in.channels) {
    return {.code = ErrorCode::kShape,
            .value = out.channels,
            .limit = in.channels,
            .what = kOutputOperand.channels};
  }
  return {};
}

inline Status dtype_error(DType dtype, const OperandNames& operand) noexcept {
  return {.code = ErrorCode::kDType, .value = static_cast<std::int64_t>(dtype), .what = operand.dtype};
}

/// Finite and normal: a subnormal scale has fewer bits than the values.
inline bool is_scale(float scale) noexcept {
  return scale >= kLeastScale && scale <= std::numeric_limits<float>::max();
}

inline bool is_finite(float value) noexcept {
  return value >= std::numeric_limits<float>::lowest() && value <= std::numeric_limits<float>::max();
}

}  // namespace voxgemm::ops
