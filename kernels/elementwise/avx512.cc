#include "kernels/epilogue/avx512.h"

#include <immintrin.h>

#include "kernels/elementwise/elementwise.h"

namespace voxgemm {
namespace {

constexpr std::int64_t kLanes = 16;

inline __m512 load(const float* in, __mmask16 lanes) { return _mm512_maskz_loadu_ps(lanes, in); }
inline __m512 load(const std::int8_t* in, __mmask16 lanes) { return load_int8_avx512(in, lanes); }
inline void store(float* out, __mmask16 lanes, __m512 t) { _mm512_mask_storeu_ps(out, lanes, t); }
inline void store(std::int8_t* out, __mmask16 lanes, __m512 t) {
  const __m512i whole = round_avx512<Activation::kNone>(t);
  if (lanes == 0xFFFF) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_cvtsepi32_epi8(whole));
  } else {
    _mm512_mask_cvtsepi32_storeu_epi8(out, lanes, whole);
  }
}

struct Factors {
  __m512 a;
  __m512 b;
  bool relu;
};

template <typename T>
inline void add_vector(const Factors& f, const T* x, const T* y, T* out, __mmask16 lanes) {
  __m512 t = _mm512_fmadd_ps(f.b, load(y, lanes), _mm512_mul_ps(f.a, load(x, lanes)));
  if (f.relu) t = _mm512_max_ps(t, _mm512_setzero_ps());  // the second operand when t is NaN
  store(out, lanes, t);
}

template <typename T>
void add_row(const Factors& f, const T* x, const T* y, T* out, std::int64_t n) {
  std::int64_t c = 0;
  for (; c + kLanes <= n; c += kLanes) add_vector(f, x + c, y + c, out + c, 0xFFFF);
  if (c < n) add_vector(f, x + c, y + c, out + c, static_cast<__mmask16>((1U << (n - c)) - 1U));
}

// max(x, 0) on 64 bytes; float16 by its bits: negative, zero and NaN give 0.
inline __m512i relu_vector(__m512i x, std::int8_t) { return _mm512_max_epi8(x, _mm512_setzero_si512()); }
inline __m512i relu_vector(__m512i x, float) {
  return _mm512_castps_si512(_mm512_max_ps(_mm512_castsi512_ps(x), _mm512_setzero_ps()));
}
inline __m512i relu_vector(__m512i x, Half) {
  const __mmask32 positive = _mm512_cmple_epu16_mask(x, _mm512_set1_epi16(0x7C00));
  return _mm512_maskz_mov_epi16(positive, x);
}

template <typename T>
void relu_row(const T* x, T* out, std::int64_t n) {
  const std::int64_t bytes = n * static_cast<std::int64_t>(sizeof(T));
  const auto* from = reinterpret_cast<const char*>(x);
  auto* to = reinterpret_cast<char*>(out);
  std::int64_t at = 0;
  for (; at + 64 <= bytes; at += 64) {
    _mm512_storeu_si512(to + at, relu_vector(_mm512_loadu_si512(from + at), T{}));
  }
  if (at == bytes) return;
  const __mmask64 lanes = (__mmask64{1} << (bytes - at)) - 1;
  _mm512_mask_storeu_epi8(to + at, lanes, relu_vector(_mm512_maskz_loadu_epi8(lanes, from + at), T{}));
}

template <typename T>
void add_rows(const ElementwiseArgs& a, RowRange range) {
  const Factors f{_mm512_set1_ps(a.a_factor), _mm512_set1_ps(a.b_factor), a.activation == Activation::kReLU};
  const T* x = static_cast<const T*>(a.a) + range.begin * a.a_stride;
  const T* y = static_cast<const T*>(a.b) + range.begin * a.b_stride;
  T* out = static_cast<T*>(a.out) + range.begin * a.out_stride;
  const std::int64_t rows = range.end - range.begin;
  if (a.a_stride == a.channels && a.b_stride == a.channels && a.out_stride == a.channels) {
    return add_row(f, x, y, out, rows * a.channels);
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    add_row(f, x + r * a.a_stride, y + r * a.b_stride, out + r * a.out_stride, a.channels);
  }
}

template <typename T>
void relu_rows(const ElementwiseArgs& a, RowRange range) {
  const T* x = static_cast<const T*>(a.a) + range.begin * a.a_stride;
  T* out = static_cast<T*>(a.out) + range.begin * a.out_stride;
  const std::int64_t rows = range.end - range.begin;
  if (a.a_stride == a.channels && a.out_stride == a.channels) return relu_row(x, out, rows * a.channels);
  for (std::int64_t r = 0; r < rows; ++r) relu_row(x + r * a.a_stride, out + r * a.out_stride, a.channels);
}

}  // namespace

void avx512_elementwise(const ElementwiseArgs& a, RowRange range, Exec exec) noexcept {
  const bool add = a.op == ElementwiseOp::kAdd;
  if (a.dtype == DType::kInt8)
    return add ? add_rows<std::int8_t>(a, range) : relu_rows<std::int8_t>(a, range);
  if (a.dtype == DType::kFloat32) return add ? add_rows<float>(a, range) : relu_rows<float>(a, range);
  if (a.dtype == DType::kFloat16 && !add) return relu_rows<Half>(a, range);
  scalar_elementwise(a, range, exec);  // float16 sums: not a type that the CPU computes with
}

}  // namespace voxgemm
