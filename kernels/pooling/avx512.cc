#include "kernels/epilogue/avx512.h"

#include <immintrin.h>

#include "kernels/pooling/pooling.h"

namespace voxgemm {
namespace {

// Input rows of one output row, in offset order.

struct Inputs {
  std::int32_t rows[kMaxKernelVolume];
  std::int32_t count;
};

inline void collect(const PoolingArgs& a, std::int64_t out_row, Inputs& inputs) {
  inputs.count = 0;
  const std::int32_t* pair = a.pair_fwd + out_row;
  for (std::int32_t k = 0; k < a.kv; ++k, pair += a.pair_stride) {
    inputs.rows[inputs.count] = *pair;
    inputs.count += *pair >= 0 ? 1 : 0;
  }
}

inline __mmask64 byte_lanes(std::int64_t n) { return n >= 64 ? ~__mmask64{0} : (__mmask64{1} << n) - 1; }
inline __mmask16 float_lanes(std::int64_t n) {
  return static_cast<__mmask16>(n >= 16 ? 0xFFFFU : (1U << n) - 1U);
}

// 64 channels of int8 maxima.
inline void max_int8(const PoolingArgs& a, const Inputs& inputs, std::int32_t channel, std::int8_t* out) {
  const __mmask64 lanes = byte_lanes(a.channels - channel);
  const auto* in = static_cast<const std::int8_t*>(a.in) + channel;
  const bool from_zero = a.zero_floor || inputs.count == 0;
  __m512i m = from_zero ? _mm512_setzero_si512() : _mm512_set1_epi8(-128);
  for (std::int32_t i = 0; i < inputs.count; ++i) {
    m = _mm512_max_epi8(m, _mm512_maskz_loadu_epi8(lanes, in + inputs.rows[i] * a.in_stride));
  }
  _mm512_mask_storeu_epi8(out + channel, lanes, m);
}

inline __m512i mean_int8(__m256i sums, __m512 count) {
  return round_avx512<Activation::kNone>(
      _mm512_div_ps(_mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(sums)), count));
}

// 64 channels of int8 averages: sums of at most 343 int8 fit float32 exactly, see the scalar row.
inline void average_int8(const PoolingArgs& a, const Inputs& inputs, std::int32_t channel, std::int8_t* out) {
  const __mmask64 lanes = byte_lanes(a.channels - channel);
  const auto* in = static_cast<const std::int8_t*>(a.in) + channel;
  __m512i low = _mm512_setzero_si512();
  __m512i high = _mm512_setzero_si512();
  for (std::int32_t i = 0; i < inputs.count; ++i) {  // 255 inputs fit 16 bits
    const __m512i x = _mm512_maskz_loadu_epi8(lanes, in + inputs.rows[i] * a.in_stride);
    low = _mm512_add_epi16(low, _mm512_cvtepi8_epi16(_mm512_castsi512_si256(x)));
    high = _mm512_add_epi16(high, _mm512_cvtepi8_epi16(_mm512_extracti64x4_epi64(x, 1)));
  }
  const __m512 count = _mm512_set1_ps(static_cast<float>(inputs.count > 0 ? inputs.count : 1));
  const __m512i q = narrow_avx512(
      mean_int8(_mm512_castsi512_si256(low), count), mean_int8(_mm512_extracti64x4_epi64(low, 1), count),
      mean_int8(_mm512_castsi512_si256(high), count), mean_int8(_mm512_extracti64x4_epi64(high, 1), count));
  _mm512_mask_storeu_epi8(out + channel, lanes, q);
}

inline void max_float(const PoolingArgs& a, const Inputs& inputs, std::int32_t channel, float* out) {
  const __mmask16 lanes = float_lanes(a.channels - channel);
  const auto* in = static_cast<const float*>(a.in) + channel;
  const auto load = [&](std::int32_t i) {
    return _mm512_maskz_loadu_ps(lanes, in + inputs.rows[i] * a.in_stride);
  };
  const bool from_zero = a.zero_floor || inputs.count == 0;
  __m512 m = from_zero ? _mm512_setzero_ps() : load(0);
  // x > m ? x : m, the second operand where either is NaN or both are zero
  for (std::int32_t i = from_zero ? 0 : 1; i < inputs.count; ++i) m = _mm512_max_ps(load(i), m);
  _mm512_mask_storeu_ps(out + channel, lanes, m);
}

inline void average_float(const PoolingArgs& a, const Inputs& inputs, std::int32_t channel, float* out) {
  const __mmask16 lanes = float_lanes(a.channels - channel);
  const auto* in = static_cast<const float*>(a.in) + channel;
  __m512 sum = _mm512_setzero_ps();
  for (std::int32_t i = 0; i < inputs.count; ++i) {
    sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(lanes, in + inputs.rows[i] * a.in_stride));
  }
  const __m512 count = _mm512_set1_ps(static_cast<float>(inputs.count > 0 ? inputs.count : 1));
  _mm512_mask_storeu_ps(out + channel, lanes, _mm512_div_ps(sum, count));
}

template <typename T, std::int32_t kStep, typename Fn>
void pool_rows(const PoolingArgs& a, RowRange range, Fn fn) {
  Inputs inputs;
  for (std::int64_t i = range.begin; i < range.end; ++i) {
    collect(a, i, inputs);
    T* out = static_cast<T*>(a.out) + i * a.out_stride;
    for (std::int32_t c = 0; c < a.channels; c += kStep) fn(a, inputs, c, out);
  }
}

}  // namespace

void avx512_pooling(const PoolingArgs& a, RowRange range, Exec exec) noexcept {
  constexpr std::int32_t kMaxInt16Sums = 255;
  if (a.dtype == DType::kInt8 && !a.average) return pool_rows<std::int8_t, 64>(a, range, max_int8);
  if (a.dtype == DType::kInt8 && a.kv <= kMaxInt16Sums)
    return pool_rows<std::int8_t, 64>(a, range, average_int8);
  if (a.dtype == DType::kFloat32 && !a.average) return pool_rows<float, 16>(a, range, max_float);
  if (a.dtype == DType::kFloat32) return pool_rows<float, 16>(a, range, average_float);
  scalar_pooling(a, range, exec);
}

}  // namespace voxgemm
