#include "kernels/convert.cuh"
#include "kernels/quantize/quantize.h"
#include "kernels/row_grid.cuh"

namespace voxgemm {
namespace {

using device::load_float;
using device::Pack;
using device::store_float;

constexpr int kPack = 4;

enum class Step : std::uint8_t { kDivide, kMultiply, kSame };

template <typename In, typename Out, Step kStep>
__device__ Out converted(In x, float factor) {
  if constexpr (kStep == Step::kSame && sizeof(In) == sizeof(Out)) {
    return x;
  } else {
    float t = load_float(x);
    if constexpr (kStep == Step::kDivide) t = __fdiv_rn(t, factor);
    if constexpr (kStep == Step::kMultiply) t = __fmul_rn(t, factor);
    Out out;
    store_float(t, &out);
    return out;
  }
}

// One thread four channels of a row. Columns from `channels` to `width` become zero.
template <typename In, typename Out, Step kStep>
__global__ void __launch_bounds__(device::kRowThreads)
    convert_kernel(const QuantizeArgs a, std::int32_t width, bool packed_in, bool packed_out) {
  const std::int64_t rows = device::row_count(a.rows, a.device_rows);
  for (std::int64_t r = static_cast<std::int64_t>(blockIdx.x) * blockDim.y + threadIdx.y; r < rows;
       r += static_cast<std::int64_t>(gridDim.x) * blockDim.y) {
    const In* in = static_cast<const In*>(a.in) + (a.in_rows == nullptr ? r : a.in_rows[r]) * a.in_stride;
    Out* out = static_cast<Out*>(a.out) + (a.out_rows == nullptr ? r : a.out_rows[r]) * a.out_stride;
    for (std::int32_t c = kPack * static_cast<std::int32_t>(threadIdx.x); c < width;
         c += kPack * blockDim.x) {
      Pack<In, kPack> x{};
      if (packed_in && c + kPack <= a.channels) {
        x = *reinterpret_cast<const Pack<In, kPack>*>(in + c);
      } else {
#pragma unroll
        for (int i = 0; i < kPack; ++i) {
          if (c + i < a.channels) x.value[i] = in[c + i];
        }
      }
      Pack<Out, kPack> y{};
#pragma unroll
      for (int i = 0; i < kPack; ++i) {
        if (c + i < a.channels) y.value[i] = converted<In, Out, kStep>(x.value[i], a.factor);
      }
      if (packed_out && c + kPack <= width) {
        *reinterpret_cast<Pack<Out, kPack>*>(out + c) = y;
      } else {
#pragma unroll
        for (int i = 0; i < kPack; ++i) {
          if (c + i < width) out[c + i] = y.value[i];
        }
      }
    }
  }
}

bool packs(const void* data, std::int64_t stride, std::size_t size) {
  return reinterpret_cast<std::uintptr_t>(data) % (size * kPack) == 0 && stride % kPack == 0;
}

template <typename In, typename Out, Step kStep>
void launch(const QuantizeArgs& a, const Exec& exec) {
  const auto width = static_cast<std::int32_t>(a.channels + (a.zero_channels > 0 ? a.zero_channels : 0));
  const auto shape = device::row_shape((width + kPack - 1) / kPack, a.rows, exec);
  convert_kernel<In, Out, kStep><<<shape.grid, shape.block, 0, device::stream_of(exec)>>>(
      a, width, packs(a.in, a.in_stride, sizeof(In)), packs(a.out, a.out_stride, sizeof(Out)));
  device::note_launch(exec);
}

template <typename T>
void launch_copy(const QuantizeArgs& a, const Exec& exec) {
  launch<T, T, Step::kSame>(a, exec);
}

}  // namespace

void sm80_quantize(const QuantizeArgs& a, RowRange, Exec exec) noexcept {
  switch (a.op) {
    case QuantizeOp::kQuantize:
      return a.in_dtype == DType::kFloat32 ? launch<float, std::int8_t, Step::kDivide>(a, exec)
                                           : launch<Half, std::int8_t, Step::kDivide>(a, exec);
    case QuantizeOp::kDequantize:
      return a.out_dtype == DType::kFloat32 ? launch<std::int8_t, float, Step::kMultiply>(a, exec)
                                            : launch<std::int8_t, Half, Step::kMultiply>(a, exec);
    case QuantizeOp::kRequantize:
      return launch<std::int8_t, std::int8_t, Step::kMultiply>(a, exec);
    case QuantizeOp::kConvert:
      break;
  }
  if (a.in_dtype != a.out_dtype) {
    return a.in_dtype == DType::kFloat32 ? launch<float, Half, Step::kSame>(a, exec)
                                         : launch<Half, float, Step::kSame>(a, exec);
  }
  switch (size_of(a.in_dtype)) {
    case 1:
      return launch_copy<std::uint8_t>(a, exec);
    case 2:
      return launch_copy<std::uint16_t>(a, exec);
    default:
      return launch_copy<std::uint32_t>(a, exec);
  }
}

}  // namespace voxgemm
