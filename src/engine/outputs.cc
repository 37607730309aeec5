// The tail of an engine: what stands between the last values and the caller's memory.
//
// A dense float output comes from float rows: the last convolution writes them itself, or the sparse rows are
// dequantised. Scattering int8 and dequantising the dense array would pass over every cell twice, while rows
// are far fewer than cells.
#include <algorithm>
#include <utility>

#include "engine/lowering.h"
#include "voxgemm/engine.h"

namespace voxgemm {

/// Tensor of the sparse value `id` in the outputs' dtype; converts once however many outputs want it.
std::int32_t Lowering::in_output_dtype(std::int32_t id) {
  const std::int32_t from = value(id).tensor;
  if (value(id).dtype == options_.output_dtype) return from;
  std::int32_t& known = converted_[static_cast<std::size_t>(id)];
  if (known >= 0) return known;
  const Tensor source = engine_.tensor(from);
  known = add_tensor(source.level, source.channels, source.channels, options_.output_dtype, 1.0F);
  StepInfo info;
  info.name = node(id).name + ".convert";
  info.kind = source.dtype == DType::kInt8 ? "dequantize" : "convert";
  info.c_in = info.c_out = source.channels;
  info.capacity = source.capacity;
  info.precision = precision_name(options_.output_dtype);
  push(ConvertStep{from, known}, std::move(info), known, {from});
  return known;
}

void Lowering::emit_sparse_output(std::int32_t id, std::int32_t output) {
  const std::int32_t from = value(id).tensor;
  const Tensor source = engine_.tensor(from);
  OutputInfo& facts = engine_.outputs.back();
  facts.capacity = source.capacity;
  StepInfo info;
  info.c_in = info.c_out = source.channels;
  info.capacity = source.capacity;
  info.precision = precision_name(options_.output_dtype);
  if (source.output < 0) {
    const std::int32_t to =
        add_tensor(source.level, source.channels, source.channels, options_.output_dtype, source.scale);
    engine_.tensors.back().output = output;
    info.name = facts.name + ".copy";
    info.kind = source.dtype == options_.output_dtype ? "copy"
                : source.dtype == DType::kInt8        ? "dequantize"
                                                      : "convert";
    push(ConvertStep{from, to}, info, -1, {from});
  }
  info.name = facts.name + ".sites";
  info.kind = "sites";
  info.precision = "int32";
  push(SitesStep{source.level, output}, std::move(info), -1, {});
}

void Lowering::emit_dense_output(std::int32_t id, std::int32_t output) {
  const Node& tail = node(id);
  const std::int32_t from = in_output_dtype(tail.inputs.front());
  const Tensor source = engine_.tensor(from);
  OutputInfo& facts = engine_.outputs.back();
  facts.dense = true;
  facts.layout = tail.layout;
  StepInfo info;
  info.name = tail.name;
  info.kind = kind_name(tail.kind, {});
  info.c_in = info.c_out = source.channels;
  info.precision = precision_name(options_.output_dtype);
  if (tail.kind == NodeKind::kToDense) {
    info.capacity = source.capacity;
    push(ScatterStep{from, output, tail.layout}, std::move(info), -1, {from});
    return;
  }
  facts.spatial_shape = Dims{};
  const std::int32_t out = add_tensor(-1, source.channels, source.channels, source.dtype, source.scale);
  engine_.tensors.back().output = output;
  info.capacity = engine_.tensors.back().capacity;
  push(GlobalPoolStep{from, out, tail.pool_kind}, std::move(info), -1, {from});
}

void Lowering::emit_outputs() {
  for (std::size_t i = 0; i < net_.outputs.size(); ++i) {
    const std::int32_t id = net_.outputs[i].node;
    const Node& made = node(id);
    const std::int32_t source = made.sites >= 0 ? id : made.inputs.front();
    const SiteSet& sites = net_.site_set(node(source).sites);
    OutputInfo facts;
    facts.name = net_.outputs[i].name;
    facts.spatial_shape = sites.shape;
    facts.batch_size = sites.batch_size;
    facts.channels = made.channels;
    facts.dtype = options_.output_dtype;
    if (options_.output_dtype == DType::kInt8) facts.scale = scales_[static_cast<std::size_t>(source)];
    engine_.outputs.push_back(std::move(facts));
    const auto output = static_cast<std::int32_t>(i);
    if (made.sites >= 0) {
      emit_sparse_output(id, output);
    } else {
      emit_dense_output(id, output);
    }
  }
}

}  // namespace voxgemm
