#include "kernels/convert.cuh"
#include "kernels/elementwise/elementwise.h"
#include "kernels/row_grid.cuh"

namespace voxgemm {
namespace {

using device::load_float;
using device::Pack;
using device::store_float;

constexpr int kPack = 4;

template <typename T>
__device__ T combined(const ElementwiseArgs& a, T x, T y) {
  if (a.op == ElementwiseOp::kRelu) return load_float(x) > 0.0F ? x : T{};
  const float t = __fmaf_rn(a.b_factor, load_float(y), __fmul_rn(a.a_factor, load_float(x)));
  T out;
  store_float(a.activation == Activation::kReLU && !(t > 0.0F) ? 0.0F : t, &out);
  return out;
}

// One thread four channels of a row.
template <typename T>
__global__ void __launch_bounds__(device::kRowThreads)
    elementwise_kernel(const ElementwiseArgs a, bool packed) {
  const std::int64_t rows = device::row_count(a.rows, a.device_rows);
  const bool add = a.op == ElementwiseOp::kAdd;
  for (std::int64_t r = static_cast<std::int64_t>(blockIdx.x) * blockDim.y + threadIdx.y; r < rows;
       r += static_cast<std::int64_t>(gridDim.x) * blockDim.y) {
    const T* x = static_cast<const T*>(a.a) + r * a.a_stride;
    const T* y = add ? static_cast<const T*>(a.b) + r * a.b_stride : x;
    T* out = static_cast<T*>(a.out) + r * a.out_stride;
    for (std::int32_t c = kPack * static_cast<std::int32_t>(threadIdx.x); c < a.channels;
         c += kPack * blockDim.x) {
      if (packed && c + kPack <= a.channels) {
        const auto u = *reinterpret_cast<const Pack<T, kPack>*>(x + c);
        const auto v = *reinterpret_cast<const Pack<T, kPack>*>(y + c);
        Pack<T, kPack> w;
#pragma unroll
        for (int i = 0; i < kPack; ++i) w.value[i] = combined(a, u.value[i], v.value[i]);
        *reinterpret_cast<Pack<T, kPack>*>(out + c) = w;
      } else {
        for (std::int32_t i = c; i < a.channels && i < c + kPack; ++i) out[i] = combined(a, x[i], y[i]);
      }
    }
  }
}

template <typename T>
void launch(const ElementwiseArgs& a, const Exec& exec) {
  const auto packs = [](const void* data, std::int64_t stride) {
    return reinterpret_cast<std::uintptr_t>(data) % (sizeof(T) * kPack) == 0 && stride % kPack == 0;
  };
  const bool packed = packs(a.a, a.a_stride) && packs(a.out, a.out_stride) &&
                      (a.op == ElementwiseOp::kRelu || packs(a.b, a.b_stride));
  const auto shape = device::row_shape((a.channels + kPack - 1) / kPack, a.rows, exec);
  elementwise_kernel<T><<<shape.grid, shape.block, 0, device::stream_of(exec)>>>(a, packed);
  device::note_launch(exec);
}

}  // namespace

void sm80_elementwise(const ElementwiseArgs& a, RowRange, Exec exec) noexcept {
  switch (a.dtype) {
    case DType::kInt8:
      return launch<std::int8_t>(a, exec);
    case DType::kFloat32:
      return launch<float>(a, exec);
    case DType::kFloat16:
      return launch<Half>(a, exec);
    case DType::kInt32:
      return;  // refused by the operator
  }
}

}  // namespace voxgemm
