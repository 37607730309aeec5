#include "core/cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <array>
#include <cstdint>
#include <cstring>

namespace voxgemm {
namespace {

#if defined(__x86_64__)
std::uint64_t read_xcr0() {
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<std::uint64_t>(high) << 32) | low;
}

bool request_amx_permission() {
#if defined(__linux__) && defined(SYS_arch_prctl)
  constexpr long kArchReqXcompPerm = 0x1023;
  constexpr long kXfeatureTileData = 18;
  return syscall(SYS_arch_prctl, kArchReqXcompPerm, kXfeatureTileData) == 0;
#else
  return false;
#endif
}

CpuFeatures detect() {
  CpuFeatures f;
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_OSXSAVE) == 0) return f;
  constexpr unsigned kFirst = bit_FMA | bit_F16C | bit_POPCNT;
  const bool first = (c & kFirst) == kFirst;
  const std::uint64_t xcr0 = read_xcr0();
  const bool os_avx = (xcr0 & 0x6U) == 0x6U;
  const bool os_avx512 = (xcr0 & 0xE6U) == 0xE6U;
  const bool os_amx = (xcr0 & 0x60000U) == 0x60000U;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return f;
  constexpr unsigned kSecond = bit_AVX2 | bit_BMI | bit_BMI2;
  unsigned a1 = 0;
  unsigned b1 = 0;
  unsigned c1 = 0;
  unsigned d1 = 0;
  const bool lzcnt = __get_cpuid(0x80000001U, &a1, &b1, &c1, &d1) != 0 && (c1 & bit_LZCNT) != 0;
  f.avx2 = os_avx && first && lzcnt && (b & kSecond) == kSecond;
  constexpr unsigned kBits = bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_AVX512DQ;
  f.avx512 = f.avx2 && os_avx512 && (b & kBits) == kBits;
  f.avx512vnni = f.avx512 && (c & bit_AVX512VNNI) != 0;
  constexpr unsigned kAmx = (1U << 24) | (1U << 25);  // AMX-TILE, AMX-INT8
  f.amx_int8 = f.avx512vnni && os_amx && (d & kAmx) == kAmx && request_amx_permission();
  return f;
}
#else
CpuFeatures detect() { return {}; }
#endif

}  // namespace

bool CpuFeatures::has(Isa isa) const {
  switch (isa) {
    case Isa::kScalar:
      return true;
    case Isa::kAvx2:
      return avx2;
    case Isa::kAvx512:
      return avx512;
    case Isa::kAvx512Vnni:
      return avx512vnni;
    case Isa::kAmxInt8:
      return amx_int8;
    case Isa::kSm80:
    case Isa::kSm90:
      return false;
  }
  return false;
}

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = detect();
  return features;
}

std::string cpu_name() {
#if defined(__x86_64__)
  std::array<char, 49> brand{};
  for (unsigned leaf = 0; leaf < 3; ++leaf) {
    std::array<unsigned, 4> r{};
    if (__get_cpuid(0x80000002U + leaf, &r[0], &r[1], &r[2], &r[3]) == 0) return "x86-64";
    std::memcpy(brand.data() + 16 * leaf, r.data(), 16);
  }
  std::string name = brand.data();
  while (!name.empty() && name.back() == ' ') name.pop_back();
  return name;
#elif defined(__aarch64__)
  return "aarch64";
#else
  return "unknown CPU";
#endif
}

}  // namespace voxgemm
