// Element conversions on CUDA, bit-equal to include/voxgemm/types.h and epilogue.h.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include "voxgemm/types.h"

namespace voxgemm::device {

__device__ inline float load_float(float x) { return x; }
__device__ inline float load_float(std::int8_t x) { return static_cast<float>(x); }
__device__ inline float load_float(Half x) {
  const std::uint32_t rest = x.bits & 0x7FFFU;
  if (rest > 0x7C00U) {  // NaN keeps its payload, as on the CPU
    return __uint_as_float(static_cast<std::uint32_t>(x.bits & 0x8000U) << 16 | 0x7F800000U |
                           (rest & 0x3FFU) << 13);
  }
  return __half2float(__ushort_as_half(x.bits));
}

__device__ inline Half half_of(float t) {
  if (t != t) return {static_cast<std::uint16_t>((__float_as_uint(t) >> 16 & 0x8000U) | 0x7E00U)};
  return {__half_as_ushort(__float2half_rn(t))};
}

/// Round half to even, saturate to [-128, 127]; NaN gives 0.
__device__ inline std::int8_t int8_of(float t) {
  if (!(t == t)) return 0;
  return static_cast<std::int8_t>(__float2int_rn(fminf(fmaxf(t, -128.0F), 127.0F)));
}

__device__ inline void store_float(float t, float* out) { *out = t; }
__device__ inline void store_float(float t, Half* out) { *out = half_of(t); }
__device__ inline void store_float(float t, std::int8_t* out) { *out = int8_of(t); }

/// `n` elements that move as one when the address allows it.
template <typename T, int kN>
struct alignas(sizeof(T) * kN) Pack {
  T value[kN];
};

}  // namespace voxgemm::device
