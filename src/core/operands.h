// Checks of operands and workspaces that give a Status, and the names that it points to: what of which
// operand was wrong.
#pragma once

#include <cstdint>

#include "voxgemm/context.h"
#include "voxgemm/error.h"
#include "voxgemm/types.h"

namespace voxgemm {

struct OperandNames {
  const char* rows;
  const char* channels;
  const char* stride;
  const char* dtype;
  const char* null;
};

inline constexpr OperandNames kInputOperand{"rows of the input", "channels of the input",
                                            "row stride of the input", "type of the input",
                                            "the input's data is null"};
inline constexpr OperandNames kOutputOperand{"rows of the output", "channels of the output",
                                             "row stride of the output", "type of the output",
                                             "the output's data is null"};
inline constexpr OperandNames kResidualOperand{"rows of the residual", "channels of the residual",
                                               "row stride of the residual", "type of the residual",
                                               "the residual's data is null"};

/// At least `rows` rows of at least one channel, apart from each other, in memory that is not null.
inline Status check_view(const FeatureView& view, std::int32_t rows, const OperandNames& operand) noexcept {
  if (view.rows < 0) return {.code = ErrorCode::kInvalidArgument, .value = view.rows, .what = operand.rows};
  if (view.channels < 1) {
    return {.code = ErrorCode::kShape, .value = view.channels, .limit = 1, .what = operand.channels};
  }
  if (view.stride < view.channels) {
    return {.code = ErrorCode::kShape, .value = view.stride, .limit = view.channels, .what = operand.stride};
  }
  if (view.rows < rows) {
    return {.code = ErrorCode::kShape, .value = view.rows, .limit = rows, .what = operand.rows};
  }
  if (view.data == nullptr && rows > 0) {
    return {.code = ErrorCode::kInvalidArgument, .what = operand.null};
  }
  return {};
}
inline Status check_view(const FeatureView& view, const OperandNames& operand) noexcept {
  return check_view(view, view.rows, operand);
}

/// The same of a matrix whose type and channels are known.
inline Status check_view(const FeatureView& view, DType dtype, std::int32_t channels, std::int32_t rows,
                         const OperandNames& operand) noexcept {
  if (view.dtype != dtype) {
    return {.code = ErrorCode::kDType,
            .value = static_cast<std::int64_t>(view.dtype),
            .limit = static_cast<std::int64_t>(dtype),
            .what = operand.dtype};
  }
  if (view.channels != channels) {
    return {.code = ErrorCode::kShape, .value = view.channels, .limit = channels, .what = operand.channels};
  }
  return check_view(view, rows, operand);
}

/// kInvalidArgument with the bytes there are and the bytes needed; alignment is asked of who lends memory for
/// long (Engine), since slices of a workspace are aligned by their makers.
inline Status check_workspace_bytes(Workspace workspace, std::size_t need) noexcept {
  if (workspace.size() >= need && (workspace.data() != nullptr || need == 0)) return {};
  return {.code = ErrorCode::kInvalidArgument,
          .value = workspace.data() == nullptr ? 0 : static_cast<std::int64_t>(workspace.size()),
          .limit = static_cast<std::int64_t>(need),
          .what = "bytes of workspace"};
}

}  // namespace voxgemm
