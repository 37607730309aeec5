// AMX-INT8 row, output-stationary: blocks of 32 output rows. The sums of a block by two units of channels
// stay in four tile registers while slabs of gathered input rows pass by; nothing is scattered.
//
// For a block the input addresses of all steps (an offset, or 2 or 4 of narrow inputs) that some row has are
// listed first, so that no branch of the multiply loop waits for the map. Then every group of two units
// copies slab after slab (32 x 64 bytes, absent rows as zeros) one ahead of the tile multiplies: copying
// again for each group is cheaper than keeping slabs, which would push weights and inputs out of the L1
// cache. What the loop of wide inputs has too many of is loads, so addresses are loaded two at a time. The
// epilogue of a block waits for the list of the next: it would stall on sums that are still being stored.
//
// Pair blocks, where the map has them, bring the lists and rows with like neighbours, so that blocks skip
// more offsets.
#include <immintrin.h>

#include "kernels/implicit_gemm/amx_layout.h"
#include "kernels/implicit_gemm/finish_avx512.h"
#include "kernels/implicit_gemm/rows.h"
#include "kernels/implicit_gemm/unroll.h"

namespace voxgemm {
namespace {

constexpr std::int32_t kHalfRows = 16;  // rows of a tile register
constexpr std::int32_t kBlockRows = kPairBlockRows;
constexpr std::int32_t kSlabs = 2;         // one multiplied, one being filled
constexpr std::int32_t kSumUnits = 8;      // units whose sums are kept; wider layers list their steps again
constexpr std::int32_t kRangeChunks = 16;  // chunks that the zeros of an absent row reach for
constexpr std::int32_t kRowsAhead = 64;    // how far ahead the table is fetched

alignas(64) constexpr std::int8_t kZeros[kRangeChunks * kSlabBytes] = {};
alignas(64) constexpr std::int32_t kInOrder[kBlockRows] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                                           11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                                           22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

using SlabRows = const std::int8_t* [kBlockRows];  // where the inputs of 32 rows are read
using UnitSums = std::int32_t[kBlockRows][kUnitChannels];

/// At most 32 output rows: first_row + order[i].
struct Block {
  std::int64_t first_row = 0;
  const std::int32_t* order = kInOrder;
  std::int32_t rows = 0;
  std::int64_t number = -1;  // among the pair blocks; -1 = of the table
};

/// Sums of `units` units of a block, from `first_unit` on, that wait for their epilogue; no rows = none.
struct WaitingSums {
  Block block{};
  std::int32_t first_unit = 0;
  std::int32_t units = 0;
};

struct alignas(64) Scratch {
  std::int8_t slabs[kSlabs][kBlockRows][kSlabBytes];
  UnitSums sums[kSumUnits];
  WaitingSums waiting{};
  std::int64_t slabs_by_units = 0;                  // multiplied so far
  alignas(64) SlabRows rows[kMaxKernelVolume + 3];  // of each listed step, `share` side by side
  std::int32_t steps[kMaxKernelVolume];             // listed: those that some row of the block has
};

// The tile intrinsics do not tell the compiler what memory they read: stores before must be done, loads after
// not.
inline void memory_fence() { __asm__ volatile("" ::: "memory"); }

inline std::int32_t least(std::int32_t a, std::int32_t b) { return a < b ? a : b; }

// Where 16 rows of `in` begin, zeros where a row is negative.
[[gnu::always_inline]] inline void store_addresses(const ImplicitGemmArgs& a, const std::int8_t* in,
                                                   __m512i row, const std::int8_t** to) {
  const __m512i base = _mm512_set1_epi64(reinterpret_cast<std::int64_t>(in));
  const __m512i zeros = _mm512_set1_epi64(reinterpret_cast<std::int64_t>(kZeros));
  const __m512i stride = _mm512_set1_epi64(a.in_stride);
  const __mmask16 present = _mm512_cmpge_epi32_mask(row, _mm512_setzero_si512());
  const auto address = [&](__mmask8 lanes, __m256i half) __attribute__((always_inline)) {
    return _mm512_mask_add_epi64(zeros, lanes, base, _mm512_mul_epu32(_mm512_cvtepu32_epi64(half), stride));
  };
  _mm512_store_si512(to, address(static_cast<__mmask8>(present), _mm512_castsi512_si256(row)));
  _mm512_store_si512(to + 8, address(static_cast<__mmask8>(present >> 8), _mm512_extracti64x4_epi64(row, 1)));
}

// Addresses of the inputs that offset k of the table gives a block; whether it gives any.
bool locate(const ImplicitGemmArgs& a, const Block& b, std::int32_t k, const std::int8_t* in,
            SlabRows& rows) {
  const __m512i none = _mm512_set1_epi32(-1);
  const std::uint32_t exist = k < a.pairs.kv ? static_cast<std::uint32_t>(low_bits(b.rows)) : 0;
  const std::int32_t* table = a.pairs.pair_fwd + k * a.pairs.pair_stride + b.first_row;
  _mm_prefetch(table + kRowsAhead, _MM_HINT_T0);  // too many streams for the machine to foresee
  _mm_prefetch(table + kRowsAhead + 16, _MM_HINT_T0);
  bool any = false;
  for (std::int32_t r = 0; r < kBlockRows; r += 16) {
    const __m512i row = _mm512_mask_loadu_epi32(none, static_cast<__mmask16>(exist >> r), table + r);
    store_addresses(a, in, row, rows + r);
    any |= _mm512_movepi32_mask(row) != 0xFFFFU;
  }
  return any;
}

// The steps of a block as the map lists them.
std::int32_t read_steps(const ImplicitGemmArgs& a, const Block& b, const std::int8_t* in, Scratch& s) {
  const BlockPairsView& blocks = a.pairs.blocks;
  const std::int32_t count = blocks.num_steps[b.number];
  const std::int64_t first = b.number * a.pairs.kv;
  for (std::int32_t i = 0; i < count; ++i) {
    const std::int32_t* const rows = blocks.in_rows + (first + i) * kBlockRows;
    store_addresses(a, in, _mm512_loadu_si512(rows), s.rows[i]);
    store_addresses(a, in, _mm512_loadu_si512(rows + 16), s.rows[i] + 16);
    s.steps[i] = blocks.offsets[first + i];
  }
  return count;
}

// Lists the steps that some row of the block has, with the addresses of their inputs from `chunk` on. The
// next place in the list is written in any case: no branch guesses.
std::int32_t list_steps(const ImplicitGemmArgs& a, SlabShape shape, const Block& b, std::int32_t chunk,
                        Scratch& s) {
  const auto* in = static_cast<const std::int8_t*>(a.in) + std::int64_t{chunk} * kSlabBytes;
  if (b.number >= 0) return read_steps(a, b, in, s);
  std::int32_t count = 0;
  for (std::int32_t step = 0; step < shape.steps; ++step) {
    bool any = false;
    for (std::int32_t j = 0; j < shape.share; ++j) {
      any |= locate(a, b, step * shape.share + j, in, s.rows[count * shape.share + j]);
    }
    s.steps[count] = step;
    count += any ? 1 : 0;
  }
  return count;
}

// Copies piece j of a slab's row: of the bytes in `lanes`.
template <int kShare, bool kWhole>
[[gnu::always_inline]] inline void copy_piece(const std::int8_t* x, __mmask64 lanes, int j,
                                              std::int8_t* row) {
  if constexpr (kShare == 1) {
    _mm512_store_si512(row, kWhole ? _mm512_loadu_si512(x) : _mm512_maskz_loadu_epi8(lanes, x));
  } else if constexpr (kShare == 2) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(row) + j,
                       kWhole ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x))
                              : _mm256_maskz_loadu_epi8(static_cast<__mmask32>(lanes), x));
  } else {
    _mm_store_si128(reinterpret_cast<__m128i*>(row) + j,
                    _mm_maskz_loadu_epi8(static_cast<__mmask16>(lanes), x));
  }
}

// Copies 32 rows of a slab: kShare pieces a row of the bytes in `lanes`, from `from` on.
template <int kShare, bool kWhole>
[[gnu::always_inline]] inline void copy_slab(const SlabRows* rows, std::int32_t from, __mmask64 lanes,
                                             std::int8_t (*slab)[kSlabBytes]) {
  unroll<kBlockRows / 2 * kShare>([&](auto i) __attribute__((always_inline)) {
    constexpr int r = decltype(i)::value / kShare * 2;
    constexpr int j = decltype(i)::value % kShare;
    __m128i two = _mm_load_si128(reinterpret_cast<const __m128i*>(rows[j] + r));
    if constexpr (kShare == 1) __asm__("" : "+x"(two));  // or the compiler loads one by one
    const auto* x = reinterpret_cast<const std::int8_t*>(_mm_cvtsi128_si64(two));
    const auto* y = reinterpret_cast<const std::int8_t*>(_mm_extract_epi64(two, 1));
    copy_piece<kShare, kWhole>(x + from, lanes, j, slab[r]);
    copy_piece<kShare, kWhole>(y + from, lanes, j, slab[r + 1]);
  });
}

/// Listed steps and chunks [first_chunk, first_chunk + chunks) of a layer, times the weights of a group.
struct Pass {
  SlabShape shape{};
  std::int32_t c_in = 0;
  std::int32_t steps = 0;
  std::int32_t first_chunk = 0;
  std::int32_t chunks = 0;
  const std::int8_t* weights = nullptr;
};

template <int kShare, bool kWhole>
[[gnu::always_inline]] inline void fill(const Pass& p, std::int32_t step, std::int32_t chunk,
                                        std::int32_t turn, Scratch& s) {
  const __mmask64 lanes = low_bits(p.c_in - (p.first_chunk + chunk) * kSlabBytes);
  copy_slab<kShare, kWhole>(s.rows + step * kShare, chunk * kSlabBytes, lanes, s.slabs[turn]);
}

// A half without any input is multiplied too: leaving it out costs a branch that is hard to guess.
template <int kUnits>
[[gnu::always_inline]] inline void multiply_slab(const std::int8_t* slab, const std::int8_t* weights) {
  _tile_loadd(6, weights, 64);
  _tile_loadd(4, slab, kSlabBytes);
  _tile_dpbssd(0, 4, 6);
  _tile_loadd(5, slab + kHalfRows * kSlabBytes, kSlabBytes);
  _tile_dpbssd(2, 5, 6);
  if constexpr (kUnits == 2) {
    _tile_loadd(7, weights + kWeightTileBytes, 64);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(3, 5, 7);
  }
}

// Adds the products of a pass to the sums of kUnits units, or starts them.
template <int kUnits, int kShare, bool kWhole>
void multiply(const Pass& p, bool start, UnitSums* sums, Scratch& s) {
  _tile_zero(0);
  _tile_zero(2);
  if constexpr (kUnits == 2) _tile_zero(1);
  if constexpr (kUnits == 2) _tile_zero(3);
  if (!start) {
    _tile_loadd(0, sums[0][0], 64);
    _tile_loadd(2, sums[0][kHalfRows], 64);
    if constexpr (kUnits == 2) _tile_loadd(1, sums[1][0], 64);
    if constexpr (kUnits == 2) _tile_loadd(3, sums[1][kHalfRows], 64);
  }
  if (p.steps > 0) fill<kShare, kWhole>(p, 0, 0, 0, s);
  std::int32_t turn = 0;
  for (std::int32_t step = 0; step < p.steps; ++step) {
    const std::int64_t slab = std::int64_t{s.steps[step]} * p.shape.chunks + p.first_chunk;
    const std::int8_t* weights = p.weights + slab * kUnits * kWeightTileBytes;
    for (std::int32_t chunk = 0; chunk < p.chunks; ++chunk, weights += kUnits * kWeightTileBytes) {
      const bool more = chunk + 1 < p.chunks;
      // the copy of the last slab's successor is the last slab again: cheaper than a branch
      const std::int32_t next_step = more ? step : least(step + 1, p.steps - 1);
      fill<kShare, kWhole>(p, next_step, more ? chunk + 1 : 0, turn ^ 1, s);
      memory_fence();
      multiply_slab<kUnits>(s.slabs[turn][0], weights);
      turn ^= 1;
    }
  }
  _tile_stored(0, sums[0][0], 64);
  _tile_stored(2, sums[0][kHalfRows], 64);
  if constexpr (kUnits == 2) _tile_stored(1, sums[1][0], 64);
  if constexpr (kUnits == 2) _tile_stored(3, sums[1][kHalfRows], 64);
}

template <int kUnits>
void multiply(const Pass& p, bool start, UnitSums* sums, Scratch& s) {
  switch (p.shape.share) {
    case 4:
      return multiply<kUnits, 4, false>(p, start, sums, s);
    case 2:
      if (p.c_in == kSlabBytes / 2) return multiply<kUnits, 2, true>(p, start, sums, s);
      return multiply<kUnits, 2, false>(p, start, sums, s);
    default:
      if (p.c_in % kSlabBytes == 0) return multiply<kUnits, 1, true>(p, start, sums, s);
      return multiply<kUnits, 1, false>(p, start, sums, s);
  }
}

// Epilogue of the sums that wait.
void finish_waiting(const ImplicitGemmArgs& a, Scratch& s) {
  const WaitingSums& w = s.waiting;
  memory_fence();
  for (std::int32_t u = 0; w.block.rows > 0 && u < w.units; u += kMaxUnits) {
    finish_units<SumsOf::kTableBlock>(
        a,
        FinishBlock<std::int32_t>{.acc = s.sums[u][0],
                                  .order = w.block.order,
                                  .first_row = w.block.first_row,
                                  .rows = w.block.rows,
                                  .channel = (w.first_unit + u) * kUnitChannels},
        least(w.units - u, kMaxUnits));
  }
  s.waiting.block.rows = 0;
}

// Sums of `units` (at most 8) units of a block, from `first_unit` on; the epilogue of those before.
void run_block(const ImplicitGemmArgs& a, SlabShape shape, const Block& b, std::int32_t first_unit,
               std::int32_t units, Scratch& s) {
  Pass pass{.shape = shape, .c_in = a.problem.c_in};
  for (; pass.first_chunk < shape.chunks; pass.first_chunk += kRangeChunks) {
    pass.chunks = least(shape.chunks - pass.first_chunk, kRangeChunks);
    pass.steps = list_steps(a, shape, b, pass.first_chunk, s);
    s.slabs_by_units += std::int64_t{pass.steps} * pass.chunks * units;
    finish_waiting(a, s);
    for (std::int32_t u = 0; u < units; u += kGroupUnits) {
      pass.weights = static_cast<const std::int8_t*>(a.weights) + group_weights(shape, first_unit + u);
      if (units - u >= 2) {
        multiply<2>(pass, pass.first_chunk == 0, s.sums + u, s);
      } else {
        multiply<1>(pass, pass.first_chunk == 0, s.sums + u, s);
      }
    }
  }
  s.waiting = {.block = b, .first_unit = first_unit, .units = units};
}

}  // namespace

namespace implicit_gemm {

void amx_run(const ImplicitGemmArgs& args, RowRange rows, Exec) noexcept {
  const TileConfig config;
  Scratch scratch;
  memory_fence();
  _tile_loadconfig(&config);
  const SlabShape shape = slab_shape(args.problem.kv, args.problem.c_in);
  const std::int32_t units = num_units(args.problem.c_out);
  const bool listed = blocks_pay(shape) && args.pairs.blocks.order != nullptr;
  for (std::int64_t row = rows.begin; row < rows.end; row += kBlockRows) {
    const std::int64_t left = rows.end - row;
    Block block{.first_row = row, .rows = static_cast<std::int32_t>(left < kBlockRows ? left : kBlockRows)};
    if (listed) {
      block.first_row = 0;
      block.order = args.pairs.blocks.order + row;
      block.number = row / kBlockRows;
    }
    for (std::int32_t unit = 0; unit < units; unit += kSumUnits) {
      run_block(args, shape, block, unit, least(units - unit, kSumUnits), scratch);
    }
  }
  finish_waiting(args, scratch);
  _tile_release();
  if (args.issued_macs == nullptr) return;
  constexpr std::int64_t kMacs = std::int64_t{kBlockRows} * kUnitChannels * kSlabBytes;
  __atomic_fetch_add(args.issued_macs, scratch.slabs_by_units * kMacs, __ATOMIC_RELAXED);
}

}  // namespace implicit_gemm
}  // namespace voxgemm
