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

// The correction of signed inputs: sums of the input rows, gathered per output row. The dot ports are busy
// elsewhere, so that it costs little beside the products.
template <int kRows, bool kSigned>
[[gnu::always_inline]] inline void correct_rows(const Operands& o, const std::int32_t* in_rows,
                                                const std::uint16_t* out_rows) {
  if constexpr (kSigned) {
    unroll<kRows>([&](auto m) __attribute__((always_inline)) {
      o.corrections[out_rows[m]] += o.row_sums[in_rows[m]];
    });
  }
}

// `blocks` register blocks of kRows pairs, weights read at every step. Sums start at zero and are added to
// the accumulators at the end: with sums that start from loads, a block would wait for the stores of the one
// before. Rows are stored one by one between the dots of the last step, so that stores do not queue up.
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
    const auto step = [&](std::int64_t s, auto&& finish_row) __attribute__((always_inline)) {
      __m512i weights[kUnits];
      unroll<kUnits>([&](auto n)
                         __attribute__((always_inline)) { weights[n] = _mm512_load_si512(w + 64 * n); });
      unroll<kRows>([&](auto m) __attribute__((always_inline)) {
        const __m512i b = broadcast4(x[m] + 4 * s);
        unroll<kUnits>([&](auto n) __attribute__((always_inline)) {
          acc[m * kUnits + n] = dot<kSigned>(acc[m * kUnits + n], b, weights[n]);
        });
        finish_row(m);
      });
    };
    const std::int64_t last = o.steps - 1;
    for (std::int64_t s = 0; s < last; ++s, w += 64 * kUnits) {
      step(s, [](auto) __attribute__((always_inline)){});
    }
    step(
        last, [&](auto m) __attribute__((always_inline)) {
          std::int32_t* to = o.acc + out_rows[m] * kUnitChannels;
          unroll<kUnits>([&](auto n) __attribute__((always_inline)) {
            const __m512i before = _mm512_load_si512(to + n * accumulator_plane(kUnits));
            acc[m * kUnits + n] = _mm512_add_epi32(acc[m * kUnits + n], before);
          });
          // Loads before stores: units lie a multiple of 4096 bytes apart, where a load waits for a store.
          __asm__ volatile("" ::: "memory");
          unroll<kUnits>([&](auto n) __attribute__((always_inline)) {
            _mm512_store_si512(to + n * accumulator_plane(kUnits), acc[m * kUnits + n]);
          });
        });
    correct_rows<kRows, kSigned>(o, in_rows, out_rows);
  }
}

// One block of the form below.
template <int kRows, int kUnits, int kSteps, bool kSigned>
[[gnu::always_inline]] inline void hold_block(const Operands& o, const __m512i* weights,
                                              const std::int32_t* in_rows, const std::uint16_t* out_rows) {
  constexpr std::int64_t kPlane = accumulator_plane(kUnits);
  const std::int8_t* x[kRows];
  std::int32_t* to[kRows];
  __m512i acc[kRows * kUnits];
  unroll<kRows>([&](auto m) __attribute__((always_inline)) {
    x[m] = o.in + static_cast<std::uint32_t>(in_rows[m]) * static_cast<std::uint64_t>(o.in_stride);
    to[m] = o.acc + std::uint64_t{out_rows[m]} * kUnitChannels;
    unroll<kUnits>([&](auto n) __attribute__((always_inline)) {
      acc[m * kUnits + n] = _mm512_load_si512(to[m] + n * kPlane);
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
      _mm512_store_si512(to[m] + n * kPlane, acc[m * kUnits + n]);
    });
  });
  correct_rows<kRows, kSigned>(o, in_rows, out_rows);
}

// A list in blocks of kRows pairs and then pair by pair, the weights of the offset in registers throughout.
template <int kRows, int kUnits, int kSteps, bool kSigned>
[[gnu::noinline]] void hold_blocks(const Operands& operands, const std::int32_t* in_rows,
                                   const std::uint16_t* out_rows, std::int32_t count) {
  const Operands o = operands;  // a copy that no store can change
  __m512i weights[kSteps * kUnits];
  unroll<kSteps * kUnits>([&](auto i) __attribute__((always_inline)) {
    weights[i] = _mm512_load_si512(o.weights + 64 * i);
  });
  for (; count >= kRows; count -= kRows, in_rows += kRows, out_rows += kRows) {
    hold_block<kRows, kUnits, kSteps, kSigned>(o, weights, in_rows, out_rows);
  }
  for (; count > 0; --count, ++in_rows, ++out_rows) {
    hold_block<1, kUnits, kSteps, kSigned>(o, weights, in_rows, out_rows);
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

using ListsFn = void (*)(Operands&, TileCursor&, const ListWalk&);

template <int kUnits, int kSteps, bool kSigned>
void hold_lists(Operands& operands, TileCursor& cursor, const ListWalk& walk) {
  constexpr int kRows = vnni_shape(kSteps, kUnits).rows;
  walk_lists(operands, cursor, walk, [](const Operands& o, const PairList& list) {
    hold_blocks<kRows, kUnits, kSteps, kSigned>(o, list.in_rows, list.out_rows, list.count);
  });
}

template <int kUnits, bool kSigned>
void stream_lists(Operands& operands, TileCursor& cursor, const ListWalk& walk) {
  walk_lists(operands, cursor, walk, stream_list<kUnits, kSigned>);
}

template <int kUnits, bool kSigned>
ListsFn lists_fn(std::int32_t steps) {
  if (!vnni_shape(steps, kUnits).stationary) return stream_lists<kUnits, kSigned>;
  if (steps == 1) return hold_lists<kUnits, 1, kSigned>;
  if (steps == 2) return hold_lists<kUnits, 2, kSigned>;
  if (steps == 4) return hold_lists<kUnits, 4, kSigned>;
  if constexpr (kUnits <= 2) return hold_lists<kUnits, 8, kSigned>;
  return stream_lists<kUnits, kSigned>;
}

template <bool kSigned>
struct Vnni {
  using In = std::int8_t;
  using Weight = std::int8_t;
  using Sum = std::int32_t;
  using Operands = ::voxgemm::Operands;
  static constexpr std::int32_t kDepth = 4;
  static constexpr bool kRowSums = kSigned;

  static ListsFn list(const Operands& o) {
    switch (o.units) {
      case 1:
        return lists_fn<1, kSigned>(o.steps);
      case 2:
        return lists_fn<2, kSigned>(o.steps);
      case 3:
        return lists_fn<3, kSigned>(o.steps);
      default:
        return lists_fn<4, kSigned>(o.steps);
    }
  }
  static void finish(const ImplicitGemmArgs& a, const FinishBlock<Sum>& block, std::int32_t units) {
    finish_units<kSigned ? SumsOf::kBiasedTile : SumsOf::kTile>(a, block, units);
  }
};

// Copies one input row, 64 bytes at a time, where a copy is wanted. Its sum in 16 parts (vpdpbusd by ones).
[[gnu::always_inline]] inline __m512i prepare_row(const ImplicitGemmPrepare& a, std::int64_t row) {
  const auto* in = static_cast<const std::int8_t*>(a.in) + row * a.in_stride;
  auto* padded = static_cast<std::int8_t*>(a.padded);
  const std::int64_t width = padded != nullptr ? a.padded_stride : a.problem.c_in;
  __m512i sums = _mm512_setzero_si512();
  for (std::int64_t c = 0; c < width; c += 64) {
    const __m512i x = _mm512_maskz_loadu_epi8(low_bits(a.problem.c_in - c), in + c);
    sums = _mm512_dpbusd_epi32(sums, _mm512_set1_epi8(1), x);
    if (padded != nullptr)
      _mm512_mask_storeu_epi8(padded + row * a.padded_stride + c, low_bits(width - c), x);
  }
  return sums;
}

// Lane i: the sum of the 16 lanes of v[i].
[[gnu::always_inline]] inline __m512i add_across(const __m512i* v) {
  const auto add4 = [](const __m512i* r) __attribute__((always_inline)) {  // every quarter: of 4 registers
    const __m512i low =
        _mm512_add_epi32(_mm512_unpacklo_epi32(r[0], r[1]), _mm512_unpackhi_epi32(r[0], r[1]));
    const __m512i high =
        _mm512_add_epi32(_mm512_unpacklo_epi32(r[2], r[3]), _mm512_unpackhi_epi32(r[2], r[3]));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(low, high), _mm512_unpackhi_epi64(low, high));
  };
  const auto add_quarters = [](__m512i r, __m512i s) __attribute__((always_inline)) {
    return _mm512_add_epi32(_mm512_shuffle_i32x4(r, s, 0x88), _mm512_shuffle_i32x4(r, s, 0xDD));
  };
  return add_quarters(add_quarters(add4(v), add4(v + 4)), add_quarters(add4(v + 8), add4(v + 12)));
}

}  // namespace

namespace implicit_gemm {

void avx512vnni_run(const ImplicitGemmArgs& args, RowRange tiles, Exec) noexcept {
  run_tiles<Vnni<true>>(args, tiles);
}

void avx512vnni_u8_run(const ImplicitGemmArgs& args, RowRange tiles, Exec) noexcept {
  run_tiles<Vnni<false>>(args, tiles);
}

void avx512vnni_prepare(const ImplicitGemmPrepare& a, RowRange rows, Exec) noexcept {
  std::int64_t row = rows.begin;
  for (; row + 16 <= rows.end; row += 16) {
    __m512i sums[16];
    unroll<16>([&](auto i) __attribute__((always_inline)) { sums[i] = prepare_row(a, row + i); });
    if (a.row_sums != nullptr) _mm512_storeu_si512(a.row_sums + row, add_across(sums));
  }
  for (; row < rows.end; ++row) {
    const __m512i sums = prepare_row(a, row);
    if (a.row_sums != nullptr) a.row_sums[row] = _mm512_reduce_add_epi32(sums);
  }
}

}  // namespace implicit_gemm
}  // namespace voxgemm
