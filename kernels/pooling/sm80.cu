#include "kernels/convert.cuh"
#include "kernels/pooling/pooling.h"
#include "kernels/row_grid.cuh"

namespace voxgemm {
namespace {

using device::load_float;
using device::store_float;

// One thread one channel of an output row; offsets in order.
template <typename T, bool kAverage>
__global__ void __launch_bounds__(device::kRowThreads) pool_kernel(const PoolingArgs a) {
  const std::int64_t rows = device::row_count(a.num_out, a.device_num_out);
  for (std::int64_t r = static_cast<std::int64_t>(blockIdx.x) * blockDim.y + threadIdx.y; r < rows;
       r += static_cast<std::int64_t>(gridDim.x) * blockDim.y) {
    for (auto c = static_cast<std::int32_t>(threadIdx.x); c < a.channels; c += blockDim.x) {
      float value = 0.0F;
      std::int32_t count = 0;
      for (std::int32_t k = 0; k < a.kv; ++k) {
        const std::int32_t j = a.pair_fwd[k * a.pair_stride + r];
        if (j < 0) continue;
        const float x = load_float(static_cast<const T*>(a.in)[j * a.in_stride + c]);
        if constexpr (kAverage) {
          value = __fadd_rn(value, x);
        } else {
          value = (count == 0 && !a.zero_floor) || x > value ? x : value;
        }
        ++count;
      }
      if constexpr (kAverage) value = __fdiv_rn(value, static_cast<float>(count > 0 ? count : 1));
      store_float(value, static_cast<T*>(a.out) + r * a.out_stride + c);
    }
  }
}

template <typename T>
void launch_pool(const PoolingArgs& a, const Exec& exec) {
  const auto shape = device::row_shape(a.channels, a.num_out, exec);
  if (a.average) {
    pool_kernel<T, true><<<shape.grid, shape.block, 0, device::stream_of(exec)>>>(a);
  } else {
    pool_kernel<T, false><<<shape.grid, shape.block, 0, device::stream_of(exec)>>>(a);
  }
  device::note_launch(exec);
}

__device__ void store_mean(double t, float* out) { *out = __double2float_rn(t); }
__device__ void store_mean(double t, Half* out) { *out = device::half_of(__double2float_rn(t)); }
__device__ void store_mean(double t, std::int8_t* out) {
  *out = static_cast<std::int8_t>(__double2int_rn(t));
}

constexpr int kTileRows = 256;
constexpr int kTileChannels = 32;

// One block one batch entry and 32 channels. All threads stage rows in shared memory; one thread a channel
// walks them in row order, because float64 sums are rounded in that order.
template <typename T>
__global__ void __launch_bounds__(kTileRows) global_pool_kernel(const GlobalPoolArgs a) {
  __shared__ float tile[kTileRows][kTileChannels + 1];
  __shared__ std::int32_t mine[kTileRows];
  const auto batch = static_cast<std::int32_t>(blockIdx.y);
  const std::int32_t first = static_cast<std::int32_t>(blockIdx.x) * kTileChannels;
  const std::int64_t rows = device::row_count(a.rows, a.device_rows);
  const auto t = static_cast<std::int32_t>(threadIdx.x);
  double value = 0.0;
  std::int64_t count = 0;
  for (std::int64_t base = 0; base < rows; base += kTileRows) {
    const auto n = static_cast<std::int32_t>(min(rows - base, static_cast<std::int64_t>(kTileRows)));
    if (t < n) mine[t] = a.indices[(base + t) * a.index_stride] == batch ? 1 : 0;
    __syncthreads();
    for (std::int32_t i = t; i < n * kTileChannels; i += kTileRows) {
      const std::int32_t r = i / kTileChannels;
      const std::int32_t c = i % kTileChannels;
      if (mine[r] != 0 && first + c < a.channels) {
        tile[r][c] = load_float(static_cast<const T*>(a.in)[(base + r) * a.in_stride + first + c]);
      }
    }
    __syncthreads();
    if (t < kTileChannels) {
      for (std::int32_t r = 0; r < n; ++r) {
        if (mine[r] == 0) continue;
        const double x = tile[r][t];
        if (a.average) {
          value = __dadd_rn(value, x);
        } else {
          value = count == 0 || x > value ? x : value;
        }
        ++count;
      }
    }
    __syncthreads();
  }
  if (t >= kTileChannels || first + t >= a.channels) return;
  if (a.average && count > 0) value = __ddiv_rn(value, static_cast<double>(count));
  store_mean(value, static_cast<T*>(a.out) + batch * a.out_stride + first + t);
}

template <typename T>
void launch_global(const GlobalPoolArgs& a, const Exec& exec) {
  const dim3 grid(static_cast<unsigned>((a.channels + kTileChannels - 1) / kTileChannels),
                  static_cast<unsigned>(a.batch_size));
  global_pool_kernel<T><<<grid, kTileRows, 0, device::stream_of(exec)>>>(a);
  device::note_launch(exec);
}

}  // namespace

void sm80_pooling(const PoolingArgs& a, RowRange, Exec exec) noexcept {
  switch (a.dtype) {
    case DType::kInt8:
      return launch_pool<std::int8_t>(a, exec);
    case DType::kFloat32:
      return launch_pool<float>(a, exec);
    case DType::kFloat16:
      return launch_pool<Half>(a, exec);
    case DType::kInt32:
      return;  // refused by the operator
  }
}

void sm80_global_pool(const GlobalPoolArgs& a, RowRange, Exec exec) noexcept {
  switch (a.dtype) {
    case DType::kInt8:
      return launch_global<std::int8_t>(a, exec);
    case DType::kFloat32:
      return launch_global<float>(a, exec);
    case DType::kFloat16:
      return launch_global<Half>(a, exec);
    case DType::kInt32:
      return;  // refused by the operator
  }
}

}  // namespace voxgemm
