// Pooling over indice pairs, and over whole batch entries. The same bits in every row of the tables.
//
// Pooling, output row i, channel c, over the active inputs x of i in offset order:
//   kMax      m = first x; m = x > m ? x : m       (zero_floor: m starts at +0)
//   kAverage  t = +0; t = t + x; y = t / float(count)         float32 (float16: same, then to_half)
//             y = round_half_even(float(exact int32 sum) / float(count))    int8
//   no active input: 0
// Global pooling of batch entry b over its rows in row order: kMax as above; kAverage sums in float64,
// y = sum / float64(count), rounded once to float32, or half to even to int8. No row: 0.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/kernel.h"
#include "voxgemm/pair_views.h"
#include "voxgemm/types.h"

namespace voxgemm {

/// Views only; whoever calls owns the memory. in and out do not overlap.
struct PoolingArgs {
  bool average = false;
  bool zero_floor = false;     // kMax only
  DType dtype = DType::kInt8;  // of in and out: kInt8, kFloat32; CUDA also kFloat16
  std::int32_t kv = 1;
  const std::int32_t* pair_fwd = nullptr;  // [kv][pair_stride] input row or -1
  std::int64_t pair_stride = 0;
  const void* in = nullptr;    // [n_in][in_stride]
  std::int64_t in_stride = 0;  // elements
  void* out = nullptr;         // [num_out][out_stride]; columns at and past `channels` untouched
  std::int64_t out_stride = 0;
  std::int32_t channels = 0;
  std::int32_t num_out = 0;                      // CUDA: upper bound when device_num_out is set
  const std::int32_t* device_num_out = nullptr;  // CUDA: one int32 on the device, else null
};

struct PoolingKernel {
  std::string_view name;  // "<isa>_pooling"
  Isa isa = Isa::kScalar;
  // CPU: output rows [range.begin, range.end). CUDA: called once; the count is read on the device.
  void (*run)(const PoolingArgs&, RowRange, Exec) noexcept = nullptr;
};

struct GlobalPoolArgs {
  bool average = false;
  DType dtype = DType::kInt8;             // of in and out: kInt8, kFloat32; CUDA also kFloat16
  const std::int32_t* indices = nullptr;  // [rows][index_stride], batch first; any order of batches
  std::int32_t index_stride = 4;
  const void* in = nullptr;  // [rows][in_stride]
  std::int64_t in_stride = 0;
  void* out = nullptr;  // [batch_size][out_stride]
  std::int64_t out_stride = 0;
  std::int32_t channels = 0;
  std::int32_t batch_size = 1;
  std::int32_t rows = 0;  // CUDA: upper bound when device_rows is set
  const std::int32_t* device_rows = nullptr;
};

struct GlobalPoolKernel {
  std::string_view name;  // "<isa>_global_pool"
  Isa isa = Isa::kScalar;
  // CPU: batch entries [range.begin, range.end). CUDA: called once.
  void (*run)(const GlobalPoolArgs&, RowRange, Exec) noexcept = nullptr;
};

/// Best first; the last CPU row is scalar.
std::span<const PoolingKernel> pooling_kernels();
std::span<const GlobalPoolKernel> global_pool_kernels();

void scalar_pooling(const PoolingArgs&, RowRange, Exec) noexcept;
void avx512_pooling(const PoolingArgs&, RowRange, Exec) noexcept;
void sm80_pooling(const PoolingArgs&, RowRange, Exec) noexcept;
void scalar_global_pool(const GlobalPoolArgs&, RowRange, Exec) noexcept;
void sm80_global_pool(const GlobalPoolArgs&, RowRange, Exec) noexcept;

}  // namespace voxgemm
