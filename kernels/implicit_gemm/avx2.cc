// AVX2 rows, int8, exact. The tile loop is that of tile_driver.h; a register block is `kRows` pairs by 16
// channels and passes over the channels of the block one unit after the other.
//
// Inputs >= 0: vpmaddubsw multiplies bytes and adds pairs into 16 bits. It cannot saturate here: 2 * 127 *
// -128 is -32512. vpmaddwd by ones and vpaddd finish. Other inputs are widened to 16 bits in a small buffer
// and multiplied by vpmaddwd with 16-bit weights, exact for all of [-128, 127].
#include <immintrin.h>

#include "kernels/implicit_gemm/finish_avx2.h"
#include "kernels/implicit_gemm/rows.h"
#include "kernels/implicit_gemm/tile_driver.h"
#include "kernels/implicit_gemm/unroll.h"

namespace voxgemm {
namespace {

constexpr std::int32_t kChunk = 512;  // input channels widened at a time

using Operands8 = PairOperands<std::int8_t, std::int8_t, std::int32_t>;
using Operands16 = PairOperands<std::int8_t, std::int16_t, std::int32_t>;

[[gnu::always_inline]] inline __m256i load256(const void* from) {
  return _mm256_load_si256(static_cast<const __m256i*>(from));
}

[[gnu::always_inline]] inline __m256i broadcast4(const void* x) {
  std::int32_t four;
  __builtin_memcpy(&four, x, sizeof four);
  return _mm256_set1_epi32(four);
}

// acc += x . w for 8 channels: 4 unsigned by 4 signed bytes each.
[[gnu::always_inline]] inline __m256i dot(const std::int8_t*, __m256i acc, __m256i x, __m256i w) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), _mm256_set1_epi16(1)));
}

// The same for 2 by 2 signed 16-bit words.
[[gnu::always_inline]] inline __m256i dot(const std::int16_t*, __m256i acc, __m256i x, __m256i w) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(x, w));
}

// kRows pairs by one unit over `steps` steps. x[m] are rows of Weight-sized elements, w walks over steps of
// `w_stride` bytes.
template <int kRows, typename Weight>
[[gnu::always_inline]] inline void block(const char* const* x, const char* w, std::int64_t w_stride,
                                         std::int64_t steps, std::int32_t* const* to) {
  __m256i acc[2 * kRows];
  unroll<kRows>([&](auto m) __attribute__((always_inline)) {
    acc[2 * m] = load256(to[m]);
    acc[2 * m + 1] = load256(to[m] + 8);
  });
  for (std::int64_t s = 0; s < steps; ++s, w += w_stride) {
    const __m256i w0 = load256(w);
    const __m256i w1 = load256(w + 32);
    unroll<kRows>([&](auto m) __attribute__((always_inline)) {
      const __m256i b = broadcast4(x[m] + 4 * s);
      acc[2 * m] = dot(static_cast<const Weight*>(nullptr), acc[2 * m], b, w0);
      acc[2 * m + 1] = dot(static_cast<const Weight*>(nullptr), acc[2 * m + 1], b, w1);
    });
  }
  unroll<kRows>([&](auto m) __attribute__((always_inline)) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(to[m]), acc[2 * m]);
    _mm256_store_si256(reinterpret_cast<__m256i*>(to[m] + 8), acc[2 * m + 1]);
  });
}

template <int kRows, typename Operands>
[[gnu::always_inline]] inline void all_units(const Operands& o, const char* const* x, std::int64_t first_step,
                                             std::int64_t steps, const std::uint16_t* out_rows) {
  using Weight = std::remove_cvref_t<decltype(*o.weights)>;
  constexpr std::int64_t kStepBytes = 64;  // of one unit
  const char* w = reinterpret_cast<const char*>(o.weights) + first_step * o.units * kStepBytes;
  for (std::int32_t u = 0; u < o.units; ++u) {
    std::int32_t* to[kRows];
    unroll<kRows>([&](auto m) __attribute__((always_inline)) {
      to[m] = o.acc + u * accumulator_plane(o.units) + out_rows[m] * kUnitChannels;
    });
    block<kRows, Weight>(x, w + u * kStepBytes, o.units * kStepBytes, steps, to);
  }
}

template <int kRows>
[[gnu::noinline]] void blocks8(const Operands8& o, const std::int32_t* in_rows, const std::uint16_t* out_rows,
                               std::int32_t blocks) {
  for (; blocks > 0; --blocks, in_rows += kRows, out_rows += kRows) {
    const char* x[kRows];
    unroll<kRows>([&](auto m) __attribute__((always_inline)) {
      x[m] = reinterpret_cast<const char*>(o.in + in_rows[m] * o.in_stride);
    });
    all_units<kRows>(o, x, 0, o.steps, out_rows);
  }
}

// Channels [first, first + count) of a row as 16-bit words; a last odd channel gets a partner of 0.
void widen(const std::int8_t* from, std::int32_t count, std::int16_t* to) {
  std::int32_t c = 0;
  for (; c + 16 <= count; c += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + c));
    _mm256_store_si256(reinterpret_cast<__m256i*>(to + c), _mm256_cvtepi8_epi16(bytes));
  }
  for (; c < count; ++c) to[c] = from[c];
  if (c % 2 != 0) to[c] = 0;
}

template <int kRows>
[[gnu::noinline]] void blocks16(const Operands16& o, const std::int32_t* in_rows,
                                const std::uint16_t* out_rows, std::int32_t blocks) {
  alignas(32) std::int16_t wide[kRows][kChunk];
  const char* x[kRows];
  unroll<kRows>([&](auto m)
                    __attribute__((always_inline)) { x[m] = reinterpret_cast<const char*>(wide[m]); });
  for (; blocks > 0; --blocks, in_rows += kRows, out_rows += kRows) {
    for (std::int32_t c = 0; c < o.c_in; c += kChunk) {
      const std::int32_t count = o.c_in - c < kChunk ? o.c_in - c : kChunk;
      unroll<kRows>([&](auto m) __attribute__((always_inline)) {
        widen(o.in + in_rows[m] * o.in_stride + c, count, wide[m]);
      });
      all_units<kRows>(o, x, c / 2, (count + 1) / 2, out_rows);
    }
  }
}

template <int kRows>
void blocks(const Operands8& o, const std::int32_t* in_rows, const std::uint16_t* out_rows,
            std::int32_t count) {
  blocks8<kRows>(o, in_rows, out_rows, count);
}
template <int kRows>
void blocks(const Operands16& o, const std::int32_t* in_rows, const std::uint16_t* out_rows,
            std::int32_t count) {
  blocks16<kRows>(o, in_rows, out_rows, count);
}

template <typename Operands>
void multiply(const Operands& o, const PairList& list) {
  constexpr int kRows = 4;
  const std::int32_t full = list.count / kRows;
  const std::int32_t done = full * kRows;
  blocks<kRows>(o, list.in_rows, list.out_rows, full);
  if (list.count - done >= 2) blocks<2>(o, list.in_rows + done, list.out_rows + done, 1);
  const std::int32_t last = list.count - 1;
  if (list.count % 2 != 0) blocks<1>(o, list.in_rows + last, list.out_rows + last, 1);
}

template <typename WeightType, int kStepDepth>
struct Avx2 {
  using In = std::int8_t;
  using Weight = WeightType;
  using Sum = std::int32_t;
  using Operands = PairOperands<In, Weight, Sum>;
  static constexpr std::int32_t kDepth = kStepDepth;
  static constexpr bool kRowSums = false;

  static auto list(const Operands&) { return multiply<Operands>; }
  static void finish(const ImplicitGemmArgs& a, const FinishBlock<Sum>& block, std::int32_t units) {
    finish_units(a, block, units);
  }
};

}  // namespace

namespace implicit_gemm {

void avx2_run(const ImplicitGemmArgs& args, RowRange tiles, Exec) noexcept {
  run_tiles<Avx2<std::int16_t, 2>>(args, tiles);
}

void avx2_u8_run(const ImplicitGemmArgs& args, RowRange tiles, Exec) noexcept {
  run_tiles<Avx2<std::int8_t, 4>>(args, tiles);
}

}  // namespace implicit_gemm
}  // namespace voxgemm
