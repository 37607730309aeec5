#include <cstring>

#include "kernels/quantize/quantize.h"
#include "kernels/scalar_values.h"

namespace voxgemm {
namespace {

template <typename In, typename Out, typename Fn>
void map_rows(const QuantizeArgs& a, RowRange range, Fn fn) {
  for (std::int64_t r = range.begin; r < range.end; ++r) {
    const In* in = in_row<In>(a, r);
    Out* out = out_row<Out>(a, r);
    for (std::int32_t c = 0; c < a.channels; ++c) store_value(fn(load_value(in[c])), out + c);
  }
}

template <typename T>
void copy_rows(const QuantizeArgs& a, RowRange range) {
  for (std::int64_t r = range.begin; r < range.end; ++r) {
    std::memmove(out_row<T>(a, r), in_row<T>(a, r), static_cast<std::size_t>(a.channels) * sizeof(T));
  }
}

void copy_rows(const QuantizeArgs& a, RowRange range) {
  switch (size_of(a.in_dtype)) {
    case 1:
      return copy_rows<std::uint8_t>(a, range);
    case 2:
      return copy_rows<std::uint16_t>(a, range);
    default:
      return copy_rows<std::uint32_t>(a, range);
  }
}

void zero_tails(const QuantizeArgs& a, RowRange range) {
  if (a.zero_channels <= 0) return;
  QuantizeArgs bytes = a;
  const auto size = static_cast<std::int64_t>(size_of(a.out_dtype));
  bytes.out_stride = a.out_stride * size;
  for (std::int64_t r = range.begin; r < range.end; ++r) {
    std::memset(out_row<char>(bytes, r) + a.channels * size, 0,
                static_cast<std::size_t>(a.zero_channels * size));
  }
}

}  // namespace

void scalar_quantize(const QuantizeArgs& a, RowRange range, Exec) noexcept {
  const float factor = a.factor;
  const auto divide = [factor](float x) { return x / factor; };
  const auto multiply = [factor](float x) { return x * factor; };
  const auto same = [](float x) { return x; };
  switch (a.op) {
    case QuantizeOp::kQuantize:
      if (a.in_dtype == DType::kFloat32) {
        map_rows<float, std::int8_t>(a, range, divide);
      } else {
        map_rows<Half, std::int8_t>(a, range, divide);
      }
      break;
    case QuantizeOp::kDequantize:
      if (a.out_dtype == DType::kFloat32) {
        map_rows<std::int8_t, float>(a, range, multiply);
      } else {
        map_rows<std::int8_t, Half>(a, range, multiply);
      }
      break;
    case QuantizeOp::kRequantize:
      map_rows<std::int8_t, std::int8_t>(a, range, multiply);
      break;
    case QuantizeOp::kConvert:
      if (a.in_dtype == a.out_dtype) {
        copy_rows(a, range);
      } else if (a.in_dtype == DType::kFloat32) {
        map_rows<float, Half>(a, range, same);
      } else {
        map_rows<Half, float>(a, range, same);
      }
      break;
  }
  zero_tails(a, range);
}

}  // namespace voxgemm
