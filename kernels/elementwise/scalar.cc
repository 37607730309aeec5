#include <cmath>

#include "kernels/elementwise/elementwise.h"

namespace voxgemm {
namespace {

inline float load(float x) { return x; }
inline float load(Half x) { return to_float(x); }
inline float load(std::int8_t x) { return static_cast<float>(x); }
inline void store(float t, float* out) { *out = t; }
inline void store(float t, Half* out) { *out = to_half(t); }
inline void store(float t, std::int8_t* out) { *out = saturate_int8(t); }

template <typename T>
void add_rows(const ElementwiseArgs& a, RowRange range) {
  const bool relu = a.activation == Activation::kReLU;
  for (std::int64_t r = range.begin; r < range.end; ++r) {
    const T* x = static_cast<const T*>(a.a) + r * a.a_stride;
    const T* y = static_cast<const T*>(a.b) + r * a.b_stride;
    T* out = static_cast<T*>(a.out) + r * a.out_stride;
    for (std::int32_t c = 0; c < a.channels; ++c) {
      const float t = fmaf(a.b_factor, load(y[c]), a.a_factor * load(x[c]));
      store(relu && !(t > 0.0F) ? 0.0F : t, out + c);
    }
  }
}

template <typename T>
void relu_rows(const ElementwiseArgs& a, RowRange range) {
  for (std::int64_t r = range.begin; r < range.end; ++r) {
    const T* x = static_cast<const T*>(a.a) + r * a.a_stride;
    T* out = static_cast<T*>(a.out) + r * a.out_stride;
    for (std::int32_t c = 0; c < a.channels; ++c) out[c] = load(x[c]) > 0.0F ? x[c] : T{};
  }
}

template <typename T>
void run_typed(const ElementwiseArgs& a, RowRange range) {
  if (a.op == ElementwiseOp::kAdd) {
    add_rows<T>(a, range);
  } else {
    relu_rows<T>(a, range);
  }
}

}  // namespace

void scalar_elementwise(const ElementwiseArgs& a, RowRange range, Exec) noexcept {
  switch (a.dtype) {
    case DType::kInt8:
      return run_typed<std::int8_t>(a, range);
    case DType::kFloat32:
      return run_typed<float>(a, range);
    case DType::kFloat16:
      return run_typed<Half>(a, range);
    case DType::kInt32:
      return;  // refused by the operator
  }
}

}  // namespace voxgemm
