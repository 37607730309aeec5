// Writes sparse rows into a dense array. With the spatial axes folded to (Z, Y, X) (1-D: Z = Y = 1, 2-D: Z =
// 1, 4-D: Z = product of the two outer axes), row i at (b, z, y, x) and channel c goes to element
//
//   channels_last  ((b*Y + y)*X + x) * (C*Z) + c*Z + z
//   else           ((b*C*Z + c*Z + z)*Y + y)*X + x
//
// A row whose coordinate lies outside writes nothing; its number lowers *bad_row.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/kernel.h"
#include "voxgemm/types.h"

namespace voxgemm {

/// Views only; whoever calls owns the memory.
struct ScatterDenseArgs {
  bool channels_last = false;
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
