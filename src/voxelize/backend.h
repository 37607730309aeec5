// What a Voxelizer plans, as plain data, and the backend that runs it on one device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "voxgemm/context.h"
#include "voxgemm/voxelize.h"

namespace voxgemm {

/// Validated by the Voxelizer's constructor: extents 1..2^24, columns >= 3, caps >= 1,
/// batch_size * max_voxels < 2^31, max_points in [0, 2^31).
struct VoxelizePlan {
  VoxelGrid grid{};
  Dims grid_zyx{};      ///< cells per axis
  Dims sparse_shape{};  ///< of the tensor that the rows are for; holds the grid
  std::int32_t columns = 4;
  std::int64_t max_points = 0;  ///< largest cloud
  std::int32_t batch_size = 1;  ///< largest number of clouds
};

/// Where one run() writes; everything lies on the context's device. Rows are numbered through the batch
/// without gaps.
struct VoxelizeOutputs {
  std::int32_t* indices = nullptr;  ///< [batch * max_voxels][4] (b, z, y, x)
  float* features = nullptr;        ///< [batch * max_voxels][stride]; columns at and past `columns` untouched
  std::int64_t stride = 0;          ///< >= columns
  std::int32_t* num_voxels = nullptr;  ///< one int32: rows of the whole batch
  VoxelizeCounts* counts = nullptr;    ///< [clouds], or null
  VoxelizeExtras extras{};
};

/// One device's way to voxelise. run() gets arguments that Voxelizer::run() has checked: at most batch_size
/// clouds of at most max_points, each past check_points(), pointers present, a workspace of
/// workspace_bytes(), extras empty or large enough.
class VoxelizerBackend {
 public:
  virtual ~VoxelizerBackend() = default;
  [[nodiscard]] virtual std::size_t workspace_bytes() const noexcept = 0;
  virtual Status run(Context& context, std::span<const PointsView> clouds, const VoxelizeOutputs& out,
                     Workspace workspace) const noexcept = 0;
};

/// Throw kUnsupported or kOutOfMemory; the plan is valid.
std::unique_ptr<VoxelizerBackend> make_cpu_voxelizer(Context& context, const VoxelizePlan& plan);
std::unique_ptr<VoxelizerBackend> make_cuda_voxelizer(Context& context,
                                                      const VoxelizePlan& plan);  // CUDA builds only

struct Voxelizer::Impl {
  VoxelizePlan plan{};
  Device device{};
  std::unique_ptr<VoxelizerBackend> backend;
};

}  // namespace voxgemm
