#include "voxelize/cell_grid.h"

#include <fmt/format.h>

#include <bit>

namespace voxgemm {

CellGrid make_cell_grid(const VoxelizePlan& plan) {
  CellGrid grid{};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    grid.min[axis] = plan.grid.min_xyz[axis];
    grid.size[axis] = plan.grid.voxel_size_xyz[axis];
    grid.cells[axis] = plan.grid_zyx[static_cast<int>(2 - axis)];
  }
  const auto bits = [&](std::size_t axis) {
    return static_cast<std::int32_t>(std::bit_width(static_cast<std::uint32_t>(grid.cells[axis] - 1)));
  };
  grid.y_shift = bits(0);
  grid.z_shift = bits(0) + bits(1);
  grid.bits = bits(0) + bits(1) + bits(2);
  if (grid.bits > kMaxCellBits) {
    throw Error(ErrorCode::kUnsupported, fmt::format("voxel grid {} needs {} bits per cell, limit {}",
                                                     to_string(plan.grid_zyx), grid.bits, kMaxCellBits));
  }
  return grid;
}

}  // namespace voxgemm
