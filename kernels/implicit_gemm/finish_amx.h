// From the sums of an AMX block to output rows in any order. The other rows' epilogue (finish_avx512.h) walks
// consecutive rows and leaves zeros behind; ISA files only.
#pragma once

#include <immintrin.h>

#include "kernels/epilogue/avx512.h"
#include "kernels/implicit_gemm/block_layout.h"
#include "kernels/implicit_gemm/finish_avx512.h"
#include "kernels/implicit_gemm/implicit_gemm.h"

namespace voxgemm {
namespace {  // internal linkage: every ISA file keeps its own copy

inline constexpr std::int32_t kHalfRows = 16;  // rows of a tile register
inline constexpr std::int32_t kBlockRows = 2 * kHalfRows;

using UnitSums = std::int32_t[kBlockRows][kUnitChannels];

/// Sums of a block and where they go.
struct BlockSums {
  const UnitSums* acc = nullptr;
  const std::int32_t* order = nullptr;  // row i is output row first_row + order[i]; null = first_row + i
  std::int64_t first_row = 0;
  std::int32_t rows = 0;
  std::int32_t channel = 0;  // first output channel

  [[nodiscard]] std::int64_t row(std::int32_t i) const {
    return first_row + (order != nullptr ? order[i] : i);
  }
};

// One finisher per combination that the inner loop must not ask about.
template <int kUnits, bool kToInt8, Activation kActivation>
class BlockFinisher {
 public:
  BlockFinisher(const ImplicitGemmArgs& a, const BlockSums& b)
      : a_(a), b_(b), lanes_(low_bits(a.problem.c_out - b.channel)) {
    for (int u = 0; u < kUnits; ++u) {
      scale_[u] = _mm512_loadu_ps(a.scale + b.channel + 16 * u);
      bias_[u] = _mm512_loadu_ps(a.bias + b.channel + 16 * u);
    }
  }

  void run() const {
    std::int32_t i = 0;
    if constexpr (kToInt8) {
      constexpr std::int32_t kRows = kUnits == 1 ? 4 : kUnits == 2 ? 2 : 1;  // rows that fill 64 bytes
      for (; i + kRows <= b_.rows; i += kRows) store_rows<kRows>(i);
      for (; i < b_.rows; ++i) store_rows<1>(i);
    } else {
      for (; i < b_.rows; ++i) store_floats(i);
    }
  }

 private:
  // Unit u of block row i, up to the activation.
  [[gnu::always_inline]] __m512 value(std::int32_t i, int u) const {
    const __m512 sums = _mm512_cvtepi32_ps(_mm512_load_si512(b_.acc[u][i]));
    __m512 t = _mm512_fmadd_ps(scale_[u], sums, bias_[u]);
    if (a_.residual != nullptr) {
      const std::int64_t at = b_.row(i) * a_.residual_stride + b_.channel + 16 * u;
      const auto lanes = static_cast<__mmask16>(lanes_ >> (16 * u));
      __m512 r;
      if constexpr (kToInt8) {
        r = load_int8_avx512(static_cast<const std::int8_t*>(a_.residual) + at, lanes);
      } else {
        r = _mm512_maskz_loadu_ps(lanes, static_cast<const float*>(a_.residual) + at);
      }
      t = _mm512_fmadd_ps(_mm512_set1_ps(a_.beta), r, t);
    }
    return activate_avx512<kActivation>(t, _mm512_set1_ps(a_.act_alpha));
  }

  // Slot s of `kRows` rows side by side: rounded, or zero beyond the last row.
  template <int kRows, int kSlot>
  [[gnu::always_inline]] __m512i slot(std::int32_t i) const {
    if constexpr (kSlot < kRows * kUnits)
      return round_avx512<kActivation>(value(i + kSlot / kUnits, kSlot % kUnits));
    return _mm512_setzero_si512();
  }

  template <int kRows>
  [[gnu::always_inline]] void store_rows(std::int32_t i) const {
    const __m512i bytes =
        narrow_avx512(slot<kRows, 0>(i), slot<kRows, 1>(i), slot<kRows, 2>(i), slot<kRows, 3>(i));
    const auto out = [&](std::int32_t row) __attribute__((always_inline)) {
      return static_cast<std::int8_t*>(a_.out) + b_.row(row) * a_.out_stride + b_.channel;
    };
    if constexpr (kRows == 1) {
      _mm512_mask_storeu_epi8(out(i), lanes_ & low_bits(16 * kUnits), bytes);
    } else if constexpr (kRows == 2) {
      const auto lanes = static_cast<__mmask32>(lanes_);
      _mm256_mask_storeu_epi8(out(i), lanes, _mm512_castsi512_si256(bytes));
      _mm256_mask_storeu_epi8(out(i + 1), lanes, _mm512_extracti64x4_epi64(bytes, 1));
    } else {
      const auto lanes = static_cast<__mmask16>(lanes_);
      _mm_mask_storeu_epi8(out(i), lanes, _mm512_castsi512_si128(bytes));
      _mm_mask_storeu_epi8(out(i + 1), lanes, _mm512_extracti32x4_epi32(bytes, 1));
      _mm_mask_storeu_epi8(out(i + 2), lanes, _mm512_extracti32x4_epi32(bytes, 2));
      _mm_mask_storeu_epi8(out(i + 3), lanes, _mm512_extracti32x4_epi32(bytes, 3));
    }
  }

  [[gnu::always_inline]] void store_floats(std::int32_t i) const {
    float* out = static_cast<float*>(a_.out) + b_.row(i) * a_.out_stride + b_.channel;
    for (int u = 0; u < kUnits; ++u) {
      _mm512_mask_storeu_ps(out + 16 * u, static_cast<__mmask16>(lanes_ >> (16 * u)), value(i, u));
    }
  }

  const ImplicitGemmArgs& a_;
  const BlockSums& b_;
  std::uint64_t lanes_;  // output channels of the block that exist
  __m512 scale_[kUnits];
  __m512 bias_[kUnits];
};

template <int kUnits, bool kToInt8>
void finish_block_sums(const ImplicitGemmArgs& a, const BlockSums& b) {
  switch (a.activation) {
    case Activation::kNone:
      return BlockFinisher<kUnits, kToInt8, Activation::kNone>(a, b).run();
    case Activation::kReLU:
      return BlockFinisher<kUnits, kToInt8, Activation::kReLU>(a, b).run();
    case Activation::kLeakyReLU:
      return BlockFinisher<kUnits, kToInt8, Activation::kLeakyReLU>(a, b).run();
  }
}

template <int kUnits>
void finish_block_sums(const ImplicitGemmArgs& a, const BlockSums& b) {
  if (a.problem.out_dtype == DType::kInt8) {
    finish_block_sums<kUnits, true>(a, b);
  } else {
    finish_block_sums<kUnits, false>(a, b);
  }
}

/// Epilogue and stores of `units` (1 to 4) times 16 channels of a block.
inline void finish_block_sums(const ImplicitGemmArgs& a, const BlockSums& b, std::int32_t units) {
  switch (units) {
    case 1:
      return finish_block_sums<1>(a, b);
    case 2:
      return finish_block_sums<2>(a, b);
    case 3:
      return finish_block_sums<3>(a, b);
    default:
      return finish_block_sums<4>(a, b);
  }
}

}  // namespace
}  // namespace voxgemm
