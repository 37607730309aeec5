// Work of one run of the CPU pair backend as tasks that any number of threads take units of: levels are made
// while the maps of the levels before them are built.
#pragma once

#include "core/context_impl.h"
#include "pairs/cpu/layout.h"

namespace voxgemm::cpu_pairs {

/// Runs every task of the layout on the context's threads. Level 0 has to stand; every level and every form
/// of every map stands afterwards. The results do not depend on the number of threads.
void run_tasks(const Context& context, const CpuPairLayout& layout, Workspace workspace) noexcept;

}  // namespace voxgemm::cpu_pairs
