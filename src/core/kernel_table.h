// Walks any kernel table, best first: the one place that chooses a kernel. select_kernel() plans and keeps
// the reasons; pick_kernel() serves tables whose kernels take every problem, in a call: no allocation.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/context_impl.h"
#include "kernels/kernel.h"
#include "voxgemm/context.h"
namespace voxgemm {

/// Where kernels of an instruction set run.
constexpr DeviceKind device_of(Isa isa) noexcept {
  return isa == Isa::kSm80 || isa == Isa::kSm90 ? DeviceKind::kCuda : DeviceKind::kCpu;
}

template <typename Kernel>
struct Selection {
  const Kernel* kernel = nullptr;      ///< null when every kernel refused
  std::vector<RefusedKernel> refused;  ///< those before the chosen one, in table order
};

/// First kernel that this context's device and policy support and that does not reject `problem`. A forced
/// name restricts the choice to it. Kernel needs members name, isa and rejects(problem).
template <typename Kernel, typename Problem>
Selection<Kernel> select_kernel(const Context& context, std::span<const Kernel> table,
                                const Problem& problem) {
  Selection<Kernel> result;
  const std::string& force = context.kernels().force;
  for (const Kernel& kernel : table) {
    std::string reason;
    if (!force.empty() && kernel.name != force) {
      reason = "another row is forced";
    } else if (device_of(kernel.isa) != context.device().kind) {
      reason = device_of(kernel.isa) == DeviceKind::kCuda ? "needs a CUDA context" : "needs a CPU context";
    } else if (!context.supports(kernel.isa)) {
      reason = kernel.isa > context.kernels().max_isa
                   ? "above the policy's max_isa"
                   : std::string("this machine lacks ") + std::string(to_string(kernel.isa));
    } else if (const char* why = kernel.rejects(problem); why != nullptr) {
      reason = why;
    } else {
      result.kernel = &kernel;
      return result;
    }
    result.refused.push_back({std::string(kernel.name), reason});
  }
  return result;
}

/// First kernel that the context's device and policy support, or null. A policy that forces a kernel of this
/// very table gets it or nothing; names of other tables are not for us.
template <typename Kernel>
const Kernel* pick_kernel(const Context& context, std::span<const Kernel> table) noexcept {
  const std::string_view force = context.kernels().force;
  const bool forced = !force.empty() && std::any_of(table.begin(), table.end(), [&](const Kernel& kernel) {
    return kernel.name == force;
  });
  for (const Kernel& kernel : table) {
    if (forced && kernel.name != force) continue;
    if (device_of(kernel.isa) == context.device().kind && context.supports(kernel.isa)) return &kernel;
  }
  return nullptr;
}

inline Exec exec_of(Context& context) noexcept {
  Context::Impl& impl = context.impl();
  return {impl.stream, impl.num_sms, &impl.launch_error};
}

}  // namespace voxgemm
