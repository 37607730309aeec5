// Insides of an Engine: a flat list of steps over tensors that lie in one arena, and one pair network.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "pairs/pair_network.h"
#include "voxgemm/engine.h"
#include "voxgemm/implicit_gemm.h"

namespace voxgemm {

/// A feature matrix that a step reads or writes.
struct Tensor {
  std::int32_t level = -1;    ///< level of the pair network whose rows it has; -1 = one row per batch entry
  std::int32_t capacity = 0;  ///< rows
  std::int32_t channels = 0;
  std::int64_t stride = 0;  ///< elements
  DType dtype = DType::kInt8;
  float scale = 1.0F;        ///< int8 only
  std::int32_t output = -1;  ///< lies in this output's binding; -1 = in the arena
  std::size_t offset = 0;    ///< bytes into the arena
};

/// All maps, every level.
struct PairsStep {};
/// The caller's features as the engine stores them: quantised, widened or copied.
struct InputStep {
  std::int32_t out = -1;
};
struct GemmStep {
  std::int32_t plan = -1;
  std::int32_t map = -1;
  bool inverse = false;
  std::int32_t in = -1;
  std::int32_t residual = -1;
  std::int32_t out = -1;
  std::size_t scratch = 0;
  std::size_t scratch_bytes = 0;
};
struct AddStep {
  std::int32_t a = -1;
  std::int32_t b = -1;
  std::int32_t out = -1;
  float a_factor = 1.0F;
  float b_factor = 1.0F;
  Activation activation = Activation::kNone;
};
struct ReluStep {
  std::int32_t in = -1;
  std::int32_t out = -1;
};
struct PoolStep {
  std::int32_t map = -1;
  std::int32_t in = -1;
  std::int32_t out = -1;
  PoolOptions options{};
};
struct ConcatStep {
  std::vector<std::int32_t> in;
  std::int32_t out = -1;
};
/// Copies or changes dtype: int8 is dequantised, float16 and float32 convert.
struct ConvertStep {
  std::int32_t in = -1;
  std::int32_t out = -1;
};
struct ScatterStep {
  std::int32_t in = -1;
  std::int32_t output = -1;
  DenseLayout layout = DenseLayout::kNCHW;
};
struct GlobalPoolStep {
  std::int32_t in = -1;
  std::int32_t out = -1;
  PoolKind kind = PoolKind::kMax;
};
/// Coordinates and row count of a sparse output.
struct SitesStep {
  std::int32_t level = -1;
  std::int32_t output = -1;
};

using Step = std::variant<PairsStep, InputStep, GemmStep, AddStep, ReluStep, PoolStep, ConcatStep,
                          ConvertStep, ScatterStep, GlobalPoolStep, SitesStep>;

/// Most values that one concat joins.
inline constexpr std::size_t kMaxConcat = 16;

struct Level {
  Dims shape{};
  std::int32_t batch_size = 1;
  std::int32_t capacity = 0;
};

struct Engine::Impl {
  explicit Impl(Context& context) : device(context.device()), pairs(context) {}

  Device device{};
  EngineOptions options{};
  PairNetwork pairs;
  InputRows input_rows = InputRows::kAsGiven;  ///< order of level 0 inside; the caller's outside
  std::vector<Level> levels;
  std::vector<Tensor> tensors;
  std::vector<ImplicitGemm> plans;
  std::vector<Step> steps;
  std::vector<StepInfo> infos;            ///< [steps]
  std::vector<std::int32_t> made;         ///< [steps] sparse tensor that the step makes, or -1
  std::vector<std::int32_t> step_of_map;  ///< step that first reads each map: blamed for an overflow
  std::vector<OutputInfo> outputs;
  std::int32_t input_channels = 0;
  float input_scale = 1.0F;
  std::size_t pairs_bytes = 0;  ///< the arena starts here in the workspace
  std::size_t arena_bytes = 0;

  [[nodiscard]] const Tensor& tensor(std::int32_t id) const { return tensors[static_cast<std::size_t>(id)]; }
};

}  // namespace voxgemm
