// Points of one cloud as the CPU kernels want them: float32, a block at a time, with their cells.
#pragma once

#include <cstdint>
#include <span>

#include "core/context_impl.h"
#include "kernels/voxelize/voxelize.h"
#include "voxelize/backend.h"
#include "voxelize/points_view.h"

namespace voxgemm {

/// Memory for one block of points.
struct PointBlock {
  float* floats = nullptr;  // [kMaxVoxelBlock][columns]
  Half* halves = nullptr;   // likewise

  static PointBlock carve(Carver& carver, std::int32_t columns) noexcept {
    PointBlock block;
    block.floats = carver.take<float>(kMaxVoxelBlock * columns);
    block.halves = carver.take<Half>(kMaxVoxelBlock * columns);
    return block;
  }
};

/// Float32 points with elements between them.
struct FloatPoints {
  const float* data = nullptr;
  std::int64_t stride = 0;
};

class CpuPoints {
 public:
  CpuPoints(const Context& context, const CellGrid& grid, const PointsView& cloud) noexcept
      : context_(context), grid_(grid), cloud_(in_simplest_form(cloud)) {
    if (!cloud_.fields.empty()) records_ = make_records(cloud_);
  }

  [[nodiscard]] std::int64_t count() const noexcept { return cloud_.num_points; }

  /// Points [range), at most a block: in place, or converted to `block`.
  [[nodiscard]] FloatPoints range(RowRange range, const PointBlock& block) const noexcept;

  /// The points of a list, at most a block, one behind the other in `block`.
  [[nodiscard]] FloatPoints listed(std::span<const std::int32_t> list,
                                   const PointBlock& block) const noexcept;

  /// cells[i] of points [0, n).
  void find_cells(const FloatPoints& points, std::int64_t n, std::uint64_t* cells) const noexcept;

 private:
  void widen(const Half* in, std::int64_t stride, std::int64_t n, float* out) const noexcept;

  const Context& context_;
  const CellGrid& grid_;
  const PointsView cloud_;
  PointRecords records_;  // of a cloud with fields
};

/// Adds `n` points, `dropped` of which lie in no cell.
void count_points(const std::uint64_t* cells, std::int64_t n, std::int64_t dropped,
                  VoxelizeCounts& counts) noexcept;

/// to[i] = row of point i in the batch, kNoRow when it has none: row[i] not in [0, max_voxels).
void write_point_rows(const VoxelRows& rows, std::span<const std::int32_t> row, std::int32_t* to) noexcept;

/// Bits of a table that n distinct cells fill to two thirds at most.
[[nodiscard]] std::int32_t cell_table_bits(std::int64_t n) noexcept;
inline constexpr std::int32_t kMinCellTableBits = 4;

}  // namespace voxgemm
