// Voxelisation by several threads. Space is split into parts, neighbouring cells in the same one:
//
//   list      each thread lists the points of its chunks of the cloud by part
//   voxelise  each part on its own, its points in their order
//   number    voxels get rows by their first points, chunk after chunk
//
// A table, and the sums it leads to, are one thread's; between steps only lists and finished voxels change
// hands. The same rows and the same sums as one thread makes.
#pragma once

#include <array>
#include <cstdint>

#include "voxelize/cpu/points.h"

namespace voxgemm {

inline constexpr std::int64_t kMaxPointChunks = 64;

/// Points of a chunk of the cloud by part.
struct PointChunk {
  std::int64_t begin = 0;  // points
  std::int64_t end = 0;
  PartCounts place{};   // where those of a part are listed; those in no cell come last
  PartCounts opened{};  // voxels that they begin
  VoxelizeCounts counts;
};

struct PartMemory {
  std::byte* slots = nullptr;
  std::array<PointBlock, kVoxelParts> blocks;
  PointChunk* chunks = nullptr;
  // [points] each; a chunk owns the entries of its points, a part those of its voxels.
  std::uint64_t* cells = nullptr;         // of points, then of voxels
  std::uint64_t* listed_cells = nullptr;  // of the listed points
  std::int32_t* listed = nullptr;         // points by chunk and part
  std::int32_t* number = nullptr;         // of the listed points: their voxel in the part
  std::int32_t* opened = nullptr;         // of points: the voxel that begins with it, or kNoRow
  float* sums = nullptr;                  // of voxels, [columns]
  std::int32_t* kept = nullptr;           // of voxels
  std::int32_t* row_of = nullptr;         // of voxels

  static PartMemory carve(Carver& carver, std::int64_t max_points, std::int32_t columns, bool wide) noexcept;
};

/// Voxelises one cloud, at least one point, into `rows`; adds to counts.
void voxelize_in_parts(Context& context, const CellGrid& grid, const CpuPoints& cloud, const VoxelRows& rows,
                       const PartMemory& memory, VoxelizeCounts& counts) noexcept;

}  // namespace voxgemm
