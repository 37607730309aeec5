#include "kernels/epilogue/avx2.h"

#include <immintrin.h>

#include "kernels/elementwise/elementwise.h"

namespace voxgemm {
namespace {

constexpr std::int64_t kLanes = 16;  // two registers, so that int8 leaves in 16 bytes

struct Factors {
  __m256 a;
  __m256 b;
  Activation activation;
};

inline __m256 load(const float* in) { return _mm256_loadu_ps(in); }
inline __m256 load(const std::int8_t* in) { return load_int8_avx2(in); }
inline void store(float* out, __m256 low, __m256 high) {
  _mm256_storeu_ps(out, low);
  _mm256_storeu_ps(out + 8, high);
}
inline void store(std::int8_t* out, __m256 low, __m256 high) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), narrow_avx2(round_avx2(low), round_avx2(high)));
}

struct Add {
  Factors f;
  template <typename T>
  __m256 eight(const T* x, const T* y) const {
    const __m256 t = _mm256_fmadd_ps(f.b, load(y), _mm256_mul_ps(f.a, load(x)));
    return activate_avx2(f.activation, t, _mm256_setzero_ps());
  }
  template <typename T>
  void sixteen(const T* x, const T* y, T* out) const {
    store(out, eight(x, y), eight(x + 8, y + 8));
  }
};

// max(x, 0); float16 by its bits: negative, zero and NaN give 0.
struct Relu {
  void sixteen(const std::int8_t* x, const std::int8_t*, std::int8_t* out) const {
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_max_epi8(v, _mm_setzero_si128()));
  }
  void sixteen(const float* x, const float*, float* out) const {
    store(out, _mm256_max_ps(load(x), _mm256_setzero_ps()), _mm256_max_ps(load(x + 8), _mm256_setzero_ps()));
  }
  void sixteen(const Half* x, const Half*, Half* out) const {
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
    const __m256i most = _mm256_set1_epi16(0x7C00);
    const __m256i positive = _mm256_cmpeq_epi16(_mm256_min_epu16(v, most), v);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_and_si256(v, positive));
  }
};

template <typename T, typename Fn>
void map_row(const Fn& fn, const T* x, const T* y, T* out, std::int64_t n) {
  std::int64_t c = 0;
  for (; c + kLanes <= n; c += kLanes) fn.sixteen(x + c, y + c, out + c);
  if (c == n) return;
  alignas(32) T x_tail[kLanes] = {};
  alignas(32) T y_tail[kLanes] = {};
  alignas(32) T tail[kLanes];
  for (std::int64_t i = c; i < n; ++i) {
    x_tail[i - c] = x[i];
    y_tail[i - c] = y[i];
  }
  fn.sixteen(x_tail, y_tail, tail);
  for (std::int64_t i = c; i < n; ++i) out[i] = tail[i - c];
}

template <typename T, typename Fn>
void map_rows(const ElementwiseArgs& a, RowRange range, const void* second, std::int64_t second_stride,
              const Fn& fn) {
  const T* x = static_cast<const T*>(a.a) + range.begin * a.a_stride;
  const T* y = static_cast<const T*>(second) + range.begin * second_stride;
  T* out = static_cast<T*>(a.out) + range.begin * a.out_stride;
  const std::int64_t rows = range.end - range.begin;
  if (a.a_stride == a.channels && second_stride == a.channels && a.out_stride == a.channels) {
    return map_row(fn, x, y, out, rows * a.channels);
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    map_row(fn, x + r * a.a_stride, y + r * second_stride, out + r * a.out_stride, a.channels);
  }
}

template <typename T>
void relu_rows(const ElementwiseArgs& a, RowRange range) {
  map_rows<T>(a, range, a.a, a.a_stride, Relu{});
}

template <typename T>
void add_rows(const ElementwiseArgs& a, RowRange range) {
  const Factors f{_mm256_set1_ps(a.a_factor), _mm256_set1_ps(a.b_factor), a.activation};
  map_rows<T>(a, range, a.b, a.b_stride, Add{f});
}

}  // namespace

void avx2_elementwise(const ElementwiseArgs& a, RowRange range, Exec exec) noexcept {
  const bool add = a.op == ElementwiseOp::kAdd;
  if (a.dtype == DType::kInt8)
    return add ? add_rows<std::int8_t>(a, range) : relu_rows<std::int8_t>(a, range);
  if (a.dtype == DType::kFloat32) return add ? add_rows<float>(a, range) : relu_rows<float>(a, range);
  if (a.dtype == DType::kFloat16 && !add) return relu_rows<Half>(a, range);
  scalar_elementwise(a, range, exec);  // float16 sums: not a type that the CPU computes with
}

}  // namespace voxgemm
