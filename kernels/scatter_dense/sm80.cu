#include "kernels/launch.cuh"
#include "kernels/row_grid.cuh"
#include "kernels/scatter_dense/scatter_dense.h"

namespace voxgemm {
namespace {

// Extents and strides with leading axes of one cell, so that loops over axes unroll.
struct Axes {
  std::int32_t extent[kMaxDims] = {1, 1, 1, 1};
  std::int64_t stride[kMaxDims] = {};
  std::int64_t batch = 0;
  std::int64_t channel = 0;
};

// Element of channel 0 of one row, or -1 when the row lies outside.
__device__ std::int64_t place_of(const ScatterDenseArgs& a, const Axes& axes, std::int64_t row) {
  const std::int32_t* index = a.indices + row * (1 + a.ndim);
  if (index[0] < 0 || index[0] >= a.batch_size) return -1;
  std::int64_t place = index[0] * axes.batch;
#pragma unroll
  for (int i = 0; i < kMaxDims; ++i) {
    if (i < kMaxDims - a.ndim) continue;
    const std::int32_t at = index[1 + i - (kMaxDims - a.ndim)];
    if (at < 0 || at >= axes.extent[i]) return -1;
    place += at * axes.stride[i];
  }
  return place;
}

// Lanes along the rows: neighbours in a row of cells are often neighbours in `indices`, and their writes
// meet.
template <typename T>
__global__ void __launch_bounds__(device::kRowThreads)
    planes_kernel(const ScatterDenseArgs a, const Axes axes, std::int32_t chunk, std::int32_t chunks) {
  const std::int64_t rows = device::row_count(a.rows, a.device_rows);
  const std::int64_t groups = (rows + 31) / 32;
  const int lane = static_cast<int>(threadIdx.x) & 31;
  const std::int64_t warps = static_cast<std::int64_t>(gridDim.x) * (device::kRowThreads / 32);
  for (std::int64_t unit = (static_cast<std::int64_t>(blockIdx.x) * device::kRowThreads + threadIdx.x) / 32;
       unit < groups * chunks; unit += warps) {
    const std::int64_t row = unit / chunks * 32 + lane;
    const std::int32_t first = static_cast<std::int32_t>(unit % chunks) * chunk;
    const std::int64_t place = row < rows ? place_of(a, axes, row) : -1;
    if (place < 0) continue;
    const T* in = static_cast<const T*>(a.features) + row * a.stride;
    T* to = static_cast<T*>(a.out) + place;
    const std::int32_t last = min(first + chunk, a.channels);
#pragma unroll 8
    for (std::int32_t c = first; c < last; ++c) to[c * axes.channel] = in[c];
  }
}

// Lanes along the channels of one row.
template <typename T>
__global__ void __launch_bounds__(device::kRowThreads)
    channels_last_kernel(const ScatterDenseArgs a, const Axes axes) {
  const std::int64_t rows = device::row_count(a.rows, a.device_rows);
  for (std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * blockDim.y + threadIdx.y; row < rows;
       row += static_cast<std::int64_t>(gridDim.x) * blockDim.y) {
    const std::int64_t place = place_of(a, axes, row);
    if (place < 0) continue;
    const T* in = static_cast<const T*>(a.features) + row * a.stride;
    T* to = static_cast<T*>(a.out) + place;
    for (auto c = static_cast<std::int32_t>(threadIdx.x); c < a.channels; c += blockDim.x)
      to[c * axes.channel] = in[c];
  }
}

template <typename T>
void launch(const ScatterDenseArgs& a, const Exec& exec) {
  const DenseStrides strides = dense_strides(a);
  Axes axes;
  for (int i = 0; i < a.ndim; ++i) {
    axes.extent[kMaxDims - a.ndim + i] = a.spatial_shape[i];
    axes.stride[kMaxDims - a.ndim + i] = strides.axis[i];
  }
  axes.batch = strides.batch;
  axes.channel = strides.channel;
  const std::int64_t elements = strides.batch * a.batch_size;
  cudaMemsetAsync(a.out, 0, static_cast<std::size_t>(elements) * sizeof(T), device::stream_of(exec));
  if (a.channels_last) {
    const auto rows = device::row_shape(a.channels, a.rows, exec);
    channels_last_kernel<T><<<rows.grid, rows.block, 0, device::stream_of(exec)>>>(a, axes);
  } else {
    const std::int32_t chunk = 16;
    const std::int32_t chunks = (a.channels + chunk - 1) / chunk;
    const std::int64_t threads = (static_cast<std::int64_t>(a.rows) + 31) / 32 * 32 * chunks;
    planes_kernel<T><<<device::grid_for(threads, device::kRowThreads, exec, 8), device::kRowThreads, 0,
                       device::stream_of(exec)>>>(a, axes, chunk, chunks);
  }
  device::note_launch(exec);
}

}  // namespace

void sm80_scatter_dense(const ScatterDenseArgs& a, RowRange, Exec exec) noexcept {
  switch (a.element_bytes) {
    case 1:
      return launch<std::uint8_t>(a, exec);
    case 2:
      return launch<std::uint16_t>(a, exec);
    default:
      return launch<std::uint32_t>(a, exec);
  }
}

}  // namespace voxgemm
