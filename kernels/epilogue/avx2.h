// The epilogue of include/voxgemm/epilogue.h on 8 channels at once, AVX2 and FMA. Included by ISA files only.
#pragma once

#include <immintrin.h>

#include "voxgemm/epilogue.h"

namespace voxgemm {
namespace {  // internal linkage: every ISA file keeps its own copy

/// scaled_sigmoid() of include/voxgemm/epilogue.h.
[[gnu::always_inline]] inline __m256 sigmoid_avx2(__m256 t, __m256 factor) {
  const __m256 one = _mm256_set1_ps(1.0F);
  const __m256 shift = _mm256_set1_ps(0x1.8p+23F);
  __m256 x = _mm256_xor_ps(t, _mm256_set1_ps(-0.0F));
  x = _mm256_max_ps(_mm256_set1_ps(-87.0F), x);  // the second operand when it is NaN
  x = _mm256_min_ps(_mm256_set1_ps(87.0F), x);
  const __m256 shifted = _mm256_fmadd_ps(x, _mm256_set1_ps(0x1.715476p+0F), shift);
  const __m256 n = _mm256_sub_ps(shifted, shift);
  const __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(0x1.05c61p-29F),
                                   _mm256_fmadd_ps(n, _mm256_set1_ps(-0x1.62e43p-1F), x));
  __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(0x1.6a23cep-10F), r, _mm256_set1_ps(0x1.123a2p-7F));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.5558f2p-5F));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.555492p-3F));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.fffffcp-2F));
  p = _mm256_fmadd_ps(p, r, one);
  p = _mm256_fmadd_ps(p, r, one);
  const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
  const __m256 power = _mm256_castsi256_ps(_mm256_add_epi32(exponent, _mm256_set1_epi32(0x3F800000)));
  return _mm256_div_ps(factor, _mm256_fmadd_ps(p, power, one));
}

/// t = activation(t) of all but kSigmoid; NaN gives 0 under kReLU and stays NaN otherwise.
[[gnu::always_inline]] inline __m256 activate_avx2(Activation activation, __m256 t, __m256 act_alpha) {
  const __m256 zero = _mm256_setzero_ps();
  if (activation == Activation::kReLU) return _mm256_max_ps(t, zero);  // the second operand when t is NaN
  if (activation == Activation::kLeakyReLU) {
    const __m256 negative = _mm256_cmp_ps(t, zero, _CMP_NGE_UQ);
    return _mm256_blendv_ps(t, _mm256_mul_ps(t, act_alpha), negative);
  }
  return t;
}

/// round_half_even(min(t, 127)) as int32; NaN gives 0, values below -2^31 give -2^31: a saturating narrowing
/// of the result is saturate_int8(t).
[[gnu::always_inline]] inline __m256i round_avx2(__m256 t) {
  const __m256 ordered = _mm256_cmp_ps(t, t, _CMP_ORD_Q);
  return _mm256_cvtps_epi32(_mm256_and_ps(ordered, _mm256_min_ps(t, _mm256_set1_ps(127.0F))));
}

/// Two registers of 8 int32 -> 16 int8, saturated, in order.
[[gnu::always_inline]] inline __m128i narrow_avx2(__m256i a, __m256i b) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xD8);
  return _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

/// 8 int8 as float.
[[gnu::always_inline]] inline __m256 load_int8_avx2(const std::int8_t* from) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
}

}  // namespace
}  // namespace voxgemm
