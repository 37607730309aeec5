#include "voxgemm/voxelize.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/check.h"
#include "core/context_impl.h"
#include "core/extents.h"
#include "core/named_buffer.h"
#include "core/operands.h"
#include "voxelize/backend.h"
#include "voxelize/points_view.h"

namespace voxgemm {
namespace {

constexpr float kMaxCells = 16777216.0F;  // 2^24: above it neighbouring cells share a float32
constexpr std::int64_t kMaxInt32 = std::numeric_limits<std::int32_t>::max();
constexpr char kAxes[] = "xyz";

Error bad_grid(std::string message) { return {ErrorCode::kInvalidArgument, "voxel grid: " + message}; }

void check_holds(const Dims& shape, const Dims& grid) {
  const bool holds = shape.ndim == 3 && shape[0] >= grid[0] && shape[1] >= grid[1] && shape[2] >= grid[2];
  if (holds) return;
  throw Error(ErrorCode::kShape, fmt::format("spatial_shape {} does not hold the voxel grid {}",
                                             axes_text(shape), axes_text(grid)));
}

VoxelizePlan make_plan(const VoxelGrid& grid, std::int32_t columns, std::int64_t max_points,
                       std::int32_t batch_size) {
  const auto at_least_one = [](std::int64_t value, const char* what) {
    if (value < 1) throw bad_grid(fmt::format("{} is {}, must be >= 1", what, value));
  };
  const Dims cells = grid.grid_zyx();
  at_least_one(grid.max_voxels, "max_voxels");
  at_least_one(grid.max_points_per_voxel, "max_points_per_voxel");
  at_least_one(batch_size, "batch_size");
  if (std::int64_t{batch_size} * grid.max_voxels > kMaxInt32) {
    throw bad_grid(
        fmt::format("batch_size {} times max_voxels {} is above {}", batch_size, grid.max_voxels, kMaxInt32));
  }
  if (columns < 3)
    throw Error(ErrorCode::kShape, fmt::format("points have {} columns, need 3 or more", columns));
  if (max_points < 0 || max_points > kMaxInt32) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("max_points is {}, allowed 0 to {}", max_points, kMaxInt32));
  }
  return {.grid = grid,
          .grid_zyx = cells,
          .columns = columns,
          .max_points = max_points,
          .batch_size = batch_size};
}

Status check_extras(const VoxelizePlan& plan, std::span<const PointsView> clouds,
                    const VoxelizeExtras& extras) noexcept {
  std::int64_t points = 0;
  for (const PointsView& cloud : clouds) points += cloud.num_points;
  const auto rows = static_cast<std::int64_t>(clouds.size()) * plan.grid.max_voxels;
  const auto fits = [](std::size_t size, std::int64_t wanted, const char* what) -> Status {
    if (size == 0 || static_cast<std::int64_t>(size) >= wanted) return {};
    return {.code = ErrorCode::kInvalidArgument,
            .value = static_cast<std::int64_t>(size),
            .limit = wanted,
            .what = what};
  };
  if (const Status s = fits(extras.point_voxel_id.size(), points, "extras.point_voxel_id"); !s.ok()) return s;
  if (const Status s = fits(extras.points_per_voxel.size(), rows, "extras.points_per_voxel"); !s.ok())
    return s;
  return fits(extras.voxels.size(), rows * plan.grid.max_points_per_voxel * plan.columns, "extras.voxels");
}

Status check_run(const VoxelizePlan& plan, std::size_t workspace_bytes, std::span<const PointsView> clouds,
                 const VoxelizeOutputs& out, Workspace workspace) noexcept {
  const auto num_clouds = static_cast<std::int64_t>(clouds.size());
  if (num_clouds > plan.batch_size) {
    return {.code = ErrorCode::kShape, .value = num_clouds, .limit = plan.batch_size, .what = "clouds"};
  }
  for (const PointsView& cloud : clouds) {
    const Status status = check_points(cloud, plan.columns, plan.max_points);
    if (!status.ok()) return status;
  }
  if (out.stride < plan.columns) {
    return {.code = ErrorCode::kShape,
            .value = out.stride,
            .limit = plan.columns,
            .what = "row stride of the features"};
  }
  if (out.indices == nullptr || out.features == nullptr || out.num_voxels == nullptr) {
    return {.code = ErrorCode::kInvalidArgument, .what = "an output is null"};
  }
  if (const Status s = check_workspace_bytes(workspace, workspace_bytes); !s.ok()) return s;
  return check_extras(plan, clouds, out.extras);
}

std::unique_ptr<VoxelizerBackend> make_backend(Context& context, const VoxelizePlan& plan) {
  if (context.device().kind == DeviceKind::kCpu) return make_cpu_voxelizer(context, plan);
#ifdef VOXGEMM_WITH_CUDA
  return make_cuda_voxelizer(context, plan);
#else
  throw Error(ErrorCode::kUnsupported, "this build has no CUDA");
#endif
}

// Device memory for host spans of a one-shot call; on the CPU the host memory itself.
template <typename T>
class Staged {
 public:
  Staged(Context& context, T* host, std::size_t count) : host_(host), count_(count) {
    if (context.device().kind == DeviceKind::kCuda) buffer_ = Buffer(context, count * sizeof(T));
  }
  [[nodiscard]] T* data() const { return buffer_.bytes() > 0 ? buffer_.as<T>() : host_; }
  [[nodiscard]] std::span<T> span() const { return {data(), count_}; }
  void upload(Context& context) {
    if (buffer_.bytes() > 0) buffer_.upload(context, host_, buffer_.bytes());
  }
  void download(Context& context, std::size_t count) const {
    if (buffer_.bytes() > 0) buffer_.download(context, host_, count * sizeof(T));
  }

 private:
  T* host_ = nullptr;
  std::size_t count_ = 0;
  Buffer buffer_;
};

void check_out(const VoxelGrid& grid, std::span<const PointsView> clouds, const SparseTensorView& out) {
  check(!clouds.empty(), ErrorCode::kInvalidArgument, "voxelize needs at least one cloud");
  for (std::size_t b = 0; b < clouds.size(); ++b) {
    if (clouds[b].columns == clouds[0].columns) continue;
    throw Error(ErrorCode::kShape, fmt::format("cloud {} has {} columns, cloud 0 has {}", b,
                                               clouds[b].columns, clouds[0].columns));
  }
  check_holds(out.spatial_shape, grid.grid_zyx());
  const auto wanted = static_cast<std::int64_t>(clouds.size()) * grid.max_voxels;
  if (out.batch_size < static_cast<std::int64_t>(clouds.size()) || out.capacity < wanted) {
    throw Error(ErrorCode::kShape,
                fmt::format("out has batch_size {} and capacity {}, {} clouds of {} voxels need {}",
                            out.batch_size, out.capacity, clouds.size(), grid.max_voxels, wanted));
  }
  if (out.features.channels != clouds[0].columns) {
    throw Error(ErrorCode::kShape, fmt::format("out has {} channels, points {} columns",
                                               out.features.channels, clouds[0].columns));
  }
  check(out.features.dtype == DType::kFloat32, ErrorCode::kDType, "voxelize writes float32 features");
}

}  // namespace

Dims VoxelGrid::grid_zyx() const {
  Dims cells = Dims::filled(3, 0);
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const float extent = max_xyz[axis] - min_xyz[axis];
    const float count = std::round(extent / voxel_size_xyz[axis]);
    if (!std::isfinite(min_xyz[axis]) || !std::isfinite(voxel_size_xyz[axis]) ||
        !(voxel_size_xyz[axis] > 0.0F) || !(count >= 1.0F && count <= kMaxCells)) {
      throw bad_grid(fmt::format("{} from {} to {} in steps of {} gives {} cells, allowed 1 to {}",
                                 kAxes[axis], min_xyz[axis], max_xyz[axis], voxel_size_xyz[axis], count,
                                 kMaxCells));
    }
    cells[static_cast<int>(2 - axis)] = static_cast<std::int32_t>(count);
  }
  return cells;
}

Voxelizer::Voxelizer(Context& context, const VoxelGrid& grid, std::int32_t columns, std::int64_t max_points,
                     std::int32_t batch_size, const Dims& sparse_shape)
    : impl_(std::make_unique<Impl>()) {
  impl_->plan = make_plan(grid, columns, max_points, batch_size);
  VoxelizePlan& plan = impl_->plan;
  plan.sparse_shape = sparse_shape.ndim == 0 ? plan.grid_zyx : sparse_shape;
  check_holds(plan.sparse_shape, plan.grid_zyx);
  impl_->device = context.device();
  impl_->backend = make_backend(context, impl_->plan);
}

Voxelizer::~Voxelizer() = default;
Voxelizer::Voxelizer(Voxelizer&&) noexcept = default;
Voxelizer& Voxelizer::operator=(Voxelizer&&) noexcept = default;

std::size_t Voxelizer::workspace_bytes() const noexcept { return impl_->backend->workspace_bytes(); }

Status Voxelizer::run(Context& context, std::span<const PointsView> clouds, std::int32_t* indices,
                      float* features, std::int64_t stride, std::int32_t* num_voxels, VoxelizeCounts* counts,
                      Workspace workspace, const VoxelizeExtras& extras) const noexcept {
  const VoxelizeOutputs out{indices, features, stride, num_voxels, counts, extras};
  if (context.device() != impl_->device) {
    return {.code = ErrorCode::kInvalidArgument, .what = "the context is of another device"};
  }
  if (const Status status = check_run(impl_->plan, workspace_bytes(), clouds, out, workspace); !status.ok()) {
    return status;
  }
  const CurrentDevice current(context);
  return impl_->backend->run(context, clouds, out, workspace);
}

SparseTensorView Voxelizer::view(const std::int32_t* indices, const float* features, std::int64_t stride,
                                 const std::int32_t* num_voxels) const noexcept {
  const VoxelizePlan& plan = impl_->plan;
  SparseTensorView out;
  out.indices = indices;
  out.spatial_shape = plan.sparse_shape;
  out.batch_size = plan.batch_size;
  out.capacity = plan.batch_size * plan.grid.max_voxels;
  if (num_voxels == nullptr) {
    out.num_voxels = -1;
  } else if (impl_->device.kind == DeviceKind::kCuda) {
    out.num_voxels = out.capacity;
    out.device_num_voxels = num_voxels;
  } else {
    out.num_voxels = *num_voxels;
  }
  out.features = {features, DType::kFloat32, out.num_voxels, plan.columns, stride};
  return out;
}

std::vector<VoxelizeCounts> voxelize(Context& context, std::span<const PointsView> clouds,
                                     const VoxelGrid& grid, SparseTensor& out, const VoxelizeExtras& extras) {
  check_out(grid, clouds, out.view());
  std::int64_t max_points = 0;
  for (const PointsView& cloud : clouds) max_points = std::max(max_points, cloud.num_points);
  const auto batch = static_cast<std::int32_t>(clouds.size());
  const Voxelizer voxelizer(context, grid, clouds[0].columns, max_points, batch, out.view().spatial_shape);

  std::vector<PointsView> views(clouds.begin(), clouds.end());
  std::vector<Staged<std::byte>> staged;
  staged.reserve(clouds.size());
  for (PointsView& view : views) {
    check(check_points(view, view.columns, max_points), "voxelize");  // its bytes are trusted from here on
    staged.emplace_back(context, static_cast<std::byte*>(const_cast<void*>(view.data)), bytes_of(view));
    staged.back().upload(context);
    view.data = staged.back().data();
  }
  const Staged<std::int32_t> ids(context, extras.point_voxel_id.data(), extras.point_voxel_id.size());
  const Staged<std::int32_t> kept(context, extras.points_per_voxel.data(), extras.points_per_voxel.size());
  const Staged<float> padded(context, extras.voxels.data(), extras.voxels.size());
  std::vector<VoxelizeCounts> counts(clouds.size());
  std::int32_t num_voxels = 0;
  const Staged<VoxelizeCounts> device_counts(context, counts.data(), counts.size());
  const Staged<std::int32_t> device_num(context, &num_voxels, 1);
  const Buffer workspace = named_buffer(context, voxelizer.workspace_bytes(), [&] {
    return fmt::format("voxelize: {} points, max_voxels {}, {} clouds", max_points, grid.max_voxels, batch);
  });

  const FeatureSpan features = out.feature_span();
  check(voxelizer.run(context, views, out.indices(), static_cast<float*>(features.data), features.stride,
                      device_num.data(), device_counts.data(), {workspace.data(), workspace.bytes()},
                      {ids.span(), kept.span(), padded.span()}),
        "voxelize");
  device_counts.download(context, counts.size());
  device_num.download(context, 1);
  out.set_num_voxels(num_voxels);
  const auto rows = static_cast<std::size_t>(num_voxels);
  std::size_t points = 0;
  for (const PointsView& cloud : clouds) points += static_cast<std::size_t>(cloud.num_points);
  ids.download(context, extras.point_voxel_id.empty() ? 0 : points);
  kept.download(context, extras.points_per_voxel.empty() ? 0 : rows);
  padded.download(context, extras.voxels.empty()
                               ? 0
                               : rows * static_cast<std::size_t>(grid.max_points_per_voxel) *
                                     static_cast<std::size_t>(clouds[0].columns));
  return counts;
}

}  // namespace voxgemm
