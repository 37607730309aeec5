// Hard voxelisation: points -> sparse tensor of voxel means.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "voxgemm/context.h"
#include "voxgemm/sparse_tensor.h"
#include "voxgemm/types.h"

namespace voxgemm {

/// Grid over space. Points are given x,y,z; voxels are indexed z,y,x. All arithmetic is float32:
///   grid[a] = round((max[a] - min[a]) / voxel_size[a])
///   c[a]    = floor((p[a] - min[a]) / voxel_size[a]);   the point counts iff 0 <= c[a] < grid[a]
/// round() is half away from zero. A voxel's mean is (x_0 + x_1 + ...) / float(count) in float32, starting
/// from its first point's value. Limits: 1..2^24 cells per axis, both caps >= 1.
/// Source: spconv Point2Voxel (first-come numbering).
struct VoxelGrid {
  std::array<float, 3> min_xyz{};
  std::array<float, 3> max_xyz{};
  std::array<float, 3> voxel_size_xyz{};
  std::int32_t max_voxels = 0;            ///< rows per call; later new voxels are dropped and counted
  std::int32_t max_points_per_voxel = 0;  ///< later points of a full voxel do not enter its mean

  /// Cells per axis, z,y,x. Networks often add one z cell ("[41, 1440, 1440]"): see sparse shape.
  [[nodiscard]] VOXGEMM_API Dims grid_zyx() const;
};

/// Type of one stored value of a point. The numbers are those of sensor_msgs/PointField.
enum class PointType : std::uint8_t {
  kInt8 = 1,
  kUint8 = 2,
  kInt16 = 3,
  kUint16 = 4,
  kInt32 = 5,
  kUint32 = 6,
  kFloat32 = 7,
  kFloat64 = 8
};

/// Bytes of one value; 0 for a number that is no type.
constexpr std::int64_t size_of(PointType type) {
  constexpr std::array<std::int64_t, 9> kBytes{0, 1, 1, 2, 2, 4, 4, 4, 8};
  const auto number = static_cast<std::size_t>(type);
  return number < kBytes.size() ? kBytes[number] : 0;
}

/// Where a record holds one column, and what the column is in it:
///   column = float32((float64(value) - zero) * scale), each step rounded to nearest even
/// so that times since 1970 become ages, and 0..255 intensities 0..1, with nothing rewritten. A value that
/// float32 cannot hold is infinite, which drops the point.
struct PointField {
  std::int64_t offset = 0;  ///< bytes from the start of a record, at any alignment
  PointType type = PointType::kFloat32;
  double zero = 0.0;
  double scale = 1.0;
};

/// Most fields of a cloud of records.
inline constexpr std::int32_t kMaxPointFields = 32;

/// Borrowed points, columns x,y,z first, then any others, in one of two forms:
///   rows     row-major float32 or float16, aligned to their type
///   records  `step` bytes apart, little-endian: column c is fields[c] of its record. So lies the data of a
///            sensor_msgs/PointCloud2 (step = point_step). Nothing is copied or rewritten but a block of
///            points at a time, in cache; records that are float32 rows are read in place.
struct PointsView {
  const void* data = nullptr;
  DType dtype = DType::kFloat32;  ///< of rows
  std::int64_t num_points = 0;
  std::int32_t columns = 4;
  std::int64_t stride = 0;               ///< elements between rows; 0 = columns. Records: 0
  std::span<const PointField> fields{};  ///< [columns], in host memory, read during the call; empty: rows
  std::int64_t step = 0;                 ///< bytes between records, below 2^31. Rows: 0
};

/// What happened to the points; produced beside the voxels, never silent.
struct VoxelizeCounts {
  std::int64_t points = 0;          ///< read
  std::int64_t not_finite = 0;      ///< NaN or infinite x, y, z or feature: dropped
  std::int64_t out_of_range = 0;    ///< outside the grid: dropped
  std::int64_t voxel_overflow = 0;  ///< in a cell that would have been a voxel beyond max_voxels: dropped
  std::int64_t point_overflow = 0;  ///< beyond max_points_per_voxel: has a voxel id, not in the mean
  std::int32_t voxels = 0;          ///< rows produced
  std::int64_t voxels_wanted = 0;   ///< rows that an unlimited call would have produced
};

/// Optional outputs; empty spans are skipped. Rows beyond those produced are not written.
struct VoxelizeExtras {
  /// [sum of num_points over the clouds] row of each point's voxel, -1 when dropped.
  std::span<std::int32_t> point_voxel_id;
  /// [clouds * max_voxels] points kept, <= max_points_per_voxel.
  std::span<std::int32_t> points_per_voxel;
  /// [clouds * max_voxels][max_points_per_voxel][columns], zero padded.
  std::span<float> voxels;
};

/// Voxelises one cloud per batch entry; clouds and extras lie in host memory, whatever the device. Rows are
/// numbered in the order in which the points come, batch after batch; a feature is the float32 mean of a
/// voxel's kept points, summed in point order. The same bits for any number of threads. `out` must have
/// capacity >= batch * max_voxels, float32 features with `columns` channels, and spatial shape >= grid (extra
/// z cells allowed). max_voxels counts per cloud. Errors: kInvalidArgument (bad grid or cloud), kShape,
/// kDType; see Voxelizer::run for what a cloud is refused for.
VOXGEMM_API std::vector<VoxelizeCounts> voxelize(Context& context, std::span<const PointsView> clouds,
                                                 const VoxelGrid& grid, SparseTensor& out,
                                                 const VoxelizeExtras& extras = {});

/// Planned form for the hot path: fixed grid, columns and largest cloud; run() is noexcept, allocates
/// nothing and, on CUDA, leaves the counts on the device. `sparse_shape`: shape of the sparse tensor that the
/// rows are for, checked to hold the grid; empty = the grid. Throws kInvalidArgument, kShape.
class VOXGEMM_API Voxelizer {
 public:
  Voxelizer(Context& context, const VoxelGrid& grid, std::int32_t columns, std::int64_t max_points,
            std::int32_t batch_size = 1, const Dims& sparse_shape = {});
  ~Voxelizer();
  Voxelizer(Voxelizer&&) noexcept;
  Voxelizer& operator=(Voxelizer&&) noexcept;

  [[nodiscard]] std::size_t workspace_bytes() const noexcept;
  /// indices [batch*max_voxels][4]; features [batch*max_voxels][columns] float32, row stride `stride`.
  /// num_voxels: one int32 on the context's device. counts: batch_size entries on the context's device,
  /// may be null. Clouds and extras lie on the context's device too. Status: kShape (too many clouds or
  /// points, wrong columns or number of fields, a stride or step too small or above 2^31 bytes, a field
  /// beyond its record), kDType, kInvalidArgument (null or misaligned pointer, negative count, small extras
  /// or workspace, a field of unknown type or whose zero or scale is not finite).
  Status run(Context& context, std::span<const PointsView> clouds, std::int32_t* indices, float* features,
             std::int64_t stride, std::int32_t* num_voxels, VoxelizeCounts* counts, Workspace workspace,
             const VoxelizeExtras& extras = {}) const noexcept;
  /// The rows that run() wrote there, as a tensor of the Voxelizer's sparse shape and batch size, capacity
  /// batch_size*max_voxels: an engine takes it as its input. On the CPU it has the *num_voxels rows of the
  /// last run(); on CUDA the count stays on the device and the view holds for every run(). Without num_voxels
  /// its count is -1, which nothing takes.
  [[nodiscard]] SparseTensorView view(const std::int32_t* indices, const float* features, std::int64_t stride,
                                      const std::int32_t* num_voxels) const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace voxgemm
