// AVX-512 VNNI rows, int8. Output rows of a tile accumulate in an int32 block that stays in the L1 cache; for
// each offset the compacted pairs of the tile are multiplied in register blocks of `kRows` pairs by `kUnits`
// * 16 channels, which load and store their accumulators once per offset.
//
// vpdpbusd multiplies unsigned by signed bytes. Inputs that are promised to be >= 0 go to the unsigned slot
// and the weights stay signed. Otherwise the weights go there as w + 128, which makes a sum too large by 128
// * (sum of the inputs): the same for all channels, and taken off once per output row.
#include <immintrin.h>

#include <utility>

#include "kernels/epilogue/avx512.h"
#include "kernels/implicit_gemm/rows.h"
#include "kernels/implicit_gemm/tile_cursor.h"
#include "kernels/implicit_gemm/vnni_layout.h"

namespace voxgemm {
namespace {

constexpr std::int64_t kAccBytes = 32768;

// f(constant 0), f(constant 1), ... f(constant kCount - 1): indices are constants, so that register arrays
// stay in registers.
template <int kCount, typename F>
[[gnu::always_inline]] inline void unroll(F&& f) {
  [&]<int... kI>(std::integer_sequence<int, kI...>) __attribute__((always_inline)) {
    (f(std::integral_constant<int, kI>{}), ...);
  }
  (std::make_integer_sequence<int, kCount>{});
}

// What a list of pairs needs besides itself.
struct Operands {
  const std::int8_t* in;  // [n_in][in_stride]
  std::int64_t in_stride;
  const std::int8_t* weights;  // of one offset and channel block: (steps, kUnits, 16, 4)
  std::int32_t steps;
  std::int32_t* acc;  // (tile rows, kUnits * 16)
};

template <bool kSigned>
[[gnu::always_inline]] inline __m512i dot(__m512i acc, __m512i x, __m512i w) {
  return kSigned ? _mm512_dpbusd_epi32(acc, w, x) : _mm512_dpbusd_epi32(acc, x, w);
}

[[gnu::always_inline]] inline __m512i broadcast4(const std::int8_t* x) {
  std::int32_t four;
  __builtin_memcpy(&four, x, sizeof four);
  return _mm512_set1_epi32(four);
}

// `blocks` register blocks of kRows pairs, weights read at every step.
template <int kRows, int kUnits, bool kSigned>
[[gnu::noinline]] void stream_blocks(const Operands& o, const std::int32_t* in_rows,
                                     const std::uint16_t* out_rows, std::int32_t blocks) {
  for (; blocks > 0; --blocks, in_rows += kRows, out_rows += kRows) {
    const std::int8_t* x[kRows];
    std::int32_t* to[kRows];
    __m512i acc[kRows * kUnits];
    unroll<kRows>([&](auto m) __attribute__((always_inline)) {
      x[m] = o.in + in_rows[m] * o.in_stride;
      to[m] = o.acc + out_rows[m] * (kUnits * kVnniLanes);
      unroll<kUnits>([&](auto n) __attribute__((always_inline)) {
        acc[m * kUnits + n] = _mm512_load_si512(to[m] + n * kVnniLanes);
      });
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
      std::int32_t* again = o.acc + out_rows[m] * (kUnits * kVnniLanes);
      unroll<kUnits>([&](auto n) __attribute__((always_inline)) {
        _mm512_store_si512(again + n * kVnniLanes, acc[m * kUnits + n]);
      });
    });
  }
}

// The same with the weights of the offset held in registers for the whole list.
template <int kRows, int kUnits, int kSteps, bool kSigned>
[[gnu::noinline]] void hold_blocks(const Operands& o, const std::int32_t* in_rows,
                                   const std::uint16_t* out_rows, std::int32_t blocks) {
  __m512i weights[kSteps * kUnits];
  unroll<kSteps * kUnits>([&](auto i) __attribute__((always_inline)) {
    weights[i] = _mm512_load_si512(o.weights + 64 * i);
  });
  for (; blocks > 0; --blocks, in_rows += kRows, out_rows += kRows) {
    const std::int8_t* x[kRows];
    std::int32_t* to[kRows];
    __m512i acc[kRows * kUnits];
    unroll<kRows>([&](auto m) __attribute__((always_inline)) {
      x[m] = o.in + in_rows[m] * o.in_stride;
      to[m] = o.acc + out_rows[m] * (kUnits * kVnniLanes);
      unroll<kUnits>([&](auto n) __attribute__((always_inline)) {
        acc[m * kUnits + n] = _mm512_load_si512(to[m] + n * kVnniLanes);
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
        _mm512_store_si512(to[m] + n * kVnniLanes, acc[m * kUnits + n]);
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
ListFn list_fn(std::int32_t units, std::int32_t steps) {
  switch (units) {
    case 1:
      return list_fn<1, kSigned>(steps);
    case 2:
      return list_fn<2, kSigned>(steps);
    case 3:
      return list_fn<3, kSigned>(steps);
    default:
      return list_fn<4, kSigned>(steps);
  }
}

// 16 channels of one output row: sums -> output.
[[gnu::always_inline]] inline void finish16(const ImplicitGemmArgs& a, const EpilogueAvx512& e, __m512i sums,
                                            __m512 scale, __m512 bias, std::int64_t row, std::int32_t channel,
                                            __mmask16 lanes) {
  __m512 t = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(sums), bias);
  const bool to_int8 = a.problem.out_dtype == DType::kInt8;
  if (a.residual != nullptr) {
    const std::int64_t at = row * a.residual_stride + channel;
    const __m512 r = to_int8 ? residual_int8_avx512(static_cast<const std::int8_t*>(a.residual) + at, lanes)
                             : _mm512_maskz_loadu_ps(lanes, static_cast<const float*>(a.residual) + at);
    t = _mm512_fmadd_ps(e.beta, r, t);
  }
  t = activate_avx512(e, t);
  const std::int64_t at = row * a.out_stride + channel;
  if (to_int8) {
    store_int8_avx512(static_cast<std::int8_t*>(a.out) + at, lanes, t);
  } else {
    _mm512_mask_storeu_ps(static_cast<float*>(a.out) + at, lanes, t);
  }
}

// The accumulator block of `rows` output rows -> output channels [channel, channel + 16 * units).
void finish_rows(const ImplicitGemmArgs& a, const std::int32_t* acc, const std::int32_t* corrections,
                 std::int64_t first_row, std::int32_t rows, std::int32_t channel, std::int32_t units) {
  const EpilogueAvx512 e = make_epilogue_avx512(a.beta, a.activation, a.act_alpha);
  for (std::int32_t u = 0; u < units; ++u) {
    const std::int32_t n = channel + u * kVnniLanes;
    const std::int32_t left = a.problem.c_out - n;
    const auto lanes = static_cast<__mmask16>(left >= kVnniLanes ? 0xFFFFU : (1U << left) - 1U);
    const __m512 scale = _mm512_loadu_ps(a.scale + n);
    const __m512 bias = _mm512_loadu_ps(a.bias + n);
    for (std::int32_t i = 0; i < rows; ++i) {
      __m512i sums = _mm512_load_si512(acc + (std::int64_t{i} * units + u) * kVnniLanes);
      if (corrections != nullptr) sums = _mm512_sub_epi32(sums, _mm512_set1_epi32(corrections[i] * 128));
      finish16(a, e, sums, scale, bias, first_row + i, n, lanes);
    }
  }
}

void clear(std::int32_t* values, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += kVnniLanes) _mm512_store_si512(values + i, _mm512_setzero_si512());
}

// Adds the inputs' row sums up per output row: what w + 128 makes too large, over 128.
void add_row_sums(const ImplicitGemmArgs& a, const PairList& list, std::int32_t* sums) {
  for (std::int32_t p = 0; p < list.count; ++p) sums[list.out_rows[p]] += a.row_sums[list.in_rows[p]];
}

template <bool kSigned>
void run_sub_tile(const ImplicitGemmArgs& a, TileCursor& cursor, std::int64_t tile_row, std::int32_t begin,
                  std::int32_t end) {
  alignas(64) std::int32_t acc[kAccBytes / 4];
  alignas(64) std::int32_t corrections[kSigned ? kAccBytes / 64 : 1];
  const std::int32_t kv = a.problem.kv;
  const std::int32_t rows = end - begin;
  Operands o{.in = static_cast<const std::int8_t*>(a.in),
             .in_stride = a.in_stride,
             .weights = static_cast<const std::int8_t*>(a.weights),
             .steps = vnni_steps(a.problem.c_in),
             .acc = nullptr};
  if (kSigned) clear(corrections, rows);
  for (std::int32_t b = 0; b < vnni_blocks(a.problem.c_out); ++b) {
    const std::int32_t units = vnni_block_units(a.problem.c_out, b);
    const ListFn multiply = list_fn<kSigned>(units, o.steps);
    clear(acc, std::int64_t{rows} * units * kVnniLanes);
    o.acc = acc - std::int64_t{begin} * units * kVnniLanes;
    for (std::int32_t k = 0; k < kv; ++k, o.weights += vnni_offset_bytes(a.problem.c_in, units)) {
      const PairList list = cursor.take(k, end);
      if (list.count == 0) continue;
      multiply(o, list);
      if (kSigned && b == 0) add_row_sums(a, list, corrections - begin);
    }
    finish_rows(a, acc, kSigned ? corrections : nullptr, tile_row + begin, rows,
                vnni_first_unit(a.problem.c_out, b) * kVnniLanes, units);
  }
  cursor.advance();
}

template <bool kSigned>
void run_tiles(const ImplicitGemmArgs& a, RowRange tiles) {
  std::int32_t widest = 1;
  for (std::int32_t b = 0; b < vnni_blocks(a.problem.c_out); ++b) {
    const std::int32_t units = vnni_block_units(a.problem.c_out, b);
    widest = units > widest ? units : widest;
  }
  const auto limit = static_cast<std::int32_t>(kAccBytes / 64 / widest);
  const std::int32_t tile_rows = a.pairs.tiles.tile_rows;
  // Sub-tiles of like size, within the accumulator block.
  const std::int32_t parts = (tile_rows + limit - 1) / limit;
  const std::int32_t step = (tile_rows + parts - 1) / parts;
  for (std::int64_t tile = tiles.begin; tile < tiles.end; ++tile) {
    TileCursor cursor(a.pairs, tile);
    const std::int64_t first = tile * tile_rows;
    const std::int64_t left = a.pairs.num_out - first;
    const auto rows = static_cast<std::int32_t>(left < tile_rows ? left : tile_rows);
    for (std::int32_t begin = 0; begin < rows; begin += step) {
      const std::int32_t end = begin + step < rows ? begin + step : rows;
      run_sub_tile<kSigned>(a, cursor, first, begin, end);
    }
  }
}

}  // namespace

namespace implicit_gemm {

void avx512vnni_run(const ImplicitGemmArgs& args, RowRange tiles, Exec) noexcept {
  run_tiles<true>(args, tiles);
}

void avx512vnni_u8_run(const ImplicitGemmArgs& args, RowRange tiles, Exec) noexcept {
  run_tiles<false>(args, tiles);
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
