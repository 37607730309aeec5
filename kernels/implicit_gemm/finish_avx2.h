// From a block of sums to output rows, AVX2. ISA files only.
#pragma once

#include <immintrin.h>

#include "kernels/epilogue/avx2.h"
#include "kernels/implicit_gemm/block_layout.h"
#include "kernels/implicit_gemm/finish_block.h"
#include "kernels/implicit_gemm/implicit_gemm.h"

namespace voxgemm {
namespace {  // internal linkage: every ISA file keeps its own copy

[[gnu::always_inline]] inline __m256 scaled_avx2(const float* acc, __m256, __m256 bias) {
  return _mm256_add_ps(_mm256_load_ps(acc), bias);
}

[[gnu::always_inline]] inline __m256 scaled_avx2(const std::int32_t* acc, __m256 scale, __m256 bias) {
  const __m256i sums = _mm256_load_si256(reinterpret_cast<const __m256i*>(acc));
  return _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(sums), bias);
}

// One element of a unit that c_out cuts off, by the scalar formula.
template <typename Sum>
void finish_element(const ImplicitGemmArgs& a, Sum sum, std::int64_t row, std::int32_t n) {
  const bool to_int8 = a.problem.out_dtype == DType::kInt8;
  float residual = 0.0F;
  if (a.residual != nullptr) {
    const std::int64_t at = row * a.residual_stride + n;
    residual = to_int8 ? static_cast<float>(static_cast<const std::int8_t*>(a.residual)[at])
                       : static_cast<const float*>(a.residual)[at];
  }
  constexpr bool kIsFloat = Sum(0.5) != Sum(0);
  const float t0 =
      kIsFloat ? static_cast<float>(sum) + a.bias[n] : fmaf(a.scale[n], static_cast<float>(sum), a.bias[n]);
  const float t = finish_epilogue(t0, a.residual != nullptr, a.beta, residual, a.activation, a.act_alpha);
  const std::int64_t at = row * a.out_stride + n;
  if (to_int8) {
    static_cast<std::int8_t*>(a.out)[at] = saturate_int8(t);
  } else {
    static_cast<float*>(a.out)[at] = t;
  }
}

// 16 channels of one row, all of them inside c_out.
template <bool kSigmoid, typename Sum>
void finish_unit(const ImplicitGemmArgs& a, const Sum* acc, std::int64_t row, std::int32_t n) {
  const bool to_int8 = a.problem.out_dtype == DType::kInt8;
  __m256 t[2];
  for (int h = 0; h < 2; ++h) {
    const std::int32_t channel = n + 8 * h;
    t[h] = scaled_avx2(acc + 8 * h, _mm256_loadu_ps(a.scale + channel), _mm256_loadu_ps(a.bias + channel));
    if (a.residual != nullptr) {
      const std::int64_t at = row * a.residual_stride + channel;
      const __m256 r = to_int8 ? load_int8_avx2(static_cast<const std::int8_t*>(a.residual) + at)
                               : _mm256_loadu_ps(static_cast<const float*>(a.residual) + at);
      t[h] = _mm256_fmadd_ps(_mm256_set1_ps(a.beta), r, t[h]);
    }
    const __m256 act_alpha = _mm256_set1_ps(a.act_alpha);
    t[h] = kSigmoid ? sigmoid_avx2(t[h], act_alpha) : activate_avx2(a.activation, t[h], act_alpha);
  }
  const std::int64_t at = row * a.out_stride + n;
  if (to_int8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(static_cast<std::int8_t*>(a.out) + at),
                     narrow_avx2(round_avx2(t[0]), round_avx2(t[1])));
  } else {
    _mm256_storeu_ps(static_cast<float*>(a.out) + at, t[0]);
    _mm256_storeu_ps(static_cast<float*>(a.out) + at + 8, t[1]);
  }
}

template <bool kSigmoid, typename Sum>
[[gnu::always_inline]] inline void finish_rows(const ImplicitGemmArgs& a, const FinishBlock<Sum>& b,
                                               std::int32_t units) {
  for (std::int32_t i = 0; i < b.rows; ++i) {
    for (std::int32_t u = 0; u < units; ++u) {
      Sum* acc = b.acc + u * accumulator_plane(units) + i * kUnitChannels;
      const std::int32_t n = b.channel + u * kUnitChannels;
      if (n + kUnitChannels <= a.problem.c_out) {
        finish_unit<kSigmoid>(a, acc, b.first_row + i, n);
      } else {
        for (std::int32_t c = 0; n + c < a.problem.c_out; ++c)
          finish_element(a, acc[c], b.first_row + i, n + c);
      }
      _mm256_store_si256(reinterpret_cast<__m256i*>(acc), _mm256_setzero_si256());
      _mm256_store_si256(reinterpret_cast<__m256i*>(acc + 8), _mm256_setzero_si256());
    }
  }
}

// Out of the way of the epilogues that every network has.
template <typename Sum>
[[gnu::noinline]] void finish_sigmoid(const ImplicitGemmArgs& a, const FinishBlock<Sum>& b,
                                      std::int32_t units) {
  finish_rows<true>(a, b, units);
}

/// Epilogue and stores of one block of `units` times 16 channels, without corrections.
template <typename Sum>
void finish_units(const ImplicitGemmArgs& a, const FinishBlock<Sum>& b, std::int32_t units) {
  if (a.activation == Activation::kSigmoid) return finish_sigmoid(a, b, units);
  finish_rows<false>(a, b, units);
}

}  // namespace
}  // namespace voxgemm
