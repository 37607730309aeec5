// What the kernels of both devices know of a voxel grid.
#pragma once

#include "kernels/voxelize/voxelize.h"
#include "voxelize/backend.h"

namespace voxgemm {

/// Origin, size and cells of the plan's grid and the bits that number a cell. Throws kUnsupported when a cell
/// needs more than kMaxCellBits.
CellGrid make_cell_grid(const VoxelizePlan& plan);

}  // namespace voxgemm
