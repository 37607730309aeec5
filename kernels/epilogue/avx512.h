// The epilogue of include/voxgemm/epilogue.h on 16 channels at once, AVX-512. Included by ISA files only.
#pragma once

#include <immintrin.h>

#include "voxgemm/epilogue.h"

namespace voxgemm {
namespace {  // internal linkage: every ISA file keeps its own copy

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
