// From a network to an engine's steps: dtypes, plans, strides, places. Used by Engine::build alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/engine_impl.h"
#include "engine/memory_plan.h"
#include "graph/nodes.h"
#include "voxgemm/engine.h"

namespace voxgemm {

/// One network on its way to being an engine. Methods run in the order in which they stand.
class Lowering {
 public:
  Lowering(Context& context, const Network::Impl& net, const ScaleTable& scales, const EngineOptions& options,
           Engine::Impl& engine);

  void add_maps();       ///< levels and maps into the pair network
  void choose_dtypes();  ///< of each value; which convolutions emit the output's dtype directly
  void make_plans();     ///< one ImplicitGemm per convolution; forms that the maps must have
  void make_tensors();   ///< stride and place of each value
  void slice_concats();  ///< members of a concat become columns of its result, where alignment allows
  void emit_steps();
  void emit_outputs();  ///< conversion, scatter and copies into the caller's memory
  void place();         ///< arena offsets

 private:
  struct ValueFacts {
    DType dtype = DType::kInt8;
    bool non_negative = false;
    std::int32_t tensor = -1;
    std::vector<std::int32_t> readers;  ///< fused nodes that read it, residuals included
    std::vector<std::int32_t> outputs;  ///< outputs of the network that it is
  };

  [[nodiscard]] const Node& node(std::int32_t id) const { return net_.node(id); }
  ValueFacts& value(std::int32_t id) { return values_[static_cast<std::size_t>(id)]; }
  [[nodiscard]] std::int32_t level_of(std::int32_t sites) const {
    return level_of_sites_[static_cast<std::size_t>(sites)];
  }
  [[nodiscard]] std::int32_t capacity(std::int32_t sites) const {
    return capacities_[static_cast<std::size_t>(sites)];
  }
  [[nodiscard]] InputRows choose_input_rows() const;
  [[nodiscard]] std::int32_t map_of(const FusedNode& fused) const;
  [[nodiscard]] bool emits_output_dtype(std::int32_t id);
  [[nodiscard]] bool lies_in_output(std::int32_t id);
  [[nodiscard]] bool is_non_negative(const FusedNode& fused);
  [[nodiscard]] bool can_slice(const FusedNode& fused);
  [[nodiscard]] bool may_overwrite(const FusedNode& fused, std::size_t index, const GemmStep& step);
  std::int32_t buffer_for(std::int32_t tensor, std::int32_t now);
  void make_plan(const FusedNode& fused);
  std::int32_t add_tensor(std::int32_t level, std::int32_t channels, std::int64_t stride, DType dtype,
                          float scale);
  void emit(const FusedNode& fused);
  Step gemm_step(const FusedNode& fused, StepInfo& info);
  /// Appends a step that makes tensor `out` (or -1) and reads `reads`.
  void push(Step step, StepInfo info, std::int32_t out, const std::vector<std::int32_t>& reads);
  std::int32_t in_output_dtype(std::int32_t id);
  void emit_sparse_output(std::int32_t id, std::int32_t output);
  void emit_dense_output(std::int32_t id, std::int32_t output);
  [[nodiscard]] StepInfo info_for(const FusedNode& fused, const Tensor& out) const;

  Context& context_;
  const Network::Impl& net_;
  const EngineOptions& options_;
  Engine::Impl& engine_;
  std::vector<FusedNode> fused_;
  std::vector<std::int32_t> capacities_;  // rows per site set
  std::vector<float> scales_;             // per node; empty unless int8
  std::vector<ValueFacts> values_;        // per node
  std::vector<std::int32_t> level_of_sites_;
  std::vector<std::int32_t> pair_map_;   // network map -> pair network map
  std::vector<std::int32_t> plan_of_;    // per fused node
  std::vector<std::int32_t> converted_;  // per node: tensor in the output's dtype, or -1
  std::vector<BufferLife> buffers_;
  std::vector<std::int32_t> buffer_of_;   // per tensor, -1 = not in the arena
  std::vector<std::int32_t> whole_of_;    // per tensor: the concat result it is a slice of, or is; else -1
  std::vector<std::int32_t> scratch_of_;  // per step: buffer, or -1
};

std::string precision_name(DType dtype);

}  // namespace voxgemm
