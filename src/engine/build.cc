// Engine: building, facts, views. What one frame does is in enqueue.cc.
#include <fmt/format.h>

#include <algorithm>

#include "core/check.h"
#include "engine/engine_impl.h"
#include "engine/lowering.h"
#include "voxgemm/engine.h"

namespace voxgemm {
namespace {

void check_options(Context& context, const Network::Impl& net, const EngineOptions& options) {
  check(!net.nodes.empty(), ErrorCode::kInvalidArgument, "the network has no input");
  check(!net.outputs.empty(), ErrorCode::kInvalidArgument, "the network has no output");
  const bool cuda = context.device().kind == DeviceKind::kCuda;
  check(cuda || options.precision != Precision::kFloat16, ErrorCode::kUnsupported,
        "float16 engines need a CUDA context; use float32 or int8 on the CPU");
  check(options.output_dtype != DType::kInt32, ErrorCode::kDType, "EngineOptions::output_dtype is int32");
  check(options.output_dtype != DType::kInt8 || options.precision == Precision::kInt8, ErrorCode::kDType,
        "EngineOptions::output_dtype int8 needs an int8 engine");
  check(cuda || options.output_dtype != DType::kFloat16 || options.precision != Precision::kInt8,
        ErrorCode::kDType, "EngineOptions::output_dtype float16 from int8 needs a CUDA context");
}

}  // namespace

Engine::Engine() = default;
Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;

Engine Engine::build(Context& context, const Network& network, const ScaleTable& scales,
                     const EngineOptions& options) {
  const Network::Impl& net = network.impl();
  check_options(context, net, options);
  Engine engine;
  engine.impl_ = std::make_unique<Impl>(context);
  Impl& impl = *engine.impl_;
  impl.options = options;
  Lowering lowering(context, net, scales, options, impl);
  lowering.add_maps();
  lowering.choose_dtypes();
  lowering.make_plans();
  lowering.make_tensors();
  lowering.slice_concats();
  lowering.emit_steps();
  lowering.emit_outputs();
  lowering.place();
  impl.input_channels = net.nodes.front().channels;
  for (const Step& step : impl.steps) {
    if (const auto* input = std::get_if<InputStep>(&step)) impl.input_scale = impl.tensor(input->out).scale;
  }
  context.log(LogLevel::kVerbose, engine.describe());
  return engine;
}

std::size_t Engine::workspace_bytes() const noexcept { return impl_->pairs_bytes + impl_->arena_bytes; }
std::span<const StepInfo> Engine::steps() const noexcept { return impl_->infos; }
std::span<const OutputInfo> Engine::outputs() const noexcept { return impl_->outputs; }
std::int32_t Engine::input_capacity() const noexcept { return impl_->levels.front().capacity; }
const Dims& Engine::input_shape() const noexcept { return impl_->levels.front().shape; }
std::int32_t Engine::input_batch_size() const noexcept { return impl_->levels.front().batch_size; }
std::int32_t Engine::input_channels() const noexcept { return impl_->input_channels; }
float Engine::input_scale() const noexcept { return impl_->input_scale; }
Device Engine::device() const noexcept { return impl_->device; }
std::size_t Engine::arena_bytes() const noexcept { return impl_->arena_bytes; }
std::size_t Engine::pairs_bytes() const noexcept { return impl_->pairs_bytes; }
std::int32_t Engine::num_maps() const noexcept { return impl_->pairs.num_maps(); }

std::string Engine::describe() const {
  std::string text =
      fmt::format("engine on {}: {} steps, {} kernel maps, arena {:.2f} MB, pairs {:.2f} MB\n",
                  to_string(impl_->device), impl_->steps.size(), num_maps(),
                  static_cast<double>(arena_bytes()) / 1e6, static_cast<double>(pairs_bytes()) / 1e6);
  std::size_t width = 0;
  for (const StepInfo& info : impl_->infos) width = std::max(width, info.name.size());
  for (std::size_t i = 0; i < impl_->infos.size(); ++i) {
    const StepInfo& info = impl_->infos[i];
    text += fmt::format("{:>3} {:<{}} {:<14} {:>4} -> {:<4} kv {:<3} capacity {:<8} {:<5} {}", i, info.name,
                        width, info.kind, info.c_in, info.c_out, info.kv, info.capacity, info.precision,
                        info.kernel);
    if (!info.pairs.empty()) text += fmt::format("  pairs '{}'", info.pairs);
    text += '\n';
  }
  return text;
}

}  // namespace voxgemm
