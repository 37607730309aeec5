// Work of one run of the CPU pair backend as tasks that any number of threads take units of: levels are made
// while the maps of the levels before them are built.
#pragma once

#include <array>
#include <cstdint>

#include "core/context_impl.h"
#include "pairs/cpu_pair_layout.h"

namespace voxgemm::cpu_pairs {

/// Runs every task of the layout on the context's threads. Level 0 has to stand; every level and every form
/// of every map stands afterwards. The results do not depend on the number of threads.
void run_tasks(const Context& context, const CpuPairLayout& layout, Workspace workspace) noexcept;

/// Offsets [lo, hi) of split j: sizes as even as can be, larger ones first.
std::array<std::int32_t, 2> split_range(std::int32_t kv, std::int32_t splits, std::int32_t j);

}  // namespace voxgemm::cpu_pairs
