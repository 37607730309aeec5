// Writes sparse rows into a dense array. Two spatial axes, P and Q, are its plane, the others, F cells in
// row-major order, fold into its channels: P and Q are the two last axes, with fold_last the two first (1-D:
// Q alone; up to two axes F = 1). Row i at (b, f, p, q) and channel c goes to element
//
//   channels_last  ((b*P + p)*Q + q) * (C*F) + c*F + f
//   else           ((b*C*F + c*F + f)*P + p)*Q + q
//
// A row whose coordinate lies outside writes nothing; its number lowers *bad_row.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/kernel.h"
#include "voxgemm/types.h"

namespace voxgemm {

/// Views only; whoever calls owns the memory.
struct ScatterDenseArgs {
  bool channels_last = false;
  bool fold_last = false;
  std::int32_t element_bytes = 1;  // 1, 2 or 4
  std::int32_t ndim = 3;
  Dims spatial_shape{};
  std::int32_t batch_size = 1;
  std::int32_t channels = 0;
  const std::int32_t* indices = nullptr;      // [rows][1 + ndim], batch first
  const void* features = nullptr;             // [rows][stride]
  std::int64_t stride = 0;                    // elements
  void* out = nullptr;                        // batch * channels * product(spatial_shape) elements
  std::int32_t rows = 0;                      // CUDA: upper bound when device_rows is set
  const std::int32_t* device_rows = nullptr;  // CUDA: one int32 on the device, else null
  std::int32_t* bad_row = nullptr;            // CPU: smallest bad row, INT32_MAX before; atomic. CUDA: null
};

/// Elements from one batch entry, channel or cell of an axis to the next: the formulas above, factor by
/// factor.
struct DenseStrides {
  std::int64_t batch = 0;
  std::int64_t channel = 0;
  std::int64_t axis[kMaxDims] = {};
};

namespace {  // every file keeps its own copy, whatever its ISA flags

inline DenseStrides dense_strides(const ScatterDenseArgs& a) {
  const std::int32_t plane_axes = a.ndim < 2 ? a.ndim : 2;
  const std::int32_t first = a.fold_last ? 0 : a.ndim - plane_axes;
  std::int64_t plane = 1;
  std::int64_t folded = 1;
  for (std::int32_t axis = 0; axis < a.ndim; ++axis) {
    (axis >= first && axis < first + plane_axes ? plane : folded) *= a.spatial_shape[axis];
  }
  DenseStrides s;
  s.channel = a.channels_last ? folded : folded * plane;
  s.batch = plane * folded * a.channels;
  std::int64_t in_plane = a.channels_last ? folded * a.channels : 1;
  std::int64_t in_fold = a.channels_last ? 1 : plane;
  for (std::int32_t axis = a.ndim - 1; axis >= 0; --axis) {
    std::int64_t& step = axis >= first && axis < first + plane_axes ? in_plane : in_fold;
    s.axis[axis] = step;
    step *= a.spatial_shape[axis];
  }
  return s;
}

}  // namespace

struct ScatterDenseKernel {
  std::string_view name;  // "<isa>_scatter_dense"
  Isa isa = Isa::kScalar;
  // CPU: rows [range.begin, range.end) into an array that is zero. CUDA: called once; also writes the zeros.
  void (*run)(const ScatterDenseArgs&, RowRange, Exec) noexcept = nullptr;
  // CPU, or null: strips that run_ordered() cuts the array into, 0 when it does not take the problem; and
  // strips [range.begin, range.end) written past the caches, zeros included. All rows lie inside and ascend
  // in (b, spatial axes).
  std::int64_t (*ordered_strips)(const ScatterDenseArgs&) noexcept = nullptr;
  void (*run_ordered)(const ScatterDenseArgs&, RowRange) noexcept = nullptr;
};

/// Best first; the last CPU row is scalar.
std::span<const ScatterDenseKernel> scatter_dense_kernels();

void scalar_scatter_dense(const ScatterDenseArgs&, RowRange, Exec) noexcept;
std::int64_t avx512_scatter_strips(const ScatterDenseArgs&) noexcept;
void avx512_scatter_ordered(const ScatterDenseArgs&, RowRange strips) noexcept;
void sm80_scatter_dense(const ScatterDenseArgs&, RowRange, Exec) noexcept;

}  // namespace voxgemm
