#include <algorithm>
#include <cstring>

#include "core/parallel.h"
#include "voxelize/cell_grid.h"
#include "voxelize/cpu/partitioned.h"
#include "voxelize/cpu/pipelined.h"
#include "voxelize/cpu/points.h"

namespace voxgemm {
namespace {

// Fewer threads, or fewer points, go block by block: parts are twice the work.
constexpr std::int32_t kMinPartThreads = 6;
constexpr std::int64_t kMinPartPoints = 16 * kMaxVoxelBlock;

struct Memory {
  std::int32_t* kept = nullptr;  // [rows per cloud]
  VoxelBlockMemory blocks;
  PartMemory parts;  // only where they are used
};

class CpuVoxelizer final : public VoxelizerBackend {
 public:
  CpuVoxelizer(const Context& context, const VoxelizePlan& plan)
      : plan_(plan), grid_(make_cell_grid(plan)), threads_(context.threads()) {}

  [[nodiscard]] std::size_t workspace_bytes() const noexcept override {
    Carver carver;
    carve(carver);
    return carver.used();
  }

  Status run(Context& context, std::span<const PointsView> clouds, const VoxelizeOutputs& out,
             Workspace workspace) const noexcept override {
    Carver carver(workspace);
    const Memory memory = carve(carver);
    std::int64_t first_point = 0;
    std::int32_t rows = 0;
    for (std::size_t b = 0; b < clouds.size(); ++b) {
      VoxelizeCounts counts;
      run_cloud(context, clouds[b], rows_of(out, static_cast<std::int32_t>(b), rows, first_point, memory),
                memory, counts);
      if (!out.extras.points_per_voxel.empty()) {
        std::memcpy(out.extras.points_per_voxel.data() + rows, memory.kept,
                    sizeof(std::int32_t) * static_cast<std::size_t>(counts.voxels));
      }
      if (out.counts != nullptr) out.counts[b] = counts;
      rows += counts.voxels;
      first_point += clouds[b].num_points;
    }
    *out.num_voxels = rows;
    return {};
  }

 private:
  static bool in_parts(std::int32_t threads, std::int64_t points) noexcept {
    return threads >= kMinPartThreads && points >= kMinPartPoints;
  }

  Memory carve(Carver& carver) const noexcept {
    const std::int64_t n = plan_.max_points;
    Memory m;
    m.kept = carver.take<std::int32_t>(std::min<std::int64_t>(n, plan_.grid.max_voxels));
    Carver same_place = carver;  // a cloud goes one way or the other
    m.blocks = VoxelBlockMemory::carve(carver, n, plan_.columns, grid_.wide(), threads_);
    if (!in_parts(threads_, n)) return m;
    m.parts = PartMemory::carve(same_place, n, plan_.columns, grid_.wide());
    if (same_place.used() > carver.used()) carver = same_place;
    return m;
  }

  [[nodiscard]] VoxelRows rows_of(const VoxelizeOutputs& out, std::int32_t batch, std::int32_t row,
                                  std::int64_t first_point, const Memory& memory) const noexcept {
    VoxelRows rows{.y_shift = grid_.y_shift,
                   .z_shift = grid_.z_shift,
                   .columns = plan_.columns,
                   .batch = batch,
                   .max_voxels = plan_.grid.max_voxels,
                   .max_points = plan_.grid.max_points_per_voxel,
                   .row_base = row,
                   .indices = out.indices + std::int64_t{4} * row,
                   .features = out.features + out.stride * row,
                   .stride = out.stride,
                   .kept = memory.kept};
    if (!out.extras.voxels.empty()) {
      rows.padded = out.extras.voxels.data() + std::int64_t{row} * rows.max_points * rows.columns;
    }
    if (!out.extras.point_voxel_id.empty()) {
      rows.point_rows = out.extras.point_voxel_id.data() + first_point;
    }
    return rows;
  }

  void run_cloud(Context& context, const PointsView& cloud, const VoxelRows& rows, const Memory& memory,
                 VoxelizeCounts& counts) const noexcept {
    if (cloud.num_points == 0) return;
    const CpuPoints points(context, grid_, cloud);
    with_threads(context, [&] {
      if (in_parts(std::min(threads_, context.threads()), cloud.num_points)) {
        voxelize_in_parts(context, grid_, points, rows, memory.parts, counts);
      } else {
        voxelize_blocks(context, grid_, points, rows, memory.blocks, counts);
      }
    });
  }

  VoxelizePlan plan_;
  CellGrid grid_{};
  std::int32_t threads_ = 1;  // planned for
};

}  // namespace

std::unique_ptr<VoxelizerBackend> make_cpu_voxelizer(Context& context, const VoxelizePlan& plan) {
  return std::make_unique<CpuVoxelizer>(context, plan);
}

}  // namespace voxgemm
