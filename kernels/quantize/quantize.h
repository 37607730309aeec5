// Conversions between element types, row by row. Formulas, the same bits in every row of the table:
//
//   kQuantize    q = saturate_int8(round_half_even(x / factor))     float32, float16 -> int8
//   kDequantize  x = float(q) * factor                              int8 -> float32, float16
//   kRequantize  y = saturate_int8(round_half_even(float(q) * factor))  int8 -> int8
//   kConvert     same type, or float32 <-> float16 (round half to even)
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/kernel.h"
#include "voxgemm/types.h"

namespace voxgemm {

enum class QuantizeOp : std::uint8_t { kQuantize, kDequantize, kRequantize, kConvert };

/// Views only; whoever calls owns the memory. in and out do not overlap, except that kRequantize and a
/// same-type kConvert may run in place.
struct QuantizeArgs {
  QuantizeOp op = QuantizeOp::kConvert;
  DType in_dtype = DType::kFloat32;
  DType out_dtype = DType::kInt8;
  const void* in = nullptr;    // [rows][in_stride]
  std::int64_t in_stride = 0;  // elements
  void* out = nullptr;         // [rows][out_stride]
  std::int64_t out_stride = 0;
  std::int32_t channels = 0;       // converted per row
  std::int64_t zero_channels = 0;  // int8 out: zeros after them; channels + zero_channels <= out_stride
  float factor = 1.0F;             // finite; > 0 for kQuantize
  const std::int32_t* in_rows = nullptr;      // [rows] row r is read from in_rows[r]; null = from r
  const std::int32_t* out_rows = nullptr;     // [rows] row r is written to out_rows[r]; null = to r
  std::int32_t rows = 0;                      // CUDA: upper bound when device_rows is set
  const std::int32_t* device_rows = nullptr;  // CUDA: one int32 on the device, else null
};

struct QuantizeKernel {
  std::string_view name;  // "<isa>_quantize"
  Isa isa = Isa::kScalar;
  // CPU: converts rows [range.begin, range.end). CUDA: called once; rows are read on the device.
  void (*run)(const QuantizeArgs&, RowRange, Exec) noexcept = nullptr;
};

/// First elements of row r.
template <typename T>
const T* in_row(const QuantizeArgs& a, std::int64_t r) {
  return static_cast<const T*>(a.in) + (a.in_rows == nullptr ? r : a.in_rows[r]) * a.in_stride;
}
template <typename T>
T* out_row(const QuantizeArgs& a, std::int64_t r) {
  return static_cast<T*>(a.out) + (a.out_rows == nullptr ? r : a.out_rows[r]) * a.out_stride;
}

/// Best first; every row takes every op and type. The last CPU row is scalar.
std::span<const QuantizeKernel> quantize_kernels();

void scalar_quantize(const QuantizeArgs&, RowRange, Exec) noexcept;
void avx2_quantize(const QuantizeArgs&, RowRange, Exec) noexcept;
void avx512_quantize(const QuantizeArgs&, RowRange, Exec) noexcept;
void sm80_quantize(const QuantizeArgs&, RowRange, Exec) noexcept;

}  // namespace voxgemm
