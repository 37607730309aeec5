// Where an engine's values lie: in the arena, in columns of a concat's result, or in the caller's outputs.
#include <algorithm>

#include "engine/lowering.h"

namespace voxgemm {
namespace {

constexpr std::size_t kSliceAlignment = 16;

}  // namespace

/// A sparse value whose only use is to be one output is made where the caller wants it, if its rows are in
/// the caller's order.
bool Lowering::lies_in_output(std::int32_t id) {
  const ValueFacts& facts = value(id);
  if (engine_.input_rows == InputRows::kByKey && level_of(node(id).sites) == 0) return false;
  return !options_.keep_all_values && facts.readers.empty() && facts.outputs.size() == 1 &&
         facts.dtype == options_.output_dtype;
}

std::int32_t Lowering::add_tensor(std::int32_t level, std::int32_t channels, std::int64_t stride, DType dtype,
                                  float scale) {
  Tensor tensor;
  tensor.level = level;
  const Level& rows = engine_.levels[static_cast<std::size_t>(std::max(level, 0))];
  tensor.capacity = level >= 0 ? rows.capacity : rows.batch_size;
  tensor.channels = channels;
  tensor.stride = stride;
  tensor.dtype = dtype;
  tensor.scale = scale;
  engine_.tensors.push_back(tensor);
  buffer_of_.push_back(-1);
  whole_of_.push_back(-1);
  return static_cast<std::int32_t>(engine_.tensors.size()) - 1;
}

void Lowering::make_tensors() {
  for (const FusedNode& fused : fused_) {
    const Node& out = node(fused.output);
    if (out.sites < 0) continue;
    ValueFacts& facts = value(fused.output);
    std::int64_t stride = out.channels;
    for (const std::int32_t reader : facts.readers) {
      const FusedNode& next = fused_[static_cast<std::size_t>(reader)];
      const std::int32_t plan = plan_of_[static_cast<std::size_t>(reader)];
      if (plan < 0 || next.inputs.front() != fused.output) continue;
      stride = std::max(stride, engine_.plans[static_cast<std::size_t>(plan)].preferred_in_stride());
    }
    const float scale = facts.dtype == DType::kInt8 ? scales_[static_cast<std::size_t>(fused.output)] : 1.0F;
    facts.tensor = add_tensor(level_of(out.sites), out.channels, stride, facts.dtype, scale);
    if (lies_in_output(fused.output)) {
      engine_.tensors.back().output = facts.outputs.front();
      engine_.tensors.back().stride = out.channels;
    }
  }
}

/// Slices keep 16-byte alignment, which vector loads and asynchronous copies like. The input is excluded: it
/// is quantised with its padding columns, which would be columns of others.
bool Lowering::can_slice(const FusedNode& fused) {
  const std::int32_t whole = value(fused.output).tensor;
  const Tensor& out = engine_.tensor(whole);
  const auto aligned = [&](std::int64_t columns) {
    return static_cast<std::size_t>(columns) * size_of(out.dtype) % kSliceAlignment == 0;
  };
  if (out.output >= 0 || !aligned(out.stride)) return false;
  for (std::size_t i = 0; i < fused.inputs.size(); ++i) {
    const std::int32_t in = fused.inputs[i];
    const std::int32_t tensor = value(in).tensor;
    const bool repeated = std::count(fused.inputs.begin(), fused.inputs.end(), in) > 1;
    if (repeated || node(in).kind == NodeKind::kInput || whole_of_[static_cast<std::size_t>(tensor)] >= 0 ||
        engine_.tensor(tensor).output >= 0 || !aligned(node(in).channels)) {
      return false;
    }
  }
  return true;
}

void Lowering::slice_concats() {
  for (const FusedNode& fused : fused_) {
    if (node(fused.main).kind != NodeKind::kConcat || !can_slice(fused)) continue;
    const std::int32_t whole = value(fused.output).tensor;
    const std::int64_t stride = engine_.tensor(whole).stride;
    std::size_t offset = 0;
    whole_of_[static_cast<std::size_t>(whole)] = whole;
    for (const std::int32_t in : fused.inputs) {
      const std::int32_t id = value(in).tensor;
      Tensor& slice = engine_.tensors[static_cast<std::size_t>(id)];
      whole_of_[static_cast<std::size_t>(id)] = whole;
      slice.stride = stride;
      slice.offset = offset;
      offset += static_cast<std::size_t>(slice.channels) * size_of(slice.dtype);
    }
  }
}

/// Buffer of a tensor in the arena: its own, its concat result's, or the one that it took over.
std::int32_t Lowering::buffer_for(std::int32_t tensor, std::int32_t now) {
  const std::int32_t whole = whole_of_[static_cast<std::size_t>(tensor)];
  std::int32_t& own = buffer_of_[static_cast<std::size_t>(tensor)];
  if (own >= 0) return own;
  if (whole >= 0 && whole != tensor) return own = buffer_for(whole, now);
  const Tensor& t = engine_.tensor(tensor);
  const std::size_t bytes =
      static_cast<std::size_t>(t.capacity) * static_cast<std::size_t>(t.stride) * size_of(t.dtype);
  buffers_.push_back({bytes, now, now});
  return own = static_cast<std::int32_t>(buffers_.size()) - 1;
}

/// The last reader of a residual may write over it: row by row, each element is read before it is written.
bool Lowering::may_overwrite(const FusedNode& fused, std::size_t index, const GemmStep& step) {
  const ValueFacts& skip = value(fused.residual);
  const bool last = skip.readers.back() == static_cast<std::int32_t>(index) && skip.outputs.empty();
  const Tensor& from = engine_.tensor(step.residual);
  const Tensor& to = engine_.tensor(step.out);
  const bool whole = whole_of_[static_cast<std::size_t>(step.residual)] < 0 &&
                     whole_of_[static_cast<std::size_t>(step.out)] < 0;
  return last && whole && !options_.keep_all_values && step.residual != step.in && from.dtype == to.dtype &&
         from.stride == to.stride && from.output < 0 && to.output < 0;
}

void Lowering::place() {
  const MemoryPlan plan = plan_memory(buffers_, !options_.keep_all_values);
  for (std::size_t i = 0; i < engine_.tensors.size(); ++i) {
    if (buffer_of_[i] >= 0) {
      engine_.tensors[i].offset += plan.offsets[static_cast<std::size_t>(buffer_of_[i])];
    }
  }
  for (std::size_t i = 0; i < engine_.steps.size(); ++i) {
    if (scratch_of_[i] < 0) continue;
    std::get<GemmStep>(engine_.steps[i]).scratch = plan.offsets[static_cast<std::size_t>(scratch_of_[i])];
  }
  engine_.arena_bytes = plan.bytes;
  engine_.pairs_bytes = align_up(engine_.pairs.workspace_bytes());
}

}  // namespace voxgemm
