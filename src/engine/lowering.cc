#include "engine/lowering.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/check.h"
#include "gemm/scale_rules.h"
#include "gemm/tile_rows.h"
#include "voxgemm/engine.h"
#include "voxgemm/quantize.h"

namespace voxgemm {
namespace {

/// What an inverse convolution asks of the forward map.
PairForms backward(PairForms forms) {
  PairForms result = 0;
  if ((forms & (kPairTable | kPairBackward)) != 0) result |= kPairBackward;
  if ((forms & (kTilePairs | kTilePairsBackward)) != 0) result |= kTilePairsBackward;
  return result;
}

bool is_conv(NodeKind kind) { return kind == NodeKind::kConv || kind == NodeKind::kInverseConv; }
bool is_tail(NodeKind kind) { return kind == NodeKind::kToDense || kind == NodeKind::kGlobalPool; }

DType storage_of(Precision precision) {
  switch (precision) {
    case Precision::kInt8:
      return DType::kInt8;
    case Precision::kFloat16:
      return DType::kFloat16;
    case Precision::kFloat32:
      break;
  }
  return DType::kFloat32;
}

std::vector<float> scales_of_values(const Context& context, const Network::Impl& net,
                                    const std::vector<FusedNode>& fused, const ScaleTable& table) {
  ScaleRemarks remarks;
  std::vector<float> scales = unify_scales(net, fused, table, &remarks);
  if (!remarks.unseen.empty()) {
    context.log(LogLevel::kWarning, fmt::format("never seen in calibration, so their scale is 1: '{}'",
                                                fmt::join(remarks.unseen, "', '")));
  }
  if (!remarks.unused.empty()) {
    context.log(LogLevel::kWarning, fmt::format("entries of the scale table that are not used: {}",
                                                fmt::join(remarks.unused, ", ")));
  }
  return scales;
}

}  // namespace

std::string precision_name(DType dtype) {
  switch (dtype) {
    case DType::kInt8:
      return "int8";
    case DType::kFloat16:
      return "fp16";
    case DType::kFloat32:
      return "fp32";
    case DType::kInt32:
      break;
  }
  return "int32";
}

Lowering::Lowering(Context& context, const Network::Impl& net, const ScaleTable& scales,
                   const EngineOptions& options, Engine::Impl& engine)
    : context_(context),
      net_(net),
      options_(options),
      engine_(engine),
      fused_(fuse(net)),
      capacities_(row_capacities(net)) {
  if (options.precision == Precision::kInt8) scales_ = scales_of_values(context, net, fused_, scales);
  values_.resize(net.nodes.size());
  converted_.assign(net.nodes.size(), -1);
  plan_of_.assign(fused_.size(), -1);
  for (std::size_t i = 0; i < fused_.size(); ++i) {
    const auto reader = static_cast<std::int32_t>(i);
    for (const std::int32_t in : fused_[i].inputs) value(in).readers.push_back(reader);
    if (fused_[i].residual >= 0) value(fused_[i].residual).readers.push_back(reader);
  }
  for (std::size_t i = 0; i < net.outputs.size(); ++i) {
    value(net.outputs[i].node).outputs.push_back(static_cast<std::int32_t>(i));
  }
}

// Neighbours in key order lie close together: maps and gathers find them in the caches. Values that are
// looked at keep the caller's order, and so do averages, whose sums of floats depend on it.
InputRows Lowering::choose_input_rows() const {
  const bool averaged = std::any_of(fused_.begin(), fused_.end(), [&](const FusedNode& fused) {
    const Node& main = node(fused.main);
    return main.kind == NodeKind::kGlobalPool && main.pool_kind == PoolKind::kAverage &&
           node(fused.inputs.front()).sites == 0;
  });
  const bool cpu = engine_.device.kind == DeviceKind::kCpu;
  return cpu && !options_.keep_all_values && !averaged ? InputRows::kByKey : InputRows::kAsGiven;
}

void Lowering::add_maps() {
  level_of_sites_.assign(net_.sites.size(), -1);
  pair_map_.assign(net_.maps.size(), -1);
  std::vector<std::int32_t> widest(net_.maps.size(),
                                   0);  // channels of each map's readers; 0 = nobody reads it
  for (const FusedNode& fused : fused_) {
    const std::int32_t map = node(fused.main).map;
    if (map < 0) continue;
    std::int32_t& channels = widest[static_cast<std::size_t>(map)];
    channels = std::max(channels, node(fused.main).channels);
  }
  const SiteSet& input = net_.site_set(0);
  engine_.input_rows = choose_input_rows();
  level_of_sites_[0] =
      engine_.pairs.add_input(input.shape, input.batch_size, capacity(0), engine_.input_rows);
  engine_.levels.push_back({input.shape, input.batch_size, capacity(0)});
  for (std::size_t i = 0; i < net_.maps.size(); ++i) {
    if (widest[i] == 0) continue;
    const MapNode& map = net_.maps[i];
    PairOptions options;
    options.forms = 0;
    options.order = options_.order;
    options.tile_rows = preferred_tile_rows(widest[i]);
    if (map.out_sites != map.in_sites) {
      options.out_capacity = capacity(map.out_sites);
    }
    pair_map_[i] = engine_.pairs.add_map(level_of(map.in_sites), map.geometry, options, map.first_layer);
    if (map.out_sites == map.in_sites) continue;
    const SiteSet& sites = net_.site_set(map.out_sites);
    level_of_sites_[static_cast<std::size_t>(map.out_sites)] = engine_.pairs.level_of_output(pair_map_[i]);
    engine_.levels.push_back({sites.shape, sites.batch_size, capacity(map.out_sites)});
  }
  engine_.step_of_map.assign(static_cast<std::size_t>(engine_.pairs.num_maps()), 0);
}

std::int32_t Lowering::map_of(const FusedNode& fused) const {
  return pair_map_[static_cast<std::size_t>(node(fused.main).map)];
}

/// True when nothing but the network's outputs reads the value, so that it may have their dtype.
bool Lowering::emits_output_dtype(std::int32_t id) {
  const ValueFacts& facts = value(id);
  return std::all_of(facts.readers.begin(), facts.readers.end(), [&](std::int32_t reader) {
    return is_tail(node(fused_[static_cast<std::size_t>(reader)].main).kind);
  });
}

bool Lowering::is_non_negative(const FusedNode& fused) {
  if (fused.activation == Activation::kReLU || fused.activation == Activation::kSigmoid) return true;
  const NodeKind kind = node(fused.main).kind;
  if (kind == NodeKind::kReLU) return true;
  if (kind != NodeKind::kPool && kind != NodeKind::kConcat) return false;
  return std::all_of(fused.inputs.begin(), fused.inputs.end(),
                     [&](std::int32_t in) { return value(in).non_negative; });
}

void Lowering::choose_dtypes() {
  const DType storage = storage_of(options_.precision);
  for (const FusedNode& fused : fused_) {
    ValueFacts& facts = value(fused.output);
    facts.dtype = storage;
    facts.non_negative = is_non_negative(fused);
    // One rounding less and one pass less: the last convolution writes floats, unless an int8 residual
    // asks for an int8 output.
    if (storage == DType::kInt8 && options_.output_dtype != DType::kInt8 && is_conv(node(fused.main).kind) &&
        fused.residual < 0 && emits_output_dtype(fused.output)) {
      facts.dtype = options_.output_dtype;
    }
  }
}

void Lowering::make_plan(const FusedNode& fused) {
  const Node& main = node(fused.main);
  const std::int32_t in = fused.inputs.front();
  const ValueFacts& from = value(in);
  const DType out_dtype = value(fused.output).dtype;
  ImplicitGemmDesc desc;
  desc.name = fused.name;
  desc.kv = net_.map(main.map).geometry.kernel_volume();
  desc.c_in = node(in).channels;
  desc.c_out = main.channels;
  desc.in_dtype = from.dtype;
  desc.out_dtype = out_dtype;
  desc.has_residual = fused.residual >= 0;
  desc.input_non_negative = from.non_negative;
  desc.max_rows = std::max(capacity(node(in).sites), capacity(main.sites));
  if (from.dtype != DType::kInt8) {
    EpilogueParams epilogue;
    epilogue.bias = main.layer.bias;
    epilogue.beta = 1.0F;
    epilogue.activation = fused.activation;
    epilogue.act_alpha = fused.activation == Activation::kSigmoid ? 1.0F : fused.act_alpha;
    engine_.plans.emplace_back(context_, desc, std::span<const float>(main.layer.weights), epilogue);
    return;
  }
  const QuantizedWeights weights = quantize_weights(main.layer.weights, desc.c_out);
  const float out_scale = out_dtype == DType::kInt8 ? scales_[static_cast<std::size_t>(fused.output)] : 1.0F;
  const float residual_scale = fused.residual >= 0 ? scales_[static_cast<std::size_t>(fused.residual)] : 0.0F;
  const EpilogueParams epilogue =
      make_layer_epilogue(desc.name, scales_[static_cast<std::size_t>(in)], weights.scale, out_scale,
                          main.layer.bias, fused.activation, fused.act_alpha, residual_scale);
  engine_.plans.emplace_back(context_, desc, std::span<const std::int8_t>(weights.values), epilogue);
}

void Lowering::make_plans() {
  for (std::size_t i = 0; i < fused_.size(); ++i) {
    const FusedNode& fused = fused_[i];
    const Node& main = node(fused.main);
    if (main.kind == NodeKind::kPool) engine_.pairs.require_forms(map_of(fused), kPairTable);
    if (!is_conv(main.kind)) continue;
    plan_of_[i] = static_cast<std::int32_t>(engine_.plans.size());
    make_plan(fused);
    const PairForms forms = engine_.plans.back().pair_forms();
    const bool inverse = main.kind == NodeKind::kInverseConv;
    engine_.pairs.require_forms(map_of(fused), inverse ? backward(forms) : forms);
  }
  engine_.pairs.finalize();
}

StepInfo Lowering::info_for(const FusedNode& fused, const Tensor& out) const {
  const Node& main = node(fused.main);
  StepInfo info;
  info.name = fused.name;
  info.kind = kind_name(main.kind, main.map >= 0 ? net_.map(main.map).geometry : ConvGeometry{});
  info.c_in = fused.inputs.empty() ? main.channels : node(fused.inputs.front()).channels;
  info.c_out = out.channels;
  info.capacity = out.capacity;
  info.precision = precision_name(out.dtype);
  if (main.map >= 0) {
    info.kv = net_.map(main.map).geometry.kernel_volume();
    info.pairs = net_.map(main.map).first_layer;
  }
  info.value = node(fused.output).name;
  info.out_scale = out.scale;
  return info;
}

void Lowering::push(Step step, StepInfo info, std::int32_t out, const std::vector<std::int32_t>& reads) {
  const auto now = static_cast<std::int32_t>(engine_.steps.size());
  for (const std::int32_t tensor : reads) {
    const std::int32_t buffer = buffer_of_[static_cast<std::size_t>(tensor)];
    if (buffer >= 0) buffers_[static_cast<std::size_t>(buffer)].last = now;
  }
  if (out >= 0 && engine_.tensor(out).output < 0) {
    const std::int32_t buffer = buffer_for(out, now);
    buffers_[static_cast<std::size_t>(buffer)].last = now;
  }
  engine_.steps.push_back(std::move(step));
  engine_.infos.push_back(std::move(info));
  engine_.made.push_back(out);
  scratch_of_.push_back(-1);
}

Step Lowering::gemm_step(const FusedNode& fused, StepInfo& info) {
  const std::size_t index = static_cast<std::size_t>(&fused - fused_.data());
  const Node& main = node(fused.main);
  GemmStep step;
  step.plan = plan_of_[index];
  step.map = map_of(fused);
  step.inverse = main.kind == NodeKind::kInverseConv;
  step.in = value(fused.inputs.front()).tensor;
  step.out = value(fused.output).tensor;
  const ImplicitGemm& plan = engine_.plans[static_cast<std::size_t>(step.plan)];
  info.kernel = plan.kernel_name();
  info.refused = plan.refused();
  step.scratch_bytes =
      plan.workspace_bytes(engine_.tensor(step.in).capacity, engine_.tensor(step.out).capacity);
  if (fused.residual < 0) return step;
  step.residual = value(fused.residual).tensor;
  if (may_overwrite(fused, index, step)) {
    buffer_of_[static_cast<std::size_t>(step.out)] = buffer_of_[static_cast<std::size_t>(step.residual)];
  }
  return step;
}

void Lowering::emit(const FusedNode& fused) {
  const Node& main = node(fused.main);
  const std::int32_t out = value(fused.output).tensor;
  const Tensor& made = engine_.tensor(out);
  StepInfo info = info_for(fused, made);
  std::vector<std::int32_t> reads;
  for (const std::int32_t in : fused.inputs) reads.push_back(value(in).tensor);
  Step step;
  switch (main.kind) {
    case NodeKind::kInput:
      info.kind = made.dtype == DType::kInt8 ? "quantize" : "convert";
      step = InputStep{out};
      break;
    case NodeKind::kConv:
    case NodeKind::kInverseConv: {
      step = gemm_step(fused, info);
      const auto& gemm = std::get<GemmStep>(step);
      if (gemm.residual >= 0) reads.push_back(gemm.residual);
      break;
    }
    case NodeKind::kAdd: {
      const float scale = made.dtype == DType::kInt8 ? made.scale : 1.0F;
      step = AddStep{reads[0],
                     reads[1],
                     out,
                     scale_ratio(fused.name, "first in_scale", engine_.tensor(reads[0]).scale, scale),
                     scale_ratio(fused.name, "second in_scale", engine_.tensor(reads[1]).scale, scale),
                     fused.activation};
      break;
    }
    case NodeKind::kReLU:
      step = ReluStep{reads[0], out};
      break;
    case NodeKind::kPool:
      step = PoolStep{map_of(fused), reads[0], out, main.pool};
      break;
    case NodeKind::kConcat:
      if (whole_of_[static_cast<std::size_t>(out)] == out) return;  // its members are its columns
      check_layer(reads.size() <= kMaxConcat, ErrorCode::kUnsupported, main.name,
                  "concat of {} values, at most {}", reads.size(), kMaxConcat);
      step = ConcatStep{reads, out};
      break;
    case NodeKind::kGlobalPool:
    case NodeKind::kToDense:
      return;
  }
  if (main.map >= 0) {
    std::int32_t& first = engine_.step_of_map[static_cast<std::size_t>(map_of(fused))];
    if (first == 0) first = static_cast<std::int32_t>(engine_.steps.size());
  }
  push(std::move(step), std::move(info), out, reads);
  if (const auto* gemm = std::get_if<GemmStep>(&engine_.steps.back())) {
    const std::int32_t now = static_cast<std::int32_t>(engine_.steps.size()) - 1;
    if (gemm->scratch_bytes == 0) return;
    scratch_of_.back() = static_cast<std::int32_t>(buffers_.size());
    buffers_.push_back({gemm->scratch_bytes, now, now});
  }
}

void Lowering::emit_steps() {
  StepInfo pairs;
  pairs.name = "pairs";
  pairs.kind = "pairs";
  pairs.precision = "int32";
  pairs.capacity = engine_.levels.front().capacity;
  for (std::size_t level = 0; level < engine_.levels.size(); ++level) {
    const std::string line = engine_.pairs.describe_level(static_cast<std::int32_t>(level));
    const std::string structure = line.substr(0, line.find(':'));
    if (pairs.kernel.find(structure) != std::string::npos) continue;
    pairs.kernel += (level == 0 ? "" : ", ") + structure;
  }
  push(PairsStep{}, std::move(pairs), -1, {});
  for (const FusedNode& fused : fused_) {
    if (node(fused.output).sites >= 0) emit(fused);
  }
}

}  // namespace voxgemm
