#include "kernels/epilogue/avx512.h"

#include <immintrin.h>

#include "kernels/quantize/quantize.h"

namespace voxgemm {
namespace {

constexpr std::int64_t kLanes = 16;

// One functor an operation: run(in, out, lanes) converts up to 16 elements; lanes outside are neither read
// nor written.

inline __m512 load(const float* in, __mmask16 lanes) { return _mm512_maskz_loadu_ps(lanes, in); }
inline __m512 load(const Half* in, __mmask16 lanes) {
  return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, in));
}
inline __m512 load(const std::int8_t* in, __mmask16 lanes) { return load_int8_avx512(in, lanes); }

inline void store(float* out, __mmask16 lanes, __m512 t) { _mm512_mask_storeu_ps(out, lanes, t); }
inline void store(std::int8_t* out, __mmask16 lanes, __m512 t) {
  _mm_mask_storeu_epi8(out, lanes, _mm512_cvtsepi32_epi8(round_avx512<Activation::kNone>(t)));
}
// A NaN keeps its sign and becomes the one quiet NaN that to_half gives; the instruction would keep its
// payload.
inline void store(Half* out, __mmask16 lanes, __m512 t) {
  const __mmask16 nan = _mm512_cmp_ps_mask(t, t, _CMP_UNORD_Q);
  const __m512i sign =
      _mm512_and_si512(_mm512_castps_si512(t), _mm512_set1_epi32(static_cast<int>(0x80000000U)));
  const __m512i quiet = _mm512_or_si512(sign, _mm512_set1_epi32(0x7FC00000));
  const __m512 clean = _mm512_mask_blend_ps(nan, t, _mm512_castsi512_ps(quiet));
  _mm256_mask_storeu_epi16(out, lanes, _mm512_cvtps_ph(clean, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

struct Same {
  __m512 operator()(__m512 x) const { return x; }
};

struct Multiply {
  __m512 factor;
  __m512 operator()(__m512 x) const { return _mm512_mul_ps(x, factor); }
};

// x / scale as far as rounding to int8 can tell. With r = 1/scale rounded, |x*r - x/scale| <= 3 * 2^-24 *
// |x/scale| (both roundings of x*r, one of the division), below 2.4e-5 while |x/scale| <= 130 and r is a
// normal number. So the product rounds to the same integer unless it lies within 2^-14 of a half; those
// vectors divide. Beyond 130 both saturate.
struct Divide {
  __m512 scale;
  __m512 reciprocal;

  __m512 operator()(__m512 x) const {
    const __m512 product = _mm512_mul_ps(x, reciprocal);
    const __m512 whole = _mm512_roundscale_ps(product, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 from_whole = _mm512_abs_ps(_mm512_sub_ps(product, whole));  // NaN for infinities
    const __mmask16 near = _mm512_cmp_ps_mask(from_whole, _mm512_set1_ps(0.5F - 0x1p-14F), _CMP_NLT_UQ);
    return near == 0 ? product : _mm512_div_ps(x, scale);
  }
};

struct DivideExactly {
  __m512 scale;
  __m512 operator()(__m512 x) const { return _mm512_div_ps(x, scale); }
};

inline __mmask16 first_lanes(std::int64_t n) {
  return static_cast<__mmask16>(n >= kLanes ? 0xFFFFU : (1U << n) - 1U);
}

// n elements, then zeros up to `width`, which is n but for int8 rows.
template <typename In, typename Out, typename Fn>
void map_row(const In* in, Out* out, std::int64_t n, std::int64_t width, Fn fn) {
  std::int64_t c = 0;
  for (; c + kLanes <= n; c += kLanes) store(out + c, 0xFFFF, fn(load(in + c, 0xFFFF)));
  for (; c < width; c += kLanes)  // what is not read is zero, and fn(0) rounds to 0
    store(out + c, first_lanes(width - c), fn(load(in + c, first_lanes(n > c ? n - c : 0))));
}

template <typename In, typename Out, typename Fn>
void map_rows(const QuantizeArgs& a, RowRange range, Fn fn) {
  const bool in_place = a.in_rows == nullptr && a.out_rows == nullptr;
  if (in_place && a.in_stride == a.channels && a.out_stride == a.channels) {
    const std::int64_t n = (range.end - range.begin) * a.channels;
    return map_row(in_row<In>(a, range.begin), out_row<Out>(a, range.begin), n, n, fn);
  }
  const std::int64_t width = sizeof(Out) == 1 ? a.channels + a.zero_channels : a.channels;
  for (std::int64_t r = range.begin; r < range.end; ++r)
    map_row(in_row<In>(a, r), out_row<Out>(a, r), a.channels, width, fn);
}

template <typename In>
void quantize_rows(const QuantizeArgs& a, RowRange range) {
  const __m512 scale = _mm512_set1_ps(a.factor);
  const float reciprocal = 1.0F / a.factor;
  if (reciprocal >= __FLT_MIN__ && reciprocal <= __FLT_MAX__) {
    map_rows<In, std::int8_t>(a, range, Divide{scale, _mm512_set1_ps(reciprocal)});
  } else {
    map_rows<In, std::int8_t>(a, range, DivideExactly{scale});
  }
}

}  // namespace

void avx512_quantize(const QuantizeArgs& a, RowRange range, Exec exec) noexcept {
  const Multiply multiply{_mm512_set1_ps(a.factor)};
  const bool wide_out = a.out_dtype == DType::kFloat32;
  switch (a.op) {
    case QuantizeOp::kQuantize:
      return a.in_dtype == DType::kFloat32 ? quantize_rows<float>(a, range) : quantize_rows<Half>(a, range);
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
