#include "voxgemm/types.h"

#include <fmt/format.h>

#include <bit>

namespace voxgemm {

std::string_view to_string(DType dtype) {
  switch (dtype) {
    case DType::kInt8:
      return "int8";
    case DType::kInt32:
      return "int32";
    case DType::kFloat16:
      return "float16";
    case DType::kFloat32:
      return "float32";
  }
  return "?";
}

std::string to_string(Device device) {
  return device.kind == DeviceKind::kCpu ? "cpu" : fmt::format("cuda:{}", device.index);
}

std::string_view to_string(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx512Vnni:
      return "avx512vnni";
    case Isa::kAmxInt8:
      return "amx_int8";
    case Isa::kSm80:
      return "sm80";
    case Isa::kSm90:
      return "sm90";
  }
  return "?";
}

std::string to_string(const Dims& dims) {
  std::string text = "[";
  for (int a = 0; a < dims.ndim && a < kMaxDims; ++a) {
    text += fmt::format("{}{}", a == 0 ? "" : ", ", dims[a]);
  }
  return text + "]";
}

float to_float(Half value) {
  const std::uint32_t sign = static_cast<std::uint32_t>(value.bits & 0x8000U) << 16;
  const std::uint32_t exponent = (value.bits >> 10) & 0x1FU;
  std::uint32_t mantissa = value.bits & 0x3FFU;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000U | (mantissa << 13));
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;  // subnormal: exact
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
  }
  return std::bit_cast<float>(sign | ((exponent + 112U) << 23) | (mantissa << 13));
}

Half to_half(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000U);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) return {static_cast<std::uint16_t>(sign | 0x7E00U)};  // NaN
  if (magnitude >= 0x47800000U) return {static_cast<std::uint16_t>(sign | 0x7C00U)};
  std::uint32_t half = 0;
  std::uint32_t rest = 0;
  std::uint32_t tie = 0;
  if (magnitude < 0x38800000U) {  // subnormal half, or zero
    if (magnitude < 0x33000000U) return {sign};
    const std::uint32_t shift = 126U - (magnitude >> 23);
    const std::uint32_t mantissa = (magnitude & 0x7FFFFFU) | 0x800000U;
    half = mantissa >> shift;
    rest = mantissa & ((1U << shift) - 1U);
    tie = 1U << (shift - 1U);
  } else {
    half = (magnitude - 0x38000000U) >> 13;
    rest = magnitude & 0x1FFFU;
    tie = 0x1000U;
  }
  if (rest > tie || (rest == tie && (half & 1U) != 0)) ++half;  // may carry into infinity: right
  return {static_cast<std::uint16_t>(sign | half)};
}

}  // namespace voxgemm
