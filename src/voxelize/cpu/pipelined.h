// Voxelisation block by block, in three steps that up to three threads share:
//
//   cells    of the points of a block; any blocks at a time
//   number   the cells that are new; a block after the other, on one thread, whose cache keeps the table
//   join     points to the voxels of their cells; likewise, on the thread whose cache keeps the sums
//
// One thread takes the steps of a block in turn, while its points are in the L1 cache.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "voxelize/cpu/points.h"

namespace voxgemm {

inline constexpr std::int32_t kMaxBlockThreads = 3;

/// A block on its way.
struct BlockSlot {
  PointBlock memory;
  FloatPoints points;
  std::uint64_t* cells = nullptr;  // [kMaxVoxelBlock]
  std::int32_t* number = nullptr;  // likewise
  FirstCome* order = nullptr;
};

struct VoxelBlockMemory {
  static constexpr std::size_t kMostSlots = 8;

  std::byte* table = nullptr;
  std::array<BlockSlot, kMostSlots> slots;
  std::size_t num_slots = 1;

  /// For up to `threads` threads.
  static VoxelBlockMemory carve(Carver& carver, std::int64_t max_points, std::int32_t columns, bool wide,
                                std::int32_t threads) noexcept;
};

/// Voxelises one cloud into `rows`; adds to counts.
void voxelize_blocks(Context& context, const CellGrid& grid, const CpuPoints& cloud, const VoxelRows& rows,
                     const VoxelBlockMemory& memory, VoxelizeCounts& counts) noexcept;

}  // namespace voxgemm
