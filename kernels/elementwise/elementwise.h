// Elementwise arithmetic, row by row. Formulas, the same bits in every row of the table:
//
//   kAdd   t = fma(b_factor, float(b), a_factor * float(a)); kReLU: t = t > 0 ? t : 0
//          y = saturate_int8(round_half_even(t)) for int8 output, t for float32, to_half(t) for float16
//   kRelu  y = x > 0 ? x : +0   (NaN and -0 give +0)
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/kernel.h"
#include "voxgemm/epilogue.h"
#include "voxgemm/types.h"

namespace voxgemm {

enum class ElementwiseOp : std::uint8_t { kAdd, kRelu };

/// Views only; whoever calls owns the memory. out may alias a or b, with the same stride.
struct ElementwiseArgs {
  ElementwiseOp op = ElementwiseOp::kAdd;
  DType dtype = DType::kInt8;                 // of a, b and out: kInt8, kFloat32, kFloat16
  Activation activation = Activation::kNone;  // kAdd: kNone or kReLU
  const void* a = nullptr;                    // [rows][a_stride]
  std::int64_t a_stride = 0;                  // elements
  const void* b = nullptr;                    // [rows][b_stride], kAdd only
  std::int64_t b_stride = 0;
  void* out = nullptr;  // [rows][out_stride]; columns at and past `channels` untouched
  std::int64_t out_stride = 0;
  std::int32_t channels = 0;
  float a_factor = 1.0F;
  float b_factor = 1.0F;
  std::int32_t rows = 0;                      // CUDA: upper bound when device_rows is set
  const std::int32_t* device_rows = nullptr;  // CUDA: one int32 on the device, else null
};

struct ElementwiseKernel {
  std::string_view name;  // "<isa>_elementwise"
  Isa isa = Isa::kScalar;
  // CPU: rows [range.begin, range.end). CUDA: called once; rows are read on the device.
  void (*run)(const ElementwiseArgs&, RowRange, Exec) noexcept = nullptr;
};

/// Best first; every row takes every op and type. The last CPU row is scalar.
std::span<const ElementwiseKernel> elementwise_kernels();

void scalar_elementwise(const ElementwiseArgs&, RowRange, Exec) noexcept;
void avx2_elementwise(const ElementwiseArgs&, RowRange, Exec) noexcept;
void avx512_elementwise(const ElementwiseArgs&, RowRange, Exec) noexcept;
void sm80_elementwise(const ElementwiseArgs&, RowRange, Exec) noexcept;

}  // namespace voxgemm
