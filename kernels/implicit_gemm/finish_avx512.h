// From a block of sums to output rows, AVX-512. Shared by the VNNI, AMX and float32 rows; ISA files only.
#pragma once

#include <immintrin.h>

#include "kernels/epilogue/avx512.h"
#include "kernels/implicit_gemm/block_layout.h"
#include "kernels/implicit_gemm/finish_block.h"
#include "kernels/implicit_gemm/implicit_gemm.h"
#include "kernels/implicit_gemm/unroll.h"

namespace voxgemm {
namespace {  // internal linkage: every ISA file keeps its own copy

inline std::uint64_t low_bits(std::int64_t count) {
  return count >= 64 ? ~0ULL : count <= 0 ? 0ULL : (1ULL << count) - 1ULL;
}

// One finisher per combination that the inner loop must not ask about. Its members stay in registers: nothing
// here may be called with `this` out of line.
template <typename Sum, int kUnits, bool kToInt8, Activation kActivation, bool kResidual, SumsOf kSums>
class Finisher {
 public:
  using Out = std::conditional_t<kToInt8, std::int8_t, float>;

  [[gnu::always_inline]] Finisher(const ImplicitGemmArgs& a, const FinishBlock<Sum>& b)
      : acc_(b.acc),
        corrections_(b.corrections),
        order_(b.order),
        out_(static_cast<Out*>(a.out) + b.first_row * a.out_stride + b.channel),
        out_stride_(a.out_stride),
        residual_stride_(a.residual_stride),
        lanes_(low_bits(a.problem.c_out - b.channel) & low_bits(16 * kUnits)),
        beta_(_mm512_set1_ps(a.beta)),
        act_alpha_(_mm512_set1_ps(a.act_alpha)) {
    if constexpr (kResidual)
      residual_ = static_cast<const Out*>(a.residual) + b.first_row * a.residual_stride + b.channel;
    unroll<kUnits>([&](auto u) __attribute__((always_inline)) {
      scale_[u] = _mm512_loadu_ps(a.scale + b.channel + 16 * u);
      bias_[u] = _mm512_loadu_ps(a.bias + b.channel + 16 * u);
    });
  }

  [[gnu::always_inline]] void run(std::int32_t rows) {
    if constexpr (kToInt8) {
      constexpr std::int32_t kRows = kUnits == 1 ? 4 : kUnits == 2 ? 2 : 1;  // rows that fill 64 bytes
      for (; rows >= kRows; rows -= kRows) store_rows<kRows>();
      if constexpr (kRows > 1) {
        for (; rows > 0; --rows) store_rows<1>();
      }
    } else {
      for (; rows > 0; --rows) store_floats();
    }
  }

 private:
  static constexpr bool kIsFloat = Sum(0.5) != Sum(0);
  static constexpr bool kOrdered = kSums == SumsOf::kTableBlock;
  static constexpr std::int32_t kPlane =
      kOrdered ? kPairBlockRows * kUnitChannels : accumulator_plane(kUnits);

  // Row m from here, in rows of the output from where the pointers stand.
  [[gnu::always_inline]] std::int64_t row(std::int32_t m) const {
    if constexpr (kOrdered) return order_[m];
    return m;
  }

  [[gnu::always_inline]] Out* out(std::int32_t m) const { return out_ + row(m) * out_stride_; }

  // Sums of kRows rows from here, row by row. Zeros are left for the next tile, after all loads: units lie a
  // multiple of 4096 bytes apart, and a load would wait for a store to another unit of its row.
  template <int kRows>
  [[gnu::always_inline]] void take(__m512i* sums) {
    const auto at = [&](auto i) __attribute__((always_inline)) {
      return acc_ + i % kUnits * kPlane + i / kUnits * kUnitChannels;
    };
    unroll<kRows * kUnits>([&](auto i)
                               __attribute__((always_inline)) { sums[i] = _mm512_load_si512(at(i)); });
    if constexpr (kOrdered) return;
    __asm__ volatile("" ::: "memory");
    unroll<kRows * kUnits>([&](auto i) __attribute__((always_inline)) {
      _mm512_store_si512(at(i), _mm512_setzero_si512());
    });
  }

  // Unit u of row m from here, up to the activation.
  template <int kRow, int kUnit>
  [[gnu::always_inline]] __m512 value(__m512i sums) const {
    __m512 t;
    if constexpr (kIsFloat) {
      t = _mm512_add_ps(_mm512_castsi512_ps(sums), bias_[kUnit]);
    } else {
      if constexpr (kSums == SumsOf::kBiasedTile)
        sums = _mm512_sub_epi32(sums, _mm512_set1_epi32(corrections_[kRow]));
      t = _mm512_fmadd_ps(scale_[kUnit], _mm512_cvtepi32_ps(sums), bias_[kUnit]);
    }
    if constexpr (kResidual) {
      const Out* from = residual_ + row(kRow) * residual_stride_ + 16 * kUnit;
      const auto lanes = static_cast<__mmask16>(lanes_ >> (16 * kUnit));
      __m512 r;
      if constexpr (kToInt8) {
        r = load_int8_avx512(from, lanes);
      } else {
        r = _mm512_maskz_loadu_ps(lanes, from);
      }
      t = _mm512_fmadd_ps(beta_, r, t);
    }
    return activate_avx512<kActivation>(t, act_alpha_);
  }

  // Slot s of `kRows` rows side by side: rounded, or zero beyond the last row.
  template <int kRows, int kSlot>
  [[gnu::always_inline]] __m512i slot(const __m512i* sums) const {
    if constexpr (kSlot < kRows * kUnits)
      return round_avx512<kActivation>(value<kSlot / kUnits, kSlot % kUnits>(sums[kSlot]));
    return _mm512_setzero_si512();
  }

  template <int kRows>
  [[gnu::always_inline]] void store_rows() {
    __m512i sums[kRows * kUnits];
    take<kRows>(sums);
    const __m512i bytes =
        narrow_avx512(slot<kRows, 0>(sums), slot<kRows, 1>(sums), slot<kRows, 2>(sums), slot<kRows, 3>(sums));
    if constexpr (kRows == 1) {
      _mm512_mask_storeu_epi8(out(0), lanes_, bytes);
    } else if (!kOrdered && out_stride_ == 16 * kUnits && lanes_ == low_bits(16 * kUnits)) {
      _mm512_storeu_si512(out_, bytes);
    } else if constexpr (kRows == 2) {
      const auto lanes = static_cast<__mmask32>(lanes_);
      _mm256_mask_storeu_epi8(out(0), lanes, _mm512_castsi512_si256(bytes));
      _mm256_mask_storeu_epi8(out(1), lanes, _mm512_extracti64x4_epi64(bytes, 1));
    } else {
      const auto lanes = static_cast<__mmask16>(lanes_);
      _mm_mask_storeu_epi8(out(0), lanes, _mm512_castsi512_si128(bytes));
      _mm_mask_storeu_epi8(out(1), lanes, _mm512_extracti32x4_epi32(bytes, 1));
      _mm_mask_storeu_epi8(out(2), lanes, _mm512_extracti32x4_epi32(bytes, 2));
      _mm_mask_storeu_epi8(out(3), lanes, _mm512_extracti32x4_epi32(bytes, 3));
    }
    advance(kRows);
  }

  [[gnu::always_inline]] void store_floats() {
    __m512i sums[kUnits];
    take<1>(sums);
    unroll<kUnits>([&](auto u) __attribute__((always_inline)) {
      _mm512_mask_storeu_ps(out(0) + 16 * u, static_cast<__mmask16>(lanes_ >> (16 * u)),
                            value<0, u>(sums[u]));
    });
    advance(1);
  }

  [[gnu::always_inline]] void advance(std::int32_t rows) {
    acc_ += rows * kUnitChannels;
    if constexpr (kOrdered) {
      order_ += rows;
      return;
    }
    out_ += rows * out_stride_;
    if constexpr (kResidual) residual_ += rows * residual_stride_;
    if constexpr (kSums == SumsOf::kBiasedTile) corrections_ += rows;
  }

  Sum* acc_;
  const std::int32_t* corrections_;
  const std::int32_t* order_;
  Out* out_;
  const Out* residual_ = nullptr;
  std::int64_t out_stride_;
  std::int64_t residual_stride_;
  std::uint64_t lanes_;  // output channels of the block that exist
  __m512 beta_, act_alpha_;
  __m512 scale_[kUnits];
  __m512 bias_[kUnits];
};

template <typename Sum, int kUnits, bool kToInt8, Activation kActivation, SumsOf kSums>
[[gnu::noinline]] void finish_block(const ImplicitGemmArgs& a, const FinishBlock<Sum>& b) {
  if (a.residual != nullptr) {
    Finisher<Sum, kUnits, kToInt8, kActivation, true, kSums>(a, b).run(b.rows);
  } else {
    Finisher<Sum, kUnits, kToInt8, kActivation, false, kSums>(a, b).run(b.rows);
  }
}

template <typename Sum, int kUnits, bool kToInt8, SumsOf kSums>
void finish_block(const ImplicitGemmArgs& a, const FinishBlock<Sum>& b) {
  switch (a.activation) {
    case Activation::kNone:
      return finish_block<Sum, kUnits, kToInt8, Activation::kNone, kSums>(a, b);
    case Activation::kReLU:
      return finish_block<Sum, kUnits, kToInt8, Activation::kReLU, kSums>(a, b);
    case Activation::kLeakyReLU:
      return finish_block<Sum, kUnits, kToInt8, Activation::kLeakyReLU, kSums>(a, b);
    case Activation::kSigmoid:
      return finish_block<Sum, kUnits, kToInt8, Activation::kSigmoid, kSums>(a, b);
  }
}

template <int kUnits, SumsOf kSums>
void finish_block(const ImplicitGemmArgs& a, const FinishBlock<std::int32_t>& b) {
  if (a.problem.out_dtype == DType::kInt8) {
    finish_block<std::int32_t, kUnits, true, kSums>(a, b);
  } else {
    finish_block<std::int32_t, kUnits, false, kSums>(a, b);
  }
}

template <int kUnits, SumsOf kSums>
void finish_block(const ImplicitGemmArgs& a, const FinishBlock<float>& b) {
  finish_block<float, kUnits, false, kSums>(a, b);
}

/// Epilogue and stores of one block of `units` (1 to 4) times 16 channels.
template <SumsOf kSums = SumsOf::kTile, typename Sum>
void finish_units(const ImplicitGemmArgs& a, const FinishBlock<Sum>& b, std::int32_t units) {
  switch (units) {
    case 1:
      return finish_block<1, kSums>(a, b);
    case 2:
      return finish_block<2, kSums>(a, b);
    case 3:
      return finish_block<3, kSums>(a, b);
    default:
      return finish_block<4, kSums>(a, b);
  }
}

}  // namespace
}  // namespace voxgemm
