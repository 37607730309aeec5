#include "coords/voxelizer_impl.h"

namespace voxgemm {

std::unique_ptr<VoxelizerBackend> make_cuda_voxelizer(Context&, const VoxelizePlan&) {
  throw Error(ErrorCode::kUnsupported, "this build has no CUDA voxeliser");
}

}  // namespace voxgemm
