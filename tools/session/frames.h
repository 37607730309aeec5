// Frames to run: read from files or simulated, voxelised once for calibration and statistics.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "tools/io/points.h"
#include "tools/report/columns.h"
#include "tools/session/options.h"
#include "voxgemm/calibration.h"
#include "voxgemm/context.h"
#include "voxgemm/voxelize.h"

namespace voxgemm::tools {

/// One frame. `cloud` is empty when the voxels came from a file.
struct InputFrame {
  std::string source;               ///< file name, or "simulated, seed 3"
  PointCloud cloud;                 ///< columns in channel order
  std::vector<ColumnRange> ranges;  ///< of the columns as read, or of the features of --indices
  std::int64_t too_near = 0;        ///< points that --min-distance dropped; not in `counts`
  VoxelizeCounts counts{};
  Frame frame;  ///< voxels in host memory
  std::int32_t channels = 0;
  std::int32_t batch_size = 1;

  [[nodiscard]] PointsView points() const;
  /// By column letter; of --indices "c0", "c1", ...
  [[nodiscard]] std::vector<std::string> channel_names() const;
};

/// The frame that the options ask for; a simulated one when no file is named. Throws kIo, kShape,
/// kOutOfRange, kDuplicate, kInvalidArgument (a feature that is not finite, a frame without voxels).
InputFrame load_frame(Context& context, const WorkOptions& options);

/// Voxelises frame.cloud into frame.frame and frame.counts.
void voxelize_frame(Context& context, const WorkOptions& options, InputFrame& frame);

}  // namespace voxgemm::tools
