#include <cmath>
#include <limits>

#include "kernels/voxelize/voxelize.h"

namespace voxgemm {
namespace {

inline bool all_finite(const float* point, std::int32_t columns) {
  bool finite = true;
  for (std::int32_t c = 0; c < columns; ++c) {
    finite &= std::fabs(point[c]) <= std::numeric_limits<float>::max();
  }
  return finite;
}

inline std::uint64_t cell_of(const CellGrid& grid, const float* point) {
  std::array<std::uint64_t, 3> at{};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const float c = std::floor((point[axis] - grid.min[axis]) / grid.size[axis]);
    if (!(c >= 0.0F && c < static_cast<float>(grid.cells[axis]))) return kCellOutside;
    at[axis] = static_cast<std::uint64_t>(c);
  }
  return at[2] << grid.z_shift | at[1] << grid.y_shift | at[0];
}

}  // namespace

void scalar_voxel_cells(const VoxelCellsArgs& a, RowRange range, Exec) noexcept {
  for (std::int64_t i = range.begin; i < range.end; ++i) {
    const float* point = a.points + i * a.stride;
    a.cells[i] = all_finite(point, a.columns) ? cell_of(a.grid, point) : kCellNotFinite;
  }
}

}  // namespace voxgemm
