#include "bench/support/peak.h"

#include <algorithm>
#include <cstdint>
#include <ctime>

namespace voxgemm::bench {
namespace {

#if defined(__x86_64__)
// Twelve independent chains of `op source, source, chain`: enough for two ports of five cycles' latency.
void loop_vpdpbusd(long count) {
  __asm__ volatile(
      "1:\n"
      "vpdpbusd %%zmm15,%%zmm14,%%zmm0\n vpdpbusd %%zmm15,%%zmm14,%%zmm1\n vpdpbusd %%zmm15,%%zmm14,%%zmm2\n"
      "vpdpbusd %%zmm15,%%zmm14,%%zmm3\n vpdpbusd %%zmm15,%%zmm14,%%zmm4\n vpdpbusd %%zmm15,%%zmm14,%%zmm5\n"
      "vpdpbusd %%zmm15,%%zmm14,%%zmm6\n vpdpbusd %%zmm15,%%zmm14,%%zmm7\n vpdpbusd %%zmm15,%%zmm14,%%zmm8\n"
      "vpdpbusd %%zmm15,%%zmm14,%%zmm9\n vpdpbusd %%zmm15,%%zmm14,%%zmm10\n vpdpbusd "
      "%%zmm15,%%zmm14,%%zmm11\n"
      "dec %0\n jnz 1b\n vzeroupper\n"
      : "+r"(count)
      :
      : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
        "xmm11");
}

void loop_fma512(long count) {
  __asm__ volatile(
      "vpxorq %%zmm14,%%zmm14,%%zmm14\n 1:\n"
      "vfmadd231ps %%zmm14,%%zmm14,%%zmm0\n vfmadd231ps %%zmm14,%%zmm14,%%zmm1\n"
      "vfmadd231ps %%zmm14,%%zmm14,%%zmm2\n vfmadd231ps %%zmm14,%%zmm14,%%zmm3\n"
      "vfmadd231ps %%zmm14,%%zmm14,%%zmm4\n vfmadd231ps %%zmm14,%%zmm14,%%zmm5\n"
      "vfmadd231ps %%zmm14,%%zmm14,%%zmm6\n vfmadd231ps %%zmm14,%%zmm14,%%zmm7\n"
      "vfmadd231ps %%zmm14,%%zmm14,%%zmm8\n vfmadd231ps %%zmm14,%%zmm14,%%zmm9\n"
      "vfmadd231ps %%zmm14,%%zmm14,%%zmm10\n vfmadd231ps %%zmm14,%%zmm14,%%zmm11\n"
      "dec %0\n jnz 1b\n vzeroupper\n"
      : "+r"(count)
      :
      : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
        "xmm11", "xmm14");
}

void loop_fma256(long count) {
  __asm__ volatile(
      "vpxor %%ymm14,%%ymm14,%%ymm14\n 1:\n"
      "vfmadd231ps %%ymm14,%%ymm14,%%ymm0\n vfmadd231ps %%ymm14,%%ymm14,%%ymm1\n"
      "vfmadd231ps %%ymm14,%%ymm14,%%ymm2\n vfmadd231ps %%ymm14,%%ymm14,%%ymm3\n"
      "vfmadd231ps %%ymm14,%%ymm14,%%ymm4\n vfmadd231ps %%ymm14,%%ymm14,%%ymm5\n"
      "vfmadd231ps %%ymm14,%%ymm14,%%ymm6\n vfmadd231ps %%ymm14,%%ymm14,%%ymm7\n"
      "vfmadd231ps %%ymm14,%%ymm14,%%ymm8\n vfmadd231ps %%ymm14,%%ymm14,%%ymm9\n"
      "vfmadd231ps %%ymm14,%%ymm14,%%ymm10\n vfmadd231ps %%ymm14,%%ymm14,%%ymm11\n"
      "dec %0\n jnz 1b\n vzeroupper\n"
      : "+r"(count)
      :
      : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
        "xmm11", "xmm14");
}

// vpmaddwd with the addition that every use of it needs.
void loop_vpmaddwd(long count) {
  __asm__ volatile(
      "1:\n"
      "vpmaddwd %%ymm14,%%ymm14,%%ymm8\n vpaddd %%ymm8,%%ymm0,%%ymm0\n"
      "vpmaddwd %%ymm14,%%ymm14,%%ymm9\n vpaddd %%ymm9,%%ymm1,%%ymm1\n"
      "vpmaddwd %%ymm14,%%ymm14,%%ymm10\n vpaddd %%ymm10,%%ymm2,%%ymm2\n"
      "vpmaddwd %%ymm14,%%ymm14,%%ymm11\n vpaddd %%ymm11,%%ymm3,%%ymm3\n"
      "vpmaddwd %%ymm14,%%ymm14,%%ymm12\n vpaddd %%ymm12,%%ymm4,%%ymm4\n"
      "vpmaddwd %%ymm14,%%ymm14,%%ymm13\n vpaddd %%ymm13,%%ymm5,%%ymm5\n"
      "dec %0\n jnz 1b\n vzeroupper\n"
      : "+r"(count)
      :
      : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
        "xmm13");
}

struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

void loop_tdpbssd(long count) {
  const TileConfig config;
  __asm__ volatile(
      "ldtilecfg %1\n tilezero %%tmm0\n tilezero %%tmm1\n tilezero %%tmm2\n tilezero %%tmm3\n"
      "tilezero %%tmm4\n tilezero %%tmm5\n tilezero %%tmm6\n tilezero %%tmm7\n 1:\n"
      "tdpbssd %%tmm7,%%tmm6,%%tmm0\n tdpbssd %%tmm7,%%tmm6,%%tmm1\n tdpbssd %%tmm7,%%tmm6,%%tmm2\n"
      "tdpbssd %%tmm7,%%tmm6,%%tmm3\n tdpbssd %%tmm7,%%tmm6,%%tmm4\n tdpbssd %%tmm7,%%tmm6,%%tmm5\n"
      "dec %0\n jnz 1b\n tilerelease\n"
      : "+r"(count)
      : "m"(config)
      : "cc");
}
#endif

}  // namespace

Peak peak_of([[maybe_unused]] Isa isa, [[maybe_unused]] DType in_dtype) {
#if defined(__x86_64__)
  const bool is_float = in_dtype == DType::kFloat32;
  switch (isa) {
    case Isa::kAvx2:
      if (is_float) return {"vfmadd231ps ymm", 12.0 * 8, loop_fma256};
      return {"vpmaddwd + vpaddd ymm", 6.0 * 16, loop_vpmaddwd};
    case Isa::kAvx512:
      return {"vfmadd231ps zmm", 12.0 * 16, loop_fma512};
    case Isa::kAvx512Vnni:
      return {"vpdpbusd zmm", 12.0 * 64, loop_vpdpbusd};
    case Isa::kAmxInt8:
      return {"tdpbssd", 6.0 * 16 * 16 * 64, loop_tdpbssd};
    default:
      break;
  }
#endif
  return {};
}

double thread_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double measure(const Peak& peak, double seconds) {
  long count = 64;
  double best = 0.0;
  double spent = 0.0;
  while (spent < seconds) {
    const double start = thread_seconds();
    peak.loop(count);
    const double elapsed = thread_seconds() - start;
    spent += elapsed;
    if (elapsed > seconds / 8)
      best = std::max(best, peak.macs_per_loop * static_cast<double>(count) / elapsed);
    if (elapsed < seconds / 4) count *= 2;
  }
  return best;
}

}  // namespace voxgemm::bench
