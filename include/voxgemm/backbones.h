// Published backbones, for benches, tests and first steps.
#pragma once

#include <cstdint>

#include "voxgemm/network.h"
#include "voxgemm/operators.h"
#include "voxgemm/types.h"

namespace voxgemm {

/// Published backbones with seeded weights, reproducible on every machine: He-uniform, biases within +-16
/// (the order of raw metric features, as a folded batch norm leaves them).
struct BackboneOptions {
  std::int32_t in_channels = 5;
  Dims spatial_shape{41, 1440, 1440};
  std::int32_t batch_size = 1;
  std::int32_t capacity = 160000;
  std::uint64_t seed = 1;
  DenseLayout layout = DenseLayout::kNCHW;
  bool dense_output = true;  ///< false: the sparse output of the last layer
};
// The input has `capacity` rows, every other level Network's default: 2 * capacity, within its cells.
/// SECOND's VoxelBackBone8x: 12 convolutions, 8 kernel maps.
VOXGEMM_API Network make_second_backbone(const BackboneOptions& options);
/// CenterPoint's VoxelResBackBone8x: 21 convolutions, 8 kernel maps, 8 residual adds.
VOXGEMM_API Network make_centerpoint_backbone(const BackboneOptions& options);

}  // namespace voxgemm
