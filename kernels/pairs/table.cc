// Kernel-map rows, best first.
#include <array>

#include "kernels/pairs/rows.h"

namespace voxgemm {
namespace {

const char* needs_taps(const PairsProblem& problem) {
  return problem.taps.num_groups == 0 ? "no empty cells around the grid for offsets to fall into" : nullptr;
}

#ifdef __x86_64__
const char* needs_short_taps(const PairsProblem& problem) {
  if (problem.form == IndexForm::kSortedWords) return "the words of the source index have to be searched";
  return problem.short_keys ? needs_taps(problem) : "keys of the source index beyond 32 bits";
}
#endif

const char* takes_all(const PairsProblem& /*problem*/) { return nullptr; }

}  // namespace

std::span<const PairsKernel> pairs_kernels() {
  static constexpr auto kRows = std::to_array<PairsKernel>({
#ifdef __x86_64__
      {"avx512_windows", Isa::kAvx512, needs_short_taps, pairs_avx512_fill_tiles, pairs_avx512_fill_table},
      {"avx2_windows", Isa::kAvx2, needs_taps, pairs_avx2_fill_tiles, pairs_avx2_fill_table},
#endif
      {"scalar_windows", Isa::kScalar, needs_taps, pairs_windows_fill_tiles, pairs_windows_fill_table},
      {"scalar", Isa::kScalar, takes_all, pairs_scalar_fill_tiles, pairs_scalar_fill_table},
  });
  return kRows;
}

}  // namespace voxgemm
