// Voxelisation on the CPU, in two steps. First a table row gives each point its cell:
//
//   c[a] = floor((p[a] - min[a]) / size[a]) in float32;  inside iff 0 <= c[a] < grid[a] on every axis
//   cell = z << z_shift | y << y_shift | x               (packed, not linear: no division to take it apart)
//
// Then the first-come functions number cells in point order and sum their points. They are plain code:
// hashing is bound by memory latency, which prefetching over a block of cells hides. Sums start from the
// first point's value; mean = sum / float(count).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/kernel.h"
#include "voxgemm/types.h"
#include "voxgemm/voxelize.h"

namespace voxgemm {

inline constexpr std::uint64_t kCellNotFinite = ~std::uint64_t{0};  // any column NaN or infinite
inline constexpr std::uint64_t kCellOutside = kCellNotFinite - 1;
inline constexpr std::int32_t kMaxCellBits = 62;  // packed cells stay below both

/// Grid as the kernels see it; x, y, z order.
struct CellGrid {
  std::array<float, 3> min{};
  std::array<float, 3> size{};
  std::array<std::int32_t, 3> cells{};  // 1 .. 2^24
  std::int32_t y_shift = 0;             // bits of x
  std::int32_t z_shift = 0;             // bits of x and y
  std::int32_t bits = 0;                // of all three, <= kMaxCellBits
};

struct VoxelCellsArgs {
  CellGrid grid{};
  const float* points = nullptr;  // [n][stride], columns x, y, z, ...
  std::int64_t stride = 0;
  std::int32_t columns = 4;        // 3 .. stride
  std::uint64_t* cells = nullptr;  // [n]: packed cell, kCellOutside or kCellNotFinite
};

struct VoxelCellsKernel {
  std::string_view name;  // "<isa>_voxel_cells"
  Isa isa = Isa::kScalar;
  // Points [range.begin, range.end).
  void (*run)(const VoxelCellsArgs&, RowRange, Exec) noexcept = nullptr;
};

/// Best first; the last row is scalar. CPU only: the device voxelises in one go.
std::span<const VoxelCellsKernel> voxel_cells_kernels();

void scalar_voxel_cells(const VoxelCellsArgs&, RowRange, Exec) noexcept;
void avx2_voxel_cells(const VoxelCellsArgs&, RowRange, Exec) noexcept;
void avx512_voxel_cells(const VoxelCellsArgs&, RowRange, Exec) noexcept;

/// Where the voxels of one cloud go. Pointers of extras are null when not wanted.
struct VoxelRows {
  std::int32_t y_shift = 0;
  std::int32_t z_shift = 0;
  std::int32_t columns = 4;
  std::int32_t batch = 0;
  std::int32_t max_voxels = 0;      // rows there are, this cloud
  std::int32_t max_points = 0;      // per voxel
  std::int32_t row_base = 0;        // of this cloud: what point_rows count from
  std::int32_t* indices = nullptr;  // [max_voxels][4], this cloud's first row
  float* features = nullptr;        // [max_voxels][stride], likewise
  std::int64_t stride = 0;
  std::int32_t* kept = nullptr;        // [max_voxels] points in the mean
  float* padded = nullptr;             // [max_voxels][max_points][columns], extras
  std::int32_t* point_rows = nullptr;  // [n], extras
};

/// An open-addressing table over memory that starts zero.
struct CellTable {
  void* slots = nullptr;  // [1 << bits] of cell_slot_bytes()
  std::int32_t bits = 4;
  bool wide = false;  // cells of more than 31 bits
};
inline constexpr std::size_t kNarrowSlotBytes = 8;
inline constexpr std::size_t kWideSlotBytes = 16;

inline constexpr std::int64_t kMaxVoxelBlock = 1024;

/// Points [0, n), n <= kMaxVoxelBlock, of one block, in order, after all earlier blocks: numbers new cells,
/// sums points, counts. counts.voxels is the number of rows so far. `points` and `cells` start at the block,
/// point_rows too.
void first_come_block(const CellTable& table, const VoxelRows& rows, const std::uint64_t* cells,
                      const float* points, std::int64_t point_stride, std::int64_t n,
                      VoxelizeCounts& counts) noexcept;

/// Partition of a cell among 1 << partition_bits; independent of its place in a table.
std::uint32_t cell_partition(std::uint64_t cell, std::int32_t partition_bits) noexcept;

/// leader[i] = first point of order[] in the cell of point i, for the n points of order[] (ascending).
void first_come_leaders(const CellTable& table, const std::uint64_t* cells, const std::int32_t* order,
                        std::int64_t n, std::int32_t* leader) noexcept;

/// Sums the n points of order[] (ascending) into rows; row_of[leader[i]] is the row, negative when dropped.
/// counts: voxel_overflow and point_overflow are added to.
void first_come_sum(const VoxelRows& rows, const std::uint64_t* cells, const float* points,
                    std::int64_t point_stride, const std::int32_t* order, std::int64_t n,
                    const std::int32_t* leader, const std::int32_t* row_of, VoxelizeCounts& counts) noexcept;

/// features[r] /= kept[r] for rows [begin, end).
void first_come_means(const VoxelRows& rows, RowRange range) noexcept;

}  // namespace voxgemm
