// Voxelisation on the CPU, in two steps. First a table row gives each point its cell:
//
//   c[a] = floor((p[a] - min[a]) / size[a]) in float32;  inside iff 0 <= c[a] < grid[a] on every axis
//   cell = z << z_shift | y << y_shift | x               (packed, not linear: no division to take it apart)
//
// Points that are no float32 rows become ones first, a block at a time.
// Then the first-come functions number cells in point order and sum their points. They are plain code: what
// they wait for is memory and branches that cannot be foreseen, so cells are fetched ahead and loops have no
// such branches. mean = sum / float(count), sum in point order from the first point's value.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/kernel.h"
#include "voxgemm/points_view.h"
#include "voxgemm/types.h"

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

  [[nodiscard]] bool wide() const { return bits > 31; }
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

/// Points in records, see PointsView. Plain data: CUDA kernels take it by value.
struct PointRecords {
  struct Field {
    double zero = 0.0;
    double scale = 1.0;
    std::int32_t offset = 0;
    PointType type = PointType::kFloat32;
    bool plain = true;     // zero and scale change nothing
    bool aligned = false;  // the value, in every record
  };
  const std::byte* data = nullptr;
  std::int64_t step = 0;
  std::int32_t columns = 0;
  Field fields[kMaxPointFields] = {};
};

/// out[k][c] = column c of point range.begin + k, or of point list[k].
void read_records(const PointRecords& records, RowRange range, float* out) noexcept;
void read_records(const PointRecords& records, std::span<const std::int32_t> list, float* out) noexcept;

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

/// An open-addressing table of cells, of more slots than cells.
struct CellTable {
  void* slots = nullptr;  // [1 << bits] of slot_bytes()
  std::int32_t bits = 4;
  bool wide = false;  // cells of more than 31 bits

  [[nodiscard]] constexpr std::size_t bytes() const { return slot_bytes(wide) << bits; }
  [[nodiscard]] static constexpr std::size_t slot_bytes(bool wide) { return wide ? 16 : 8; }
};

inline constexpr std::int64_t kMaxVoxelBlock = 1024;
inline constexpr std::int32_t kNoRow = -1;

/// The points of one block by what they are to their cells, ascending.
struct FirstCome {
  std::uint32_t num_first = 0;
  std::uint32_t num_later = 0;
  std::array<std::uint16_t, kMaxVoxelBlock> first;  // points that come first in their cell
  std::array<std::uint16_t, kMaxVoxelBlock> later;  // the other points that lie in a cell

  [[nodiscard]] std::span<const std::uint16_t> openers() const { return {first.data(), num_first}; }
  [[nodiscard]] std::span<const std::uint16_t> others() const { return {later.data(), num_later}; }
};

/// Empties the table.
void clear_cells(const CellTable& table) noexcept;

/// Numbers the cells of a table in the order in which they come. For the points [0, n), n <= kMaxVoxelBlock,
/// that follow `next` cells: number[i] = that of the cell of point i, kNoRow when it lies in none. The cell
/// of first[k] gets the number next + k; next + num_first is the next block's.
void number_cells(const CellTable& table, const std::uint64_t* cells, std::int64_t n, std::int32_t next,
                  std::int32_t* number, FirstCome& points) noexcept;

/// Writes the indices of voxels row, row + 1, ... whose cells are cells[list[k]], k < n.
void write_indices(const VoxelRows& rows, std::int64_t row, const std::uint64_t* cells,
                   std::span<const std::uint16_t> list) noexcept;

/// Voxels row, row + 1, ... begin with the points list[k]: sums and counts.
void open_voxels(const VoxelRows& rows, std::int64_t row, std::span<const std::uint16_t> list,
                 const float* points, std::int64_t point_stride) noexcept;

/// Drops the points of cells whose number is not below max_voxels; the first of `points` have the numbers
/// next, next + 1, ...
void drop_points(const VoxelRows& rows, std::int32_t next, const std::int32_t* number,
                 FirstCome& points) noexcept;

/// Adds the points list[k] to their rows number[list[k]]. Returns how many found it full.
std::int64_t join_voxels(const VoxelRows& rows, const std::int32_t* number,
                         std::span<const std::uint16_t> list, const float* points,
                         std::int64_t point_stride) noexcept;

/// Padded points of rows [range): zeros; of one row: point `slot`.
void clear_padded(const VoxelRows& rows, RowRange range) noexcept;
void keep_padded(const VoxelRows& rows, std::int64_t row, std::int32_t slot, const float* point) noexcept;

/// features[r] /= kept[r] for rows [begin, end).
void mean_voxels(const VoxelRows& rows, RowRange range) noexcept;

/// Parts of space: neighbouring cells lie in the same one, and a part in many places, so that parts have
/// about as many points each.
inline constexpr std::size_t kVoxelParts = 64;

/// Something for each part and, last, for the points in no cell.
using PartCounts = std::array<std::int32_t, kVoxelParts + 1>;

/// count[p] += points of part p, for points [0, n).
void count_parts(const CellGrid& grid, const std::uint64_t* cells, std::int64_t n,
                 PartCounts& count) noexcept;

/// Lists the points first_point, first_point + 1, ... with these cells: point i and its cell go to
/// place[its part]++.
void list_by_part(const CellGrid& grid, std::span<const std::uint64_t> cells, std::int32_t first_point,
                  PartCounts& place, std::uint64_t* listed_cells, std::int32_t* listed) noexcept;

/// Voxels as their parts have made them.
struct PartVoxels {
  const std::uint64_t* cells = nullptr;
  const float* sums = nullptr;  // [][columns]
  const std::int32_t* kept = nullptr;
};

/// Rows row, row + 1, ... are the voxels list[k]: index, mean and count.
void gather_voxels(const VoxelRows& rows, std::int64_t row, std::span<const std::int32_t> list,
                   const PartVoxels& from) noexcept;

}  // namespace voxgemm
