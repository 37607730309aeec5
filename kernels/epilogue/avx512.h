// The epilogue of include/voxgemm/epilogue.h on 16 channels at once, AVX-512. Included by ISA files only.
#pragma once

#include <immintrin.h>

#include "voxgemm/epilogue.h"

namespace voxgemm {
namespace {  // internal linkage: every ISA file keeps its own copy

/// Constants of one layer's epilogue.
struct EpilogueAvx512 {
  __m512 beta;
  __m512 act_alpha;
  Activation activation;
};

inline EpilogueAvx512 make_epilogue_avx512(float beta, Activation activation, float act_alpha) {
  return {_mm512_set1_ps(beta), _mm512_set1_ps(act_alpha), activation};
}

/// t = activation(t); NaN gives 0 under kReLU.
inline __m512 activate_avx512(const EpilogueAvx512& e, __m512 t) {
  const __m512 zero = _mm512_setzero_ps();
  if (e.activation == Activation::kReLU) return _mm512_max_ps(t, zero);  // the second operand when t is NaN
  if (e.activation == Activation::kLeakyReLU) {
    const __mmask16 negative = _mm512_cmp_ps_mask(t, zero, _CMP_NGE_UQ);  // true for NaN, which stays NaN
    return _mm512_mask_mul_ps(t, negative, t, e.act_alpha);
  }
  return t;
}

/// 16 int8 residuals as float; lanes outside `lanes` give 0 and are not read.
inline __m512 residual_int8_avx512(const std::int8_t* residual, __mmask16 lanes) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(lanes, residual)));
}

/// saturate_int8(t) as int32 lanes in [-2^31, 127]: the caller's saturating narrowing makes the lower bound.
/// A value below -2^31 converts to -2^31, NaN gives 0.
inline __m512i round_avx512(__m512 t) {
  const __mmask16 ordered = _mm512_cmp_ps_mask(t, t, _CMP_ORD_Q);
  return _mm512_cvtps_epi32(_mm512_maskz_min_ps(ordered, t, _mm512_set1_ps(127.0F)));
}

inline void store_int8_avx512(std::int8_t* out, __mmask16 lanes, __m512 t) {
  _mm512_mask_cvtsepi32_storeu_epi8(out, lanes, round_avx512(t));
}

}  // namespace
}  // namespace voxgemm
