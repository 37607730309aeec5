// Runs frames from host memory through an engine that keeps every value: calibration and comparison.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "calibration/host_value.h"
#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"
#include "voxgemm/network.h"

namespace voxgemm {

/// Copies a frame to the context's device and validates its coordinates. Throws kShape naming the lengths.
SparseTensor upload_frame(Context& context, const Dims& spatial_shape, std::int32_t batch_size,
                          std::int32_t channels, const Frame& frame);

/// Engine of `network` with capacities that fit all of `frames`, whatever the network has recorded.
class FrameRunner {
 public:
  FrameRunner(Context& context, const Network& network, const ScaleTable& scales, Precision precision,
              std::span<const Frame> frames);

  /// Throws when the frame does not run through.
  void run(const Frame& frame);
  /// Value that `step` made in the last run; empty when it makes no sparse one.
  [[nodiscard]] HostValue value(std::int32_t step) const;
  [[nodiscard]] const Engine& engine() const { return *engine_; }

 private:
  Context& context_;
  Dims shape_{};
  std::int32_t batch_size_ = 1;
  std::int32_t channels_ = 0;
  std::optional<Engine> engine_;
  Buffer workspace_;
  std::vector<Buffer> outputs_;
  std::vector<OutputBinding> bindings_;
  SparseTensor input_;
};

}  // namespace voxgemm
