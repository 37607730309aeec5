// Hard voxelisation: points -> sparse tensor of voxel means.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "voxgemm/context.h"
#include "voxgemm/points_view.h"
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
