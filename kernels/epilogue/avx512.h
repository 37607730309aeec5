// The epilogue of include/voxgemm/epilogue.h on 16 channels at once, AVX-512. Included by ISA files only.
#pragma once

#include <immintrin.h>

#include "voxgemm/epilogue.h"

namespace voxgemm {
namespace {  // internal linkage: every ISA file keeps its own copy

/// scaled_sigmoid() of include/voxgemm/epilogue.h.
[[gnu::always_inline]] inline __m512 sigmoid_avx512(__m512 t, __m512 factor) {
  const __m512 one = _mm512_set1_ps(1.0F);
  const __m512 shift = _mm512_set1_ps(0x1.8p+23F);
  __m512 x = _mm512_xor_ps(t, _mm512_set1_ps(-0.0F));
  x = _mm512_max_ps(_mm512_set1_ps(-87.0F), x);  // the second operand when it is NaN
  x = _mm512_min_ps(_mm512_set1_ps(87.0F), x);
  const __m512 shifted = _mm512_fmadd_ps(x, _mm512_set1_ps(0x1.715476p+0F), shift);
  const __m512 n = _mm512_sub_ps(shifted, shift);
  const __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(0x1.05c61p-29F),
                                   _mm512_fmadd_ps(n, _mm512_set1_ps(-0x1.62e43p-1F), x));
  __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(0x1.6a23cep-10F), r, _mm512_set1_ps(0x1.123a2p-7F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.5558f2p-5F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.555492p-3F));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.fffffcp-2F));
  p = _mm512_fmadd_ps(p, r, one);
  p = _mm512_fmadd_ps(p, r, one);
  const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
  const __m512 power = _mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_set1_epi32(0x3F800000)));
  return _mm512_div_ps(factor, _mm512_fmadd_ps(p, power, one));
}

/// t = activation(t); NaN gives 0 under kReLU and stays NaN otherwise.
template <Activation kActivation>
[[gnu::always_inline]] inline __m512 activate_avx512(__m512 t, __m512 act_alpha) {
  const __m512 zero = _mm512_setzero_ps();
  if constexpr (kActivation == Activation::kReLU)
    return _mm512_max_ps(t, zero);  // the second operand when t is NaN
  if constexpr (kActivation == Activation::kLeakyReLU) {
    const __mmask16 negative = _mm512_cmp_ps_mask(t, zero, _CMP_NGE_UQ);
    return _mm512_mask_mul_ps(t, negative, t, act_alpha);
  }
  if constexpr (kActivation == Activation::kSigmoid) return sigmoid_avx512(t, act_alpha);
  return t;
}

/// round_half_even(min(t, 127)) as int32; NaN gives 0, values below -2^31 give -2^31: a saturating narrowing
/// of the result is saturate_int8(t).
template <Activation kActivation>
[[gnu::always_inline]] inline __m512i round_avx512(__m512 t) {
  const __m512 most = _mm512_set1_ps(127.0F);
  if constexpr (kActivation == Activation::kReLU)
    return _mm512_cvtps_epi32(_mm512_min_ps(t, most));  // no NaN left
  const __mmask16 ordered = _mm512_cmp_ps_mask(t, t, _CMP_ORD_Q);
  return _mm512_cvtps_epi32(_mm512_maskz_min_ps(ordered, t, most));
}

/// Four registers of 16 int32 -> 64 int8, saturated, in order.
[[gnu::always_inline]] inline __m512i narrow_avx512(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i bytes = _mm512_packs_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
  return _mm512_permutexvar_epi32(order, bytes);
}

/// 16 int8 as float; lanes outside `lanes` give 0 and are not read.
[[gnu::always_inline]] inline __m512 load_int8_avx512(const std::int8_t* from, __mmask16 lanes) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(lanes, from)));
}

}  // namespace
}  // namespace voxgemm
