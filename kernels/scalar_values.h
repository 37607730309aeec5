// Feature values of any type as float32, for the plain C++ rows of the operators.
#pragma once

#include <cstdint>

#include "voxgemm/epilogue.h"
#include "voxgemm/types.h"

namespace voxgemm {
namespace {  // internal linkage, as in epilogue.h

inline float load_value(float x) { return x; }
inline float load_value(Half x) { return to_float(x); }
inline float load_value(std::int8_t x) { return static_cast<float>(x); }

inline void store_value(float t, float* out) { *out = t; }
inline void store_value(float t, Half* out) { *out = to_half(t); }
inline void store_value(float t, std::int8_t* out) { *out = saturate_int8(t); }

/// fn(value of the element type). int32 features are refused by the operators.
template <typename Fn>
inline void with_value_type(DType dtype, Fn&& fn) {
  switch (dtype) {
    case DType::kInt8:
      return fn(std::int8_t{});
    case DType::kFloat32:
      return fn(float{});
    case DType::kFloat16:
      return fn(Half{});
    case DType::kInt32:
      return;
  }
}

}  // namespace
}  // namespace voxgemm
