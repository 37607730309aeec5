#include <array>

#include "kernels/voxelize/voxelize.h"

namespace voxgemm {
namespace {

constexpr auto kVoxelCellsKernels = std::to_array<VoxelCellsKernel>({
#ifdef __x86_64__
    {"avx512_voxel_cells", Isa::kAvx512, avx512_voxel_cells},
    {"avx2_voxel_cells", Isa::kAvx2, avx2_voxel_cells},
#endif
    {"scalar_voxel_cells", Isa::kScalar, scalar_voxel_cells},
});

}  // namespace

std::span<const VoxelCellsKernel> voxel_cells_kernels() { return kVoxelCellsKernels; }

}  // namespace voxgemm
