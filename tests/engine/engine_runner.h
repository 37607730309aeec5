// Builds an engine, gives it guarded memory and runs frames through it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"
#include "voxgemm/network.h"
#include "voxgemm/sparse_tensor.h"

namespace voxgemm::test {

/// Byte that every output row holds before a run; rows beyond the real count must keep it.
inline constexpr unsigned char kSentinel = 0xA5;

struct RunOutput {
  std::vector<std::byte> features;    ///< whole binding, unused rows included
  std::vector<std::int32_t> indices;  ///< [capacity][1+ndim], unused rows hold the sentinel
  std::int32_t num_voxels = -1;
  template <typename T>
  [[nodiscard]] const T* as() const {
    return reinterpret_cast<const T*>(features.data());
  }
};

struct RunResult {
  Status status;
  std::vector<RunOutput> outputs;
};

/// What the rows of the input beyond num_voxels, and the columns beyond its channels, are filled with.
enum class Padding : std::uint8_t { kZero, kSevenF, kNaN };

/// One engine with one workspace and one set of bindings (CPU).
class EngineRunner {
 public:
  EngineRunner(Context& context, std::shared_ptr<const Engine> engine);
  static std::shared_ptr<const Engine> build(Context& context, const Network& network,
                                             const ScaleTable& scales, const EngineOptions& options = {});

  /// Pads the frame's input to the engine's capacity with `padding`.
  RunResult run(const Frame& frame, Padding padding = Padding::kZero);
  /// The frame exactly as it is, without any room behind it.
  RunResult run_unpadded(const Frame& frame);
  RunResult run_view(const SparseTensorView& input);
  [[nodiscard]] const Engine& engine() const { return *engine_; }
  [[nodiscard]] Workspace workspace() { return {workspace_.data(), workspace_.bytes()}; }
  [[nodiscard]] std::vector<OutputBinding> bindings(std::vector<RunOutput>& outputs) const;
  [[nodiscard]] std::vector<RunOutput> fresh_outputs() const;
  [[nodiscard]] SparseTensorView view_of(const Frame& frame) const;

 private:
  Context& context_;
  std::shared_ptr<const Engine> engine_;
  Buffer workspace_;
};

/// `n` unique random sites (clusters along surfaces) with features in about [-2, 2].
Frame random_frame(const Dims& shape, std::int32_t batch_size, std::int32_t channels, std::int32_t n,
                   std::uint32_t seed);

/// Float weights in [-0.3, 0.3], one bias per channel.
ConvLayer random_conv(const std::string& name, const ConvGeometry& geometry, std::int32_t c_in,
                      std::int32_t c_out, std::uint32_t seed, Activation activation = Activation::kNone,
                      const std::string& key = "");

}  // namespace voxgemm::test
