// Active voxels and pairs of every kernel map of the two backbones, without running a network.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/session/frames.h"
#include "voxgemm/calibration.h"
#include "voxgemm/context.h"
#include "voxgemm/types.h"

namespace voxgemm::tools {

struct Stage {
  std::string name;  ///< "stage 1", "down 1", ..., "stage 4", "out"
  std::int32_t n_out = 0;
  std::int64_t pairs = 0;

  /// Mean number of active inputs of an output.
  [[nodiscard]] double density() const { return n_out > 0 ? static_cast<double>(pairs) / n_out : 0.0; }
};

/// The 8 kernel maps that SECOND and CenterPoint share: submanifold k3 on four levels, strided k3 s2 between
/// them, (3,1,1) s (2,1,1) at the end. Throws Error when the shape has too few cells.
std::vector<Stage> backbone_stages(Context& context, const Frame& frame, const Dims& spatial_shape,
                                   std::int32_t batch_size);

}  // namespace voxgemm::tools
