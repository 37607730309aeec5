#include "kernels/epilogue/avx2.h"

#include <immintrin.h>

#include "kernels/quantize/quantize.h"

namespace voxgemm {
namespace {

constexpr std::int64_t kLanes = 16;  // two registers, so that int8 leaves in 16 bytes

struct Pair {
  __m256 low;
  __m256 high;
};

inline Pair load(const float* in) { return {_mm256_loadu_ps(in), _mm256_loadu_ps(in + 8)}; }
inline Pair load(const std::int8_t* in) { return {load_int8_avx2(in), load_int8_avx2(in + 8)}; }
inline Pair load(const Half* in) {
  const auto* words = reinterpret_cast<const __m128i*>(in);
  return {_mm256_cvtph_ps(_mm_loadu_si128(words)), _mm256_cvtph_ps(_mm_loadu_si128(words + 1))};
}

inline void store(float* out, const Pair& t) {
  _mm256_storeu_ps(out, t.low);
  _mm256_storeu_ps(out + 8, t.high);
}
inline void store(std::int8_t* out, const Pair& t) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), narrow_avx2(round_avx2(t.low), round_avx2(t.high)));
}

// A NaN keeps its sign and becomes the one quiet NaN that to_half gives; the instruction would keep its
// payload.
inline __m128i narrow_half(__m256 t) {
  const __m256 nan = _mm256_cmp_ps(t, t, _CMP_UNORD_Q);
  const __m256 sign = _mm256_and_ps(t, _mm256_set1_ps(-0.0F));
  const __m256 quiet = _mm256_or_ps(sign, _mm256_castsi256_ps(_mm256_set1_epi32(0x7FC00000)));
  return _mm256_cvtps_ph(_mm256_blendv_ps(t, quiet, nan), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline void store(Half* out, const Pair& t) {
  auto* words = reinterpret_cast<__m128i*>(out);
  _mm_storeu_si128(words, narrow_half(t.low));
  _mm_storeu_si128(words + 1, narrow_half(t.high));
}

struct Same {
  Pair operator()(const Pair& x) const { return x; }
};
struct Multiply {
  __m256 factor;
  Pair operator()(const Pair& x) const {
    return {_mm256_mul_ps(x.low, factor), _mm256_mul_ps(x.high, factor)};
  }
};
struct Divide {
  __m256 scale;
  Pair operator()(const Pair& x) const { return {_mm256_div_ps(x.low, scale), _mm256_div_ps(x.high, scale)}; }
};

template <typename In, typename Out, typename Fn>
void map_row(const In* in, Out* out, std::int64_t n, Fn fn) {
  std::int64_t c = 0;
  for (; c + kLanes <= n; c += kLanes) store(out + c, fn(load(in + c)));
  if (c == n) return;
  alignas(32) In from[kLanes] = {};
  alignas(32) Out to[kLanes];
  for (std::int64_t i = c; i < n; ++i) from[i - c] = in[i];
  store(to, fn(load(from)));
  for (std::int64_t i = c; i < n; ++i) out[i] = to[i - c];
}

template <typename In, typename Out, typename Fn>
void map_rows(const QuantizeArgs& a, RowRange range, Fn fn) {
  const bool in_place = a.in_rows == nullptr && a.out_rows == nullptr;
  if (in_place && a.in_stride == a.channels && a.out_stride == a.channels) {
    const std::int64_t n = (range.end - range.begin) * a.channels;
    return map_row(in_row<In>(a, range.begin), out_row<Out>(a, range.begin), n, fn);
  }
  for (std::int64_t r = range.begin; r < range.end; ++r) {
    Out* out = out_row<Out>(a, r);
    map_row(in_row<In>(a, r), out, a.channels, fn);
    for (std::int64_t c = a.channels; c < a.channels + a.zero_channels; ++c) out[c] = Out{};
  }
}

}  // namespace

void avx2_quantize(const QuantizeArgs& a, RowRange range, Exec exec) noexcept {
  const Multiply multiply{_mm256_set1_ps(a.factor)};
  const Divide divide{_mm256_set1_ps(a.factor)};
  const bool wide_out = a.out_dtype == DType::kFloat32;
  switch (a.op) {
    case QuantizeOp::kQuantize:
      return a.in_dtype == DType::kFloat32 ? map_rows<float, std::int8_t>(a, range, divide)
                                           : map_rows<Half, std::int8_t>(a, range, divide);
    case QuantizeOp::kDequantize:
      return wide_out ? map_rows<std::int8_t, float>(a, range, multiply)
                      : map_rows<std::int8_t, Half>(a, range, multiply);
    case QuantizeOp::kRequantize:
      return map_rows<std::int8_t, std::int8_t>(a, range, multiply);
    case QuantizeOp::kConvert:
      if (a.in_dtype == a.out_dtype) return scalar_quantize(a, range, exec);  // a copy
      return wide_out ? map_rows<Half, float>(a, range, Same{}) : map_rows<float, Half>(a, range, Same{});
  }
}

}  // namespace voxgemm
