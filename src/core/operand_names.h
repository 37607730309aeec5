// Names that a Status can point to: what of which operand was wrong.
#pragma once

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

}  // namespace voxgemm
