// Walks any kernel table, best first: the one place that chooses a row, and that keeps the reasons.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "voxgemm/context.h"
#include "voxgemm/implicit_gemm.h"

namespace voxgemm {

template <typename Kernel>
struct Selection {
  const Kernel* kernel = nullptr;      ///< null when every row refused
  std::vector<RefusedKernel> refused;  ///< rows before the chosen one, in table order
};

/// First row that this context's device and policy support and that does not reject `problem`. A forced name
/// restricts the choice to that row. Kernel needs members name, isa and rejects(problem).
template <typename Kernel, typename Problem>
Selection<Kernel> select_kernel(const Context& context, std::span<const Kernel> table,
                                const Problem& problem) {
  Selection<Kernel> result;
  const std::string& force = context.kernels().force;
  for (const Kernel& row : table) {
    const bool cuda_row = row.isa == Isa::kSm80 || row.isa == Isa::kSm90;
    const bool cuda_context = context.device().kind == DeviceKind::kCuda;
    std::string reason;
    if (!force.empty() && row.name != force) {
      reason = "another row is forced";
    } else if (cuda_row != cuda_context) {
      reason = cuda_row ? "needs a CUDA context" : "needs a CPU context";
    } else if (!context.supports(row.isa)) {
      reason = row.isa > context.kernels().max_isa
                   ? "above the policy's max_isa"
                   : std::string("this machine lacks ") + std::string(to_string(row.isa));
    } else if (const char* why = row.rejects(problem); why != nullptr) {
      reason = why;
    } else {
      result.kernel = &row;
      return result;
    }
    result.refused.push_back({std::string(row.name), reason});
  }
  return result;
}

}  // namespace voxgemm
