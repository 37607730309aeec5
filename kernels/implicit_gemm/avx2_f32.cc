// AVX2 + FMA row, float32, in the tile loop of tile_driver.h. Register block: 6 pairs by 16 channels. Sums
// run in the order of the scalar row (offsets, then channels, fused), so that the bits agree.
#include <immintrin.h>

#include "kernels/implicit_gemm/finish_avx2.h"
#include "kernels/implicit_gemm/rows.h"
#include "kernels/implicit_gemm/tile_driver.h"
#include "kernels/implicit_gemm/unroll.h"

namespace voxgemm {
namespace {

using Operands = PairOperands<float, float, float>;

template <int kRows>
[[gnu::noinline]] void blocks(const Operands& o, const std::int32_t* in_rows, const std::uint16_t* out_rows,
                              std::int32_t blocks) {
  for (; blocks > 0; --blocks, in_rows += kRows, out_rows += kRows) {
    const float* x[kRows];
    unroll<kRows>([&](auto m) __attribute__((always_inline)) { x[m] = o.in + in_rows[m] * o.in_stride; });
    for (std::int32_t u = 0; u < o.units; ++u) {
      const float* w = o.weights + u * kUnitChannels;
      __m256 acc[2 * kRows];
      unroll<kRows>([&](auto m) __attribute__((always_inline)) {
        const float* from = o.acc + u * accumulator_plane(o.units) + out_rows[m] * kUnitChannels;
        acc[2 * m] = _mm256_load_ps(from);
        acc[2 * m + 1] = _mm256_load_ps(from + 8);
      });
      for (std::int64_t c = 0; c < o.c_in; ++c, w += o.units * kUnitChannels) {
        const __m256 w0 = _mm256_load_ps(w);
        const __m256 w1 = _mm256_load_ps(w + 8);
        unroll<kRows>([&](auto m) __attribute__((always_inline)) {
          const __m256 b = _mm256_broadcast_ss(x[m] + c);
          acc[2 * m] = _mm256_fmadd_ps(b, w0, acc[2 * m]);
          acc[2 * m + 1] = _mm256_fmadd_ps(b, w1, acc[2 * m + 1]);
        });
      }
      unroll<kRows>([&](auto m) __attribute__((always_inline)) {
        float* to = o.acc + u * accumulator_plane(o.units) + out_rows[m] * kUnitChannels;
        _mm256_store_ps(to, acc[2 * m]);
        _mm256_store_ps(to + 8, acc[2 * m + 1]);
      });
    }
  }
}

void multiply(const Operands& o, const PairList& list) {
  constexpr int kRows = 6;
  const std::int32_t full = list.count / kRows;
  std::int32_t done = full * kRows;
  blocks<kRows>(o, list.in_rows, list.out_rows, full);
  if (list.count - done >= 3) {
    blocks<3>(o, list.in_rows + done, list.out_rows + done, 1);
    done += 3;
  }
  if (done < list.count) blocks<1>(o, list.in_rows + done, list.out_rows + done, list.count - done);
}

struct Avx2F32 {
  using In = float;
  using Weight = float;
  using Sum = float;
  using Operands = ::voxgemm::Operands;
  static constexpr std::int32_t kDepth = 1;
  static constexpr bool kRowSums = false;

  static auto list(const Operands&) { return multiply; }
  static void finish(const ImplicitGemmArgs& a, const FinishBlock<Sum>& block, std::int32_t units) {
    finish_units(a, block, units);
  }
};

}  // namespace

namespace implicit_gemm {

void avx2_f32_run(const ImplicitGemmArgs& args, RowRange tiles, Exec) noexcept {
  run_tiles<Avx2F32>(args, tiles);
}

}  // namespace implicit_gemm
}  // namespace voxgemm
