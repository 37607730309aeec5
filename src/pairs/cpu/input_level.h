// Levels of the CPU pair backend: what is done between the parallel steps of a coordinate index.
#pragma once

#include "core/context_impl.h"
#include "pairs/cpu/layout.h"

namespace voxgemm::cpu_pairs {

/// Makes level 0 of rows [0, n) on the context's threads, in their order or by key. On a bad row the level is
/// left empty.
InsertResult insert_input(const Context& context, const CpuPairLayout& layout, Workspace workspace,
                          const std::int32_t* indices, std::int32_t n) noexcept;

/// First ranks of the slabs, and first words where these were not kept, from their counts; the level's count.
void place_slabs(const CoordIndexRef& index) noexcept;

/// Leaves the bitmaps of all levels zero.
void clear_levels(const Context& context, const CpuPairLayout& layout, Workspace workspace) noexcept;

}  // namespace voxgemm::cpu_pairs
