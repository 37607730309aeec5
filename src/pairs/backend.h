// What a PairNetwork plans, as plain data, and the backend that builds it on one device.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pairs/pair_network.h"
#include "voxgemm/indice_pairs.h"

namespace voxgemm {

struct LevelPlan {
  Dims shape{};
  std::int32_t batch_size = 1;
  std::int32_t capacity = 0;
  std::int32_t made_by = -1;             ///< map whose output sites these are; -1 = the input
  InputRows rows = InputRows::kAsGiven;  ///< of the input
};

struct MapPlan {
  ConvGeometry geometry{};  ///< normalized
  std::int32_t in_level = 0;
  std::int32_t out_level = 0;  ///< == in_level for kSubm
  PairOptions options{};       ///< forms of all readers, united
  std::string layer;           ///< that asked for it first; "" = none

  /// "layer 'down': the kernel map", "the kernel map"
  [[nodiscard]] std::string title() const {
    return (layer.empty() ? "" : "layer '" + layer + "': ") + "the kernel map";
  }
};

struct PairPlan {
  std::vector<LevelPlan> levels;
  std::vector<MapPlan> maps;  ///< in an order in which every in_level is made before it is read
};

/// What prepare() writes last and a run compares before it believes its workspace. CUDA: the device does
/// both; the host cannot look without waiting for it.
struct Stamp {
  std::uint64_t* at = nullptr;
  std::uint64_t value = 0;
};

/// One device's way to build a plan. Methods mirror PairNetwork's; workspaces begin behind the stamp.
class PairBackend {
 public:
  virtual ~PairBackend() = default;
  [[nodiscard]] virtual std::size_t workspace_bytes() const = 0;
  [[nodiscard]] virtual std::string describe_level(std::int32_t level) const = 0;
  virtual Status prepare(Context& context, const Stamp& stamp, Workspace workspace) const noexcept = 0;
  virtual Status run(Context& context, const std::int32_t* indices, std::int32_t n,
                     const std::int32_t* device_n, const Stamp& stamp,
                     Workspace workspace) const noexcept = 0;
  [[nodiscard]] virtual IndicePairsView map_view(std::int32_t map, Workspace workspace) const noexcept = 0;
  [[nodiscard]] virtual LevelView level_view(std::int32_t level, Workspace workspace) const noexcept = 0;
  [[nodiscard]] virtual std::int64_t num_pairs(std::int32_t map, Workspace workspace) const noexcept = 0;
  virtual Status status(Context& context, Workspace workspace) const noexcept = 0;
};

/// Throw kUnsupported when no structure takes the plan (named layer, value, limit).
std::unique_ptr<PairBackend> make_cpu_pair_backend(Context& context, PairPlan plan);
std::unique_ptr<PairBackend> make_cuda_pair_backend(Context& context, PairPlan plan);  // CUDA builds only

}  // namespace voxgemm
