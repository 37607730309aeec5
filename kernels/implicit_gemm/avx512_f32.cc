// AVX-512 row, float32, in the tile loop of tile_driver.h. Register block: 6 pairs by up to 64 channels. Sums
// run in the order of the scalar row (offsets, then channels, fused), so that the bits agree.
#include <immintrin.h>

#include "kernels/implicit_gemm/finish_avx512.h"
#include "kernels/implicit_gemm/rows.h"
#include "kernels/implicit_gemm/tile_driver.h"
#include "kernels/implicit_gemm/unroll.h"

namespace voxgemm {
namespace {

using Operands = PairOperands<float, float, float>;

template <int kRows, int kUnits>
[[gnu::noinline]] void blocks(const Operands& o, const std::int32_t* in_rows, const std::uint16_t* out_rows,
                              std::int32_t blocks) {
  for (; blocks > 0; --blocks, in_rows += kRows, out_rows += kRows) {
    const float* x[kRows];
    __m512 acc[kRows * kUnits];
    unroll<kRows>([&](auto m) __attribute__((always_inline)) {
      x[m] = o.in + in_rows[m] * o.in_stride;
      const float* from = o.acc + out_rows[m] * kUnitChannels;
      unroll<kUnits>([&](auto n) __attribute__((always_inline)) {
        acc[m * kUnits + n] = _mm512_load_ps(from + n * accumulator_plane(kUnits));
      });
    });
    const float* w = o.weights;
    for (std::int64_t c = 0; c < o.c_in; ++c, w += kUnits * kUnitChannels) {
      __m512 weights[kUnits];
      unroll<kUnits>([&](auto n) __attribute__((always_inline)) {
        weights[n] = _mm512_load_ps(w + n * kUnitChannels);
      });
      unroll<kRows>([&](auto m) __attribute__((always_inline)) {
        const __m512 b = _mm512_set1_ps(x[m][c]);
        unroll<kUnits>([&](auto n) __attribute__((always_inline)) {
          acc[m * kUnits + n] = _mm512_fmadd_ps(b, weights[n], acc[m * kUnits + n]);
        });
      });
    }
    unroll<kRows>([&](auto m) __attribute__((always_inline)) {
      float* to = o.acc + out_rows[m] * kUnitChannels;
      unroll<kUnits>([&](auto n) __attribute__((always_inline)) {
        _mm512_store_ps(to + n * accumulator_plane(kUnits), acc[m * kUnits + n]);
      });
    });
  }
}

// Full blocks, then halves, then single pairs.
template <int kUnits>
void multiply(const Operands& o, const PairList& list) {
  constexpr int kRows = kUnits == 4 ? 6 : 8;
  const std::int32_t full = list.count / kRows;
  std::int32_t done = full * kRows;
  blocks<kRows, kUnits>(o, list.in_rows, list.out_rows, full);
  if (list.count - done >= kRows / 2) {
    blocks<kRows / 2, kUnits>(o, list.in_rows + done, list.out_rows + done, 1);
    done += kRows / 2;
  }
  if (done < list.count) blocks<1, kUnits>(o, list.in_rows + done, list.out_rows + done, list.count - done);
}

struct Avx512F32 {
  using In = float;
  using Weight = float;
  using Sum = float;
  using Operands = ::voxgemm::Operands;
  static constexpr std::int32_t kDepth = 1;
  static constexpr bool kRowSums = false;

  static auto list(const Operands& o) {
    constexpr void (*kTable[])(const Operands&, const PairList&) = {multiply<1>, multiply<2>, multiply<3>,
                                                                    multiply<4>};
    return kTable[o.units - 1];
  }
  static void finish(const ImplicitGemmArgs& a, const FinishBlock<Sum>& block, std::int32_t units) {
    finish_units(a, block, units);
  }
};

}  // namespace

namespace implicit_gemm {

void avx512_f32_run(const ImplicitGemmArgs& args, RowRange tiles, Exec) noexcept {
  run_tiles<Avx512F32>(args, tiles);
}

}  // namespace implicit_gemm
}  // namespace voxgemm
