// AMX-INT8 row, in the tile loop of tile_driver.h. 32 pairs at a time are gathered into two tile operands of
// 16 rows; tdpbssd multiplies them by two units of weights, signed by signed, into four tiles of sums, which
// are then added to the accumulator rows that the pairs belong to.
#include <immintrin.h>

#include "kernels/implicit_gemm/finish_avx512.h"
#include "kernels/implicit_gemm/rows.h"
#include "kernels/implicit_gemm/tile_driver.h"

namespace voxgemm {
namespace {

using Operands = PairOperands<std::int8_t, std::int8_t, std::int32_t>;

constexpr std::int32_t kTileRows = 16;   // rows of a tile register
constexpr std::int32_t kTileBytes = 64;  // bytes of a row: input channels of one multiply
constexpr std::int32_t kGroup = 2 * kTileRows;
constexpr std::int32_t kMaxChunks = 4;  // 64-channel chunks gathered at a time

struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

struct alignas(64) Scratch {
  std::int8_t in[kMaxChunks][kGroup][kTileBytes];     // gathered inputs
  std::int32_t sums[2][2][kTileRows][kUnitChannels];  // (pairs / 16, units, 16, 16)
};

// The tile intrinsics do not tell the compiler what memory they read: stores before must be done, loads after
// not.
inline void memory_fence() { __asm__ volatile("" ::: "memory"); }

// Channels [64 * first, ...) of `count` input rows, zeros beyond c_in.
void gather(const Operands& o, const std::int32_t* in_rows, std::int32_t count, std::int32_t first,
            std::int32_t chunks, Scratch& s) {
  for (std::int32_t c = 0; c < chunks; ++c) {
    const std::int32_t at = (first + c) * kTileBytes;
    const __mmask64 lanes = low_bits(o.c_in - at);
    for (std::int32_t p = 0; p < count; ++p) {
      const __m512i x = _mm512_maskz_loadu_epi8(lanes, o.in + in_rows[p] * o.in_stride + at);
      _mm512_store_si512(s.in[c][p], x);
    }
  }
}

// sums (kPairTiles * 16, kUnits * 16) = gathered inputs times the weights of units [unit, unit + kUnits).
template <int kPairTiles, int kUnits>
void multiply_tiles(const Operands& o, std::int32_t unit, std::int32_t first, std::int32_t chunks,
                    Scratch& s) {
  const std::int64_t w_stride = std::int64_t{o.units} * 64;
  const std::int8_t* w = o.weights + (std::int64_t{first} * kTileRows * o.units + unit) * 64;
  _tile_zero(0);
  if constexpr (kUnits == 2) _tile_zero(1);
  if constexpr (kPairTiles == 2) _tile_zero(2);
  if constexpr (kPairTiles == 2 && kUnits == 2) _tile_zero(3);
  for (std::int32_t c = 0; c < chunks; ++c, w += kTileRows * w_stride) {
    _tile_loadd(6, w, w_stride);
    _tile_loadd(4, s.in[c][0], kTileBytes);
    _tile_dpbssd(0, 4, 6);
    if constexpr (kUnits == 2) {
      _tile_loadd(7, w + 64, w_stride);
      _tile_dpbssd(1, 4, 7);
    }
    if constexpr (kPairTiles == 2) {
      _tile_loadd(5, s.in[c][kTileRows], kTileBytes);
      _tile_dpbssd(2, 5, 6);
      if constexpr (kUnits == 2) _tile_dpbssd(3, 5, 7);
    }
  }
  _tile_stored(0, s.sums[0][0], 64);
  if constexpr (kUnits == 2) _tile_stored(1, s.sums[0][1], 64);
  if constexpr (kPairTiles == 2) _tile_stored(2, s.sums[1][0], 64);
  if constexpr (kPairTiles == 2 && kUnits == 2) _tile_stored(3, s.sums[1][1], 64);
  memory_fence();
}

// Adds the sums of `count` pairs to their accumulator rows.
template <int kUnits>
void scatter(const Operands& o, const std::uint16_t* out_rows, std::int32_t count, std::int32_t unit,
             const Scratch& s) {
  const std::int32_t plane = accumulator_plane(o.units);
  for (std::int32_t p = 0; p < count; ++p) {
    std::int32_t* to = o.acc + unit * plane + out_rows[p] * kUnitChannels;
    for (int u = 0; u < kUnits; ++u) {
      const __m512i sum = _mm512_load_si512(s.sums[p / kTileRows][u][p % kTileRows]);
      std::int32_t* at = to + u * plane;
      _mm512_store_si512(at, _mm512_add_epi32(_mm512_load_si512(at), sum));
    }
  }
}

template <int kUnits>
void multiply_units(const Operands& o, const std::uint16_t* out_rows, std::int32_t count, std::int32_t unit,
                    std::int32_t first, std::int32_t chunks, Scratch& s) {
  if (count > kTileRows) {
    multiply_tiles<2, kUnits>(o, unit, first, chunks, s);
  } else {
    multiply_tiles<1, kUnits>(o, unit, first, chunks, s);
  }
  scatter<kUnits>(o, out_rows, count, unit, s);
}

void multiply(const Operands& o, const PairList& list) {
  Scratch scratch;
  const std::int32_t all_chunks = num_steps(o.c_in, kTileBytes);
  for (std::int32_t first = 0; first < all_chunks; first += kMaxChunks) {
    const std::int32_t chunks = all_chunks - first < kMaxChunks ? all_chunks - first : kMaxChunks;
    for (std::int32_t p = 0; p < list.count; p += kGroup) {
      const std::int32_t count = list.count - p < kGroup ? list.count - p : kGroup;
      gather(o, list.in_rows + p, count, first, chunks, scratch);
      memory_fence();
      for (std::int32_t unit = 0; unit < o.units; unit += 2) {
        if (unit + 1 < o.units) {
          multiply_units<2>(o, list.out_rows + p, count, unit, first, chunks, scratch);
        } else {
          multiply_units<1>(o, list.out_rows + p, count, unit, first, chunks, scratch);
        }
      }
    }
  }
}

struct Amx {
  using In = std::int8_t;
  using Weight = std::int8_t;
  using Sum = std::int32_t;
  using Operands = ::voxgemm::Operands;
  static constexpr std::int32_t kDepth = 4;
  static constexpr std::int32_t kChannelMultiple = kTileBytes;
  static constexpr bool kRowSums = false;

  static auto list(const Operands&) { return multiply; }
  static void finish(const ImplicitGemmArgs& a, const FinishBlock<Sum>& block, std::int32_t units) {
    finish_units(a, block, units);
  }
};

}  // namespace

namespace implicit_gemm {

void amx_run(const ImplicitGemmArgs& args, RowRange tiles, Exec) noexcept {
  const TileConfig config;
  memory_fence();
  _tile_loadconfig(&config);
  run_tiles<Amx>(args, tiles);
  _tile_release();
}

}  // namespace implicit_gemm
}  // namespace voxgemm
