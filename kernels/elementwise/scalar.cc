#include <cmath>

#include "kernels/elementwise/elementwise.h"
#include "kernels/scalar_values.h"

namespace voxgemm {
namespace {

template <typename T>
void add_rows(const ElementwiseArgs& a, RowRange range) {
  const bool relu = a.activation == Activation::kReLU;
  for (std::int64_t r = range.begin; r < range.end; ++r) {
    const T* x = static_cast<const T*>(a.a) + r * a.a_stride;
    const T* y = static_cast<const T*>(a.b) + r * a.b_stride;
    T* out = static_cast<T*>(a.out) + r * a.out_stride;
    for (std::int32_t c = 0; c < a.channels; ++c) {
      const float t = fmaf(a.b_factor, load_value(y[c]), a.a_factor * load_value(x[c]));
      store_value(relu && !(t > 0.0F) ? 0.0F : t, out + c);
    }
  }
}

template <typename T>
void relu_rows(const ElementwiseArgs& a, RowRange range) {
  for (std::int64_t r = range.begin; r < range.end; ++r) {
    const T* x = static_cast<const T*>(a.a) + r * a.a_stride;
    T* out = static_cast<T*>(a.out) + r * a.out_stride;
    for (std::int32_t c = 0; c < a.channels; ++c) out[c] = load_value(x[c]) > 0.0F ? x[c] : T{};
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
  with_value_type(a.dtype, [&](auto value) { run_typed<decltype(value)>(a, range); });
}

}  // namespace voxgemm
