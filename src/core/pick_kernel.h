// The choice of a kernel row per call: no allocation and no reasons kept, unlike select_kernel.h. For tables
// whose rows take every problem.
#pragma once

#include <algorithm>
#include <span>
#include <string_view>

#include "core/context_impl.h"
#include "kernels/kernel.h"
#include "voxgemm/context.h"

namespace voxgemm {

/// First row that the context's device and policy support, or null. A policy that forces a row of this very
/// table gets that row or nothing; names of other tables are not for us.
template <typename Kernel>
const Kernel* pick_kernel(const Context& context, std::span<const Kernel> table) noexcept {
  const bool cuda_context = context.device().kind == DeviceKind::kCuda;
  const std::string_view force = context.kernels().force;
  const bool forced = !force.empty() && std::any_of(table.begin(), table.end(),
                                                    [&](const Kernel& row) { return row.name == force; });
  for (const Kernel& row : table) {
    const bool cuda_row = row.isa == Isa::kSm80 || row.isa == Isa::kSm90;
    if (forced && row.name != force) continue;
    if (cuda_row == cuda_context && context.supports(row.isa)) return &row;
  }
  return nullptr;
}

inline Exec exec_of(Context& context) noexcept {
  Context::Impl& impl = context.impl();
  return {impl.stream, impl.num_sms, &impl.launch_error};
}

}  // namespace voxgemm
