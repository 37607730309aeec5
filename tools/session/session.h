// Session: one engine, its memory and one frame at a time, timed. On CUDA voxeliser and engine stay on the
// device, in one graph when the options ask for it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/session/frames.h"
#include "tools/session/options.h"
#include "voxgemm/context.h"
#include "voxgemm/cuda_graph.h"
#include "voxgemm/engine.h"
#include "voxgemm/network.h"
#include "voxgemm/profile.h"
#include "voxgemm/voxelize.h"

namespace voxgemm::tools {

/// A network whose capacities and scales were taken from frames. Independent of kernels and threads.
struct PreparedNetwork {
  Network network;
  ScaleTable scales;  ///< empty for float32
};
/// Seeded weights, min-max scales (when `calibrate`), capacities recorded with some headroom; the input's has
/// none: it is the limit of voxels, or the points or voxels of the largest frame when those are fewer.
PreparedNetwork prepare_network(Context& context, const WorkOptions& options,
                                std::span<const InputFrame> frames, bool calibrate);

/// The context that runs the engine. Throws kInvalidArgument for --graph without CUDA and for fp16 on the
/// CPU, kUnsupported or kDevice when the build or the machine has no CUDA.
Context make_context(const WorkOptions& options);

/// Microseconds of one frame. On CUDA by events on the device, points or voxels lying there already; NaN for
/// parts of a whole frame that one graph runs.
struct FrameTimes {
  double voxelize = 0.0;
  double engine = 0.0;
  double frame = 0.0;
};

class Session {
 public:
  /// Builds the engine with every kernel choice of the options. The context must outlive the session.
  Session(Context& context, const PreparedNetwork& prepared, const WorkOptions& options, Precision precision);

  [[nodiscard]] const Engine& engine() const { return engine_; }
  /// Voxelises (when the frame has points) and runs. Throws Error when a status is not ok.
  FrameTimes run(const InputFrame& frame);
  /// The same with a time for every step: on CUDA events stand between the steps, which keeps those that
  /// would run side by side apart.
  FrameTimes run_parts(const InputFrame& frame);
  /// Microseconds of a step in the last run_parts().
  [[nodiscard]] double step_microseconds(std::size_t step) const {
    return timer_.microseconds(static_cast<std::int32_t>(step));
  }
  /// Every step of the last run_parts(): rows, pairs, times. Throws kCapacity and others that a CUDA device
  /// reports late.
  [[nodiscard]] std::vector<StepProfile> profile();
  /// FNV-1a, 64 bits, over the bytes of every output of the last run.
  [[nodiscard]] std::uint64_t checksum();
  /// True when an output value of the last run is NaN or infinite.
  [[nodiscard]] bool has_not_finite();
  [[nodiscard]] std::size_t workspace_bytes() const { return workspace_.bytes(); }
  /// Nodes of the graph that the last run() replayed; 0 without one.
  [[nodiscard]] std::size_t graph_nodes() const { return graph_nodes_; }

 private:
  [[nodiscard]] std::vector<std::vector<std::byte>> outputs_on_host();
  [[nodiscard]] Workspace workspace() const { return {workspace_.data(), workspace_.bytes()}; }
  void load(const InputFrame& frame);
  void load_points(const InputFrame& frame);
  [[nodiscard]] Status enqueue_voxelizer();
  [[nodiscard]] Status enqueue_engine(StepListener* listener);
  FrameTimes run_on_cpu(const InputFrame& frame, bool parts);
  FrameTimes run_on_cuda(const InputFrame& frame, bool parts);
  const CapturedGraph& graph_of(bool parts);

  Context& context_;
  Engine engine_;
  VoxelGrid grid_;
  bool cuda_ = false;
  bool graph_ = false;
  Buffer workspace_;
  Buffer voxelize_workspace_;
  Buffer points_;  // device copy of the cloud (CUDA)
  Buffer indices_;
  Buffer features_;
  Buffer count_;
  std::vector<Buffer> outputs_;
  std::vector<Buffer> output_counts_;
  std::vector<OutputBinding> bindings_;
  const InputFrame* loaded_ = nullptr;
  PointsView cloud_{};  // empty when the frame came as voxels
  std::int64_t planned_points_ = -1;
  std::optional<Voxelizer> voxelizer_;
  std::int32_t num_voxels_ = 0;  // CPU; on CUDA the count stays on the device
  // CUDA: a graph binds the number of points, so there is one for each, without and with times of the parts.
  StreamClock clock_;
  StepTimer timer_;
  std::map<std::int64_t, CapturedGraph> frame_graphs_;
  std::map<std::int64_t, CapturedGraph> part_graphs_;
  std::size_t graph_nodes_ = 0;
};

/// Sorted sample: value at fraction p of the way, by nearest rank.
double percentile(std::vector<double> sample, double p);

}  // namespace voxgemm::tools
