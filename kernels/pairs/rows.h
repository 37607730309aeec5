// Functions behind the rows of kernels/pairs/table.cc.
#pragma once

#include "kernels/pairs/pairs.h"

namespace voxgemm {

inline constexpr std::int32_t kMaxPairOffsets = 343;

const char* pairs_scalar_rejects(const PairsProblem& problem);
void pairs_scalar_count_tiles(const PairsArgs& args, RowRange tiles) noexcept;
void pairs_scalar_fill_tiles(const PairsArgs& args, RowRange tiles) noexcept;
void pairs_scalar_fill_table(const PairsArgs& args, RowRange targets) noexcept;

}  // namespace voxgemm
