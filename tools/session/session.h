// Session: one engine, its memory and one frame at a time, timed.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tools/session/frames.h"
#include "tools/session/options.h"
#include "voxgemm/context.h"
#include "voxgemm/network.h"
#include "voxgemm/voxelize.h"

namespace voxgemm::tools {

/// A network whose capacities and scales were taken from frames. Independent of kernels and threads.
struct PreparedNetwork {
  Network network;
  ScaleTable scales;  ///< empty for float32
};
/// Seeded weights, capacities recorded with some headroom, min-max scales (when `calibrate`).
PreparedNetwork prepare_network(Context& context, const WorkOptions& options,
                                std::span<const InputFrame> frames, bool calibrate);

/// Microseconds of one frame.
struct FrameTimes {
  double voxelize = 0.0;
  double engine = 0.0;
};

class Session {
 public:
  /// Builds the engine with every kernel choice of the options. The context must outlive the session.
  Session(Context& context, const PreparedNetwork& prepared, const WorkOptions& options, Precision precision,
          bool profile);

  [[nodiscard]] const Engine& engine() const { return engine_; }
  /// Voxelises (when the frame has points) and runs. Throws Error when a status is not ok.
  FrameTimes run(const InputFrame& frame, std::span<StepProfile> profile = {});
  /// Voxels of the frame that run() saw last.
  [[nodiscard]] std::int32_t num_voxels() const { return num_voxels_; }
  /// FNV-1a, 64 bits, over the bytes of every output of the last run.
  [[nodiscard]] std::uint64_t checksum();
  /// True when an output value of the last run is NaN or infinite.
  [[nodiscard]] bool has_not_finite();
  [[nodiscard]] std::size_t workspace_bytes() const { return workspace_.bytes(); }

 private:
  [[nodiscard]] std::vector<std::vector<std::byte>> outputs_on_host();

  Context& context_;
  Engine engine_;
  VoxelGrid grid_;
  Buffer workspace_;
  Buffer voxelize_workspace_;
  Buffer points_;  // device copy of the cloud (CUDA)
  Buffer indices_;
  Buffer features_;
  Buffer count_;
  std::vector<Buffer> outputs_;
  std::vector<Buffer> output_counts_;
  std::vector<OutputBinding> bindings_;
  std::int32_t num_voxels_ = 0;
};

/// Sorted sample: value at fraction p of the way, by nearest rank.
double percentile(std::vector<double> sample, double p);

}  // namespace voxgemm::tools
