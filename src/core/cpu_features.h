// What this CPU and operating system can run; the only such code.
#pragma once

#include <string>

#include "voxgemm/types.h"

namespace voxgemm {

struct CpuFeatures {
  bool avx2 = false;    ///< AVX2, FMA, F16C, POPCNT, LZCNT, BMI1, BMI2
  bool avx512 = false;  ///< avx2, and F, BW, VL, DQ
  bool avx512vnni = false;
  bool amx_int8 = false;  ///< tile registers usable: the kernel granted permission

  [[nodiscard]] bool has(Isa isa) const;
};

/// Detects once; asks the operating system for AMX tile state when the CPU has it.
const CpuFeatures& cpu_features();

/// Brand string, e.g. "AMD EPYC 9R14".
std::string cpu_name();

}  // namespace voxgemm
