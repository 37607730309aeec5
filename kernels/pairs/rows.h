// Functions behind the rows of kernels/pairs/table.cc.
#pragma once

#include "kernels/pairs/pairs.h"

namespace voxgemm {

inline constexpr std::int32_t kMaxPairOffsets = 343;

void pairs_scalar_fill_tiles(const PairsArgs& args, RowRange tiles) noexcept;
void pairs_scalar_fill_table(const PairsArgs& args, RowRange targets) noexcept;

void pairs_windows_fill_tiles(const PairsArgs& args, RowRange tiles) noexcept;
void pairs_windows_fill_table(const PairsArgs& args, RowRange targets) noexcept;

void pairs_avx2_fill_tiles(const PairsArgs& args, RowRange tiles) noexcept;
void pairs_avx2_fill_table(const PairsArgs& args, RowRange targets) noexcept;

void pairs_avx512_fill_tiles(const PairsArgs& args, RowRange tiles) noexcept;
void pairs_avx512_fill_table(const PairsArgs& args, RowRange targets) noexcept;

}  // namespace voxgemm
