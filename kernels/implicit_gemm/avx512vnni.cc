// AVX-512 VNNI rows, int8. Output rows of a tile accumulate in an int32 block that stays in the L1 cache; for
// each offset the compacted pairs of the tile are multiplied in register blocks of `kRows` pairs by `kUnits`
// * 16 channels, which load and store their accumulators once per offset.
//
// vpdpbusd multiplies unsigned by signed bytes. Inputs that are promised to be >= 0 go to the unsigned slot
// and the weights stay signed. Otherwise the weights go there as w + 128, which makes a sum too large by 128
// * (sum of the inputs): the same for all channels, and taken off once per output row.
#include <immintrin.h>

#include "kernels/implicit_gemm/finish_avx512.h"
#include "kernels/implicit_gemm/rows.h"
#include "kernels/implicit_gemm/tile_driver.h"
#include "kernels/implicit_gemm/unroll.h"

namespace voxgemm {
namespace {

using Operands = PairOperands<std::int8_t, std::int8_t, std::int32_t>;

// Written out: with the intrinsic, GCC 12 copies the sums around the loop and spills them.
template <bool kSigned>
[[gnu::always_inline]] inline __m512i dot(__m512i acc, __m512i x, __m512i w) {
  if constexpr (kSigned) {
    __asm__("vpdpbusd %1, %2, %0" : "+v"(acc) : "v"(x), "v"(w));
  } else {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(w));
  }
  return acc;
}

[[gnu::always_inline]] inline __m512i broadcast4(const std::int8_t* x) {
  std::int32_t four;
  __builtin_memcpy(&four, x, sizeof four);
  return _mm512_set1_epi32(four);
}

// `blocks` register blocks of kRows pairs, weights read at every step. Sums start at zero and are added to
// the accumulators at the end: with sums that start from loads, a block would wait for the stores of the one
// before.
template <int kRows, int kUnits, bool kSigned>
[[gnu::noinline]] void stream_blocks(const Operands& o, const std::int32_t* in_rows,
                                     const std::uint16_t* out_rows, std::int32_t blocks) {
  for (; blocks > 0; --blocks, in_rows += kRows, out_rows += kRows) {
    const std::int8_t* x[kRows];
    __m512i acc[kRows * kUnits];
    unroll<kRows>([&](auto m) __attribute__((always_inline)) {
      x[m] = o.in + in_rows[m] * o.in_stride;
      unroll<kUnits>([&](auto n)
                         __attribute__((always_inline)) { acc[m * kUnits + n] = _mm512_setzero_si512(); });
    });
    const std::int8_t* w = o.weights;
    for (std::int64_t s = 0; s < o.steps; ++s, w += 64 * kUnits) {
      __m512i weights[kUnits];
      unroll<kUnits>([&](auto n)
                         __attribute__((always_inline)) { weights[n] = _mm512_load_si512(w + 64 * n); });
      unroll<kRows>([&](auto m) __attribute__((always_inline)) {
        const __m512i b = broadcast4(x[m] + 4 * s);
        unroll<kUnits>([&](auto n) __attribute__((always_inline)) {
          acc[m * kUnits + n] = dot<kSigned>(acc[m * kUnits + n], b, weights[n]);
        });
      });
    }
    unroll<kRows>([&](auto m) __attribute__((always_inline)) {
      std::int32_t* again = o.acc + out_rows[m] * kUnitChannels;
      unroll<kUnits>([&](auto n) __attribute__((always_inline)) {
        std::int32_t* at = again + n * accumulator_plane(kUnits);
        _mm512_store_si512(at, _mm512_add_epi32(acc[m * kUnits + n], _mm512_load_si512(at)));
      });
    });
  }
}

// The same with the weights of the offset held in registers for the whole list.
template <int kRows, int kUnits, int kSteps, bool kSigned>
[[gnu::noinline]] void hold_blocks(const Operands& o, const std::int32_t* in_rows,
                                   const std::uint16_t* out_rows, std::int32_t blocks) {
  const std::int8_t* const in = o.in;
  const auto stride = static_cast<std::uint64_t>(o.in_stride);
  char* const acc_rows = reinterpret_cast<char*>(o.acc);
  constexpr std::uint64_t kRowBytes = 64;
  constexpr std::int64_t kPlaneBytes = 4 * accumulator_plane(kUnits);
  __m512i weights[kSteps * kUnits];
  unroll<kSteps * kUnits>([&](auto i) __attribute__((always_inline)) {
    weights[i] = _mm512_load_si512(o.weights + 64 * i);
  });
  for (; blocks > 0; --blocks, in_rows += kRows, out_rows += kRows) {
    const std::int8_t* x[kRows];
    std::uint64_t to[kRows];
    __m512i acc[kRows * kUnits];
    unroll<kRows>([&](auto m) __attribute__((always_inline)) {
      x[m] = in + static_cast<std::uint32_t>(in_rows[m]) * stride;
      to[m] = out_rows[m] * kRowBytes;
      unroll<kUnits>([&](auto n) __attribute__((always_inline)) {
        acc[m * kUnits + n] = _mm512_load_si512(acc_rows + to[m] + n * kPlaneBytes);
      });
    });
    unroll<kSteps>([&](auto s) __attribute__((always_inline)) {
      unroll<kRows>([&](auto m) __attribute__((always_inline)) {
        const __m512i b = broadcast4(x[m] + 4 * s);
        unroll<kUnits>([&](auto n) __attribute__((always_inline)) {
          acc[m * kUnits + n] = dot<kSigned>(acc[m * kUnits + n], b, weights[s * kUnits + n]);
        });
      });
    });
    unroll<kRows>([&](auto m) __attribute__((always_inline)) {
      unroll<kUnits>([&](auto n) __attribute__((always_inline)) {
        _mm512_store_si512(acc_rows + to[m] + n * kPlaneBytes, acc[m * kUnits + n]);
      });
    });
  }
}

using BlocksFn = void (*)(const Operands&, const std::int32_t*, const std::uint16_t*, std::int32_t);

// stream_blocks for every number of rows up to the full block's.
template <int kUnits, bool kSigned>
BlocksFn stream_fn(std::int32_t rows) {
  constexpr int kMost = vnni_shape(3, kUnits).rows;
  return [&]<int... kI>(std::integer_sequence<int, kI...>) {
    static constexpr BlocksFn kTable[] = {stream_blocks<kI + 1, kUnits, kSigned>...};
    return kTable[rows - 1];
  }
  (std::make_integer_sequence<int, kMost>{});
}

// A list in blocks of rows as even as can be: a last block of one row would wait for its own latency.
template <int kUnits, bool kSigned>
void stream_list(const Operands& o, const PairList& list) {
  constexpr std::int32_t kMost = vnni_shape(3, kUnits).rows;
  const std::int32_t blocks = (list.count + kMost - 1) / kMost;
  const std::int32_t rows = list.count / blocks;
  const std::int32_t larger = list.count - rows * blocks;
  if (larger > 0) stream_fn<kUnits, kSigned>(rows + 1)(o, list.in_rows, list.out_rows, larger);
  const std::int32_t done = larger * (rows + 1);
  stream_fn<kUnits, kSigned>(rows)(o, list.in_rows + done, list.out_rows + done, blocks - larger);
}

template <int kUnits, int kSteps, bool kSigned>
void hold_list(const Operands& o, const PairList& list) {
  constexpr int kRows = vnni_shape(kSteps, kUnits).rows;
  const std::int32_t blocks = list.count / kRows;
  const std::int32_t done = blocks * kRows;
  hold_blocks<kRows, kUnits, kSteps, kSigned>(o, list.in_rows, list.out_rows, blocks);
  if (done < list.count) {
    hold_blocks<1, kUnits, kSteps, kSigned>(o, list.in_rows + done, list.out_rows + done, list.count - done);
  }
}

using ListFn = void (*)(const Operands&, const PairList&);

template <int kUnits, bool kSigned>
ListFn list_fn(std::int32_t steps) {
  if (!vnni_shape(steps, kUnits).stationary) return stream_list<kUnits, kSigned>;
  if (steps == 1) return hold_list<kUnits, 1, kSigned>;
  if (steps == 2) return hold_list<kUnits, 2, kSigned>;
  if (steps == 4) return hold_list<kUnits, 4, kSigned>;
  if constexpr (kUnits <= 2) return hold_list<kUnits, 8, kSigned>;
  return stream_list<kUnits, kSigned>;
}

template <bool kSigned>
struct Vnni {
  using In = std::int8_t;
  using Weight = std::int8_t;
  using Sum = std::int32_t;
  using Operands = ::voxgemm::Operands;
  static constexpr std::int32_t kDepth = 4;
  static constexpr std::int32_t kChannelMultiple = 1;
  static constexpr bool kRowSums = kSigned;

  static ListFn list(const Operands& o) {
    switch (o.units) {
      case 1:
        return list_fn<1, kSigned>(o.steps);
      case 2:
        return list_fn<2, kSigned>(o.steps);
      case 3:
        return list_fn<3, kSigned>(o.steps);
      default:
        return list_fn<4, kSigned>(o.steps);
    }
  }
  static void finish(const ImplicitGemmArgs& a, const FinishBlock<Sum>& block, std::int32_t units) {
    finish_units(a, block, units);
  }
};

}  // namespace

namespace implicit_gemm {

void avx512vnni_run(const ImplicitGemmArgs& args, RowRange tiles, Exec) noexcept {
  run_tiles<Vnni<true>>(args, tiles);
}

void avx512vnni_u8_run(const ImplicitGemmArgs& args, RowRange tiles, Exec) noexcept {
  run_tiles<Vnni<false>>(args, tiles);
}

// Copies of 16 bytes at a time, sums of 64 bytes at a time (vpdpbusd by ones).
void avx512vnni_prepare(const ImplicitGemmPrepare& a, RowRange rows, Exec) noexcept {
  const auto* in = static_cast<const std::int8_t*>(a.in);
  auto* padded = static_cast<std::int8_t*>(a.padded);
  const __m512i ones = _mm512_set1_epi8(1);
  const std::int64_t width = a.padded != nullptr ? a.padded_stride : a.problem.c_in;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    __m512i sums = _mm512_setzero_si512();
    for (std::int64_t c = 0; c < width; c += 64) {
      const std::int64_t readable = a.problem.c_in - c;
      const std::int64_t writable = width - c;
      const __mmask64 read =
          readable <= 0 ? 0 : _bzhi_u64(~0ULL, static_cast<unsigned>(readable > 64 ? 64 : readable));
      const __m512i x = _mm512_maskz_loadu_epi8(read, in + row * a.in_stride + c);
      sums = _mm512_dpbusd_epi32(sums, ones, x);
      if (padded == nullptr) continue;
      const __mmask64 write = _bzhi_u64(~0ULL, static_cast<unsigned>(writable > 64 ? 64 : writable));
      _mm512_mask_storeu_epi8(padded + row * a.padded_stride + c, write, x);
    }
    if (a.row_sums != nullptr) a.row_sums[row] = _mm512_reduce_add_epi32(sums);
  }
}

}  // namespace implicit_gemm
}  // namespace voxgemm
