// One frame: every step in order. No allocation, no exception, no synchronisation, no decision that the build
// could have taken; the device shows only in where a row count is read.
#include <array>
#include <cstring>

#include "core/context_impl.h"
#include "core/cuda_device.h"
#include "core/extents.h"
#include "core/nvtx.h"
#include "core/operands.h"
#include "core/parallel.h"
#include "engine/engine_impl.h"
#include "ops/row_map.h"
#include "voxgemm/engine.h"
#include "voxgemm/profile.h"

namespace voxgemm {
namespace {

/// Rows of a level in this frame. On CUDA `n` is the capacity and `device` points to the real count. The
/// caller's row i is row places[i] of the input's level, or i.
struct Rows {
  std::int32_t n = 0;
  const std::int32_t* device = nullptr;
  const std::int32_t* indices = nullptr;
  const std::int32_t* places = nullptr;
};

/// Tensors of one frame, as views.
class FrameViews {
 public:
  FrameViews(const Engine::Impl& engine, const SparseTensorView& input,
             std::span<const OutputBinding> outputs, Workspace workspace) noexcept
      : engine_(engine),
        input_(input),
        outputs_(outputs),
        pairs_(workspace.first(engine.pairs_bytes)),
        arena_(workspace.subspan(engine.pairs_bytes)) {}

  [[nodiscard]] Rows rows(std::int32_t level) const noexcept {
    if (level < 0) return {engine_.levels.front().batch_size};
    const LevelView view = engine_.pairs.level_view(level, pairs_);
    const bool as_given = level == 0 && view.places == nullptr;
    return {view.n, view.device_n, as_given ? input_.indices : view.indices, view.places};
  }

  [[nodiscard]] FeatureSpan span(std::int32_t id) const noexcept {
    const Tensor& t = engine_.tensor(id);
    void* data =
        t.output < 0 ? arena_.data() + t.offset : outputs_[static_cast<std::size_t>(t.output)].features;
    return {data, t.dtype, rows(t.level).n, t.channels, t.stride, t.scale};
  }

  [[nodiscard]] const std::int32_t* device_rows(std::int32_t id) const noexcept {
    return rows(engine_.tensor(id).level).device;
  }
  [[nodiscard]] const std::int32_t* places(std::int32_t id) const noexcept {
    return rows(engine_.tensor(id).level).places;
  }

  [[nodiscard]] SparseTensorView sparse(std::int32_t id) const noexcept {
    const Tensor& t = engine_.tensor(id);
    const Level& level = engine_.levels[static_cast<std::size_t>(t.level)];
    const Rows real = rows(t.level);
    const FeatureView features = span(id);
    return {real.indices, features, level.shape, level.batch_size, t.capacity, real.n, real.device};
  }

 protected:
  const Engine::Impl& engine_;
  const SparseTensorView& input_;
  std::span<const OutputBinding> outputs_;
  Workspace pairs_;
  Workspace arena_;
};

/// Runs the steps of one frame.
class StepRunner : public FrameViews {
 public:
  StepRunner(const Engine::Impl& engine, Context& context, const SparseTensorView& input,
             std::span<const OutputBinding> outputs, Workspace workspace, std::int64_t* issued_macs) noexcept
      : FrameViews(engine, input, outputs, workspace), context_(context), issued_macs_(issued_macs) {}

  Status operator()(const PairsStep&) const noexcept {
    const bool counted = input_.device_num_voxels != nullptr;
    return engine_.pairs.run(context_, input_.indices,
                             counted ? engine_.levels.front().capacity : input_.num_voxels,
                             input_.device_num_voxels, pairs_);
  }

  Status operator()(const InputStep& step) const noexcept {
    FeatureView from = input_.features;
    const FeatureSpan to = span(step.out);
    from.rows = to.rows;
    const std::int32_t* count = device_rows(step.out);
    const ops::RowMap order{.out = places(step.out)};
    if (from.dtype == DType::kInt8 && to.dtype != DType::kInt8)
      return ops::dequantize(context_, from, from.scale, to, count, order);
    if (from.dtype != DType::kInt8 && to.dtype == DType::kInt8)
      return ops::quantize(context_, from, to.scale, to, count, order);
    return ops::convert(context_, from, to, count, order);
  }

  Status operator()(const GemmStep& step) const noexcept {
    const ImplicitGemm& plan = engine_.plans[static_cast<std::size_t>(step.plan)];
    const IndicePairsView forward = engine_.pairs.map_view(step.map, pairs_);
    FeatureView residual;
    if (step.residual >= 0) residual = span(step.residual);
    return plan.run(context_, step.inverse ? inverse(forward) : forward, span(step.in), residual,
                    span(step.out), arena_.subspan(step.scratch, step.scratch_bytes), issued_macs_);
  }

  Status operator()(const AddStep& step) const noexcept {
    return add(context_, span(step.a), span(step.b), step.a_factor, step.b_factor, step.activation,
               span(step.out), device_rows(step.out));
  }

  Status operator()(const ReluStep& step) const noexcept {
    return relu(context_, span(step.in), span(step.out), device_rows(step.out));
  }

  Status operator()(const PoolStep& step) const noexcept {
    return pool(context_, engine_.pairs.map_view(step.map, pairs_), span(step.in), step.options,
                span(step.out));
  }

  Status operator()(const ConcatStep& step) const noexcept {
    std::array<FeatureView, kMaxConcat> inputs{};
    for (std::size_t i = 0; i < step.in.size(); ++i) inputs[i] = span(step.in[i]);
    return concat(context_, std::span(inputs).first(step.in.size()), span(step.out), device_rows(step.out));
  }

  Status operator()(const ConvertStep& step) const noexcept {
    const FeatureSpan from = span(step.in);
    const FeatureSpan to = span(step.out);
    const bool leaves = engine_.tensor(step.out).output >= 0;  // outputs have the caller's rows
    const ops::RowMap order{.in = leaves ? places(step.in) : nullptr};
    if (from.dtype == DType::kInt8 && to.dtype != DType::kInt8)
      return ops::dequantize(context_, from, from.scale, to, device_rows(step.in), order);
    return ops::convert(context_, from, to, device_rows(step.in), order);
  }

  Status operator()(const ScatterStep& step) const noexcept {
    return scatter_dense(context_, sparse(step.in), step.layout,
                         outputs_[static_cast<std::size_t>(step.output)].features);
  }

  Status operator()(const GlobalPoolStep& step) const noexcept {
    return global_pool(context_, sparse(step.in), step.kind, span(step.out));
  }

  Status operator()(const SitesStep& step) const noexcept {
    const OutputBinding& to = outputs_[static_cast<std::size_t>(step.output)];
    const Rows real = rows(step.level);
    if (to.num_voxels != nullptr) {
      if (engine_.device.kind == DeviceKind::kCpu) {
        *to.num_voxels = real.n;
      } else if (cuda::copy_device_async(to.num_voxels, real.device, sizeof(std::int32_t),
                                         context_.stream()) != 0) {
        return {.code = ErrorCode::kDevice};
      }
    }
    if (to.indices == nullptr || real.n == 0) return {};
    const std::int32_t columns = 1 + engine_.levels[static_cast<std::size_t>(step.level)].shape.ndim;
    const std::int32_t* const sites = step.level == 0 ? input_.indices : real.indices;
    const FeatureView from{sites, DType::kInt32, real.n, columns, columns};
    return convert(context_, from, {to.indices, DType::kInt32, real.n, columns, columns}, real.device);
  }

 private:
  Context& context_;
  std::int64_t* issued_macs_;  ///< of the steps run, or null
};

constexpr const char* kUnprepared =
    "the workspace was not prepared for this engine, or was used otherwise since (see prepare())";

Status failed(ErrorCode code, const char* what, std::int64_t value = 0, std::int64_t limit = 0) noexcept {
  return {.code = code, .value = value, .limit = limit, .what = what};
}

Status check_input(const Engine::Impl& engine, const SparseTensorView& input) noexcept {
  const Level& level = engine.levels.front();
  const FeatureView& features = input.features;
  if (input.spatial_shape.ndim != level.shape.ndim) {
    return failed(ErrorCode::kShape, "axes of spatial_shape (see input_shape())", input.spatial_shape.ndim,
                  level.shape.ndim);
  }
  for (int a = 0; a < level.shape.ndim; ++a) {
    if (input.spatial_shape[a] == level.shape[a]) continue;
    return failed(ErrorCode::kShape, extent_operand(level.shape.ndim, a), input.spatial_shape[a],
                  level.shape[a]);
  }
  if (input.batch_size != level.batch_size) {
    return failed(ErrorCode::kShape, "batch_size of the input", input.batch_size, level.batch_size);
  }
  if (features.channels != engine.input_channels) {
    return failed(ErrorCode::kShape, kInputOperand.channels, features.channels, engine.input_channels);
  }
  if (features.stride < features.channels) {
    return failed(ErrorCode::kShape, kInputOperand.stride, features.stride, features.channels);
  }
  if (features.dtype == DType::kInt32) {
    return failed(ErrorCode::kDType, kInputOperand.dtype, static_cast<std::int64_t>(features.dtype));
  }
  const bool int8_engine = engine.options.precision == Precision::kInt8;
  if (features.dtype == DType::kInt8 && int8_engine && features.scale != engine.input_scale) {
    return failed(ErrorCode::kInvalidArgument, "the scale of int8 input is not input_scale()");
  }
  if (engine.device.kind == DeviceKind::kCuda && input.device_num_voxels != nullptr) return {};
  const std::int32_t n = input.num_voxels;
  if (n < 0) return failed(ErrorCode::kInvalidArgument, "num_voxels", n, level.capacity);
  if (n > level.capacity) {
    return failed(ErrorCode::kCapacity, "num_voxels against the engine's capacity", n, level.capacity);
  }
  if (n > input.capacity) return failed(ErrorCode::kShape, "capacity of the input", input.capacity, n);
  if (n > features.rows) return failed(ErrorCode::kShape, kInputOperand.rows, features.rows, n);
  if (n > 0 && input.indices == nullptr) {
    return failed(ErrorCode::kInvalidArgument, "the input's indices are null", 0, n);
  }
  if (n > 0 && features.data == nullptr) return failed(ErrorCode::kInvalidArgument, kInputOperand.null, 0, n);
  return {};
}

/// What prepare() and enqueue() both ask of a context and a workspace.
Status check_workspace(const Engine::Impl& engine, const Context& context, Workspace workspace) noexcept {
  if (!(context.device() == engine.device)) {
    return failed(ErrorCode::kDevice, "the context is of another device than the engine");
  }
  const std::size_t need = engine.pairs_bytes + engine.arena_bytes;
  if (const Status s = check_workspace_bytes(workspace, need); !s.ok()) return s;
  if (reinterpret_cast<std::uintptr_t>(workspace.data()) % 256 != 0) {
    return failed(ErrorCode::kInvalidArgument, "the workspace is not 256-byte aligned");
  }
  return {};
}

Status check_outputs(const Engine::Impl& engine, std::span<const OutputBinding> outputs) noexcept {
  if (outputs.size() != engine.outputs.size()) {
    return failed(ErrorCode::kShape, "number of outputs", static_cast<std::int64_t>(outputs.size()),
                  static_cast<std::int64_t>(engine.outputs.size()));
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].features != nullptr) continue;
    return failed(ErrorCode::kInvalidArgument, "features of an output are null: its number",
                  static_cast<std::int64_t>(i), static_cast<std::int64_t>(outputs.size()));
  }
  return {};
}

/// A map's overflow is reported at the step that made its sites.
Status at_step(const Engine::Impl& engine, Status status) noexcept {
  if (status.code == ErrorCode::kCapacity && status.step >= 0 &&
      static_cast<std::size_t>(status.step) < engine.step_of_map.size()) {
    status.step = engine.step_of_map[static_cast<std::size_t>(status.step)];
  } else if (!status.ok()) {
    status.step = 0;
  }
  return status;
}

}  // namespace

Status Engine::prepare(Context& context, Workspace workspace) const noexcept {
  if (const Status s = check_workspace(*impl_, context, workspace); !s.ok()) return s;
  if (impl_->device.kind == DeviceKind::kCuda && impl_->arena_bytes > 0) {
    // Kernels load whole vectors of rows whose last columns no layer writes.
    const CurrentDevice current(context);
    const std::int32_t error =
        cuda::memset_async(workspace.data() + impl_->pairs_bytes, 0, impl_->arena_bytes, context.stream());
    if (error != 0) return failed(ErrorCode::kDevice, "clearing the workspace: CUDA error", error);
  }
  return impl_->pairs.prepare(context, workspace.first(impl_->pairs_bytes));
}

namespace {

/// All steps of a frame. A frame whose sites overflow is finished.
Status run_steps(const Engine::Impl& engine, Context& context, const StepRunner& frame,
                 std::int64_t& issued_macs, StepListener* listener) noexcept {
  Status overflow;
  for (std::size_t i = 0; i < engine.steps.size(); ++i) {
    const auto step = static_cast<std::int32_t>(i);
    const nvtx::Range range(engine.infos[i].name.c_str());
    issued_macs = 0;
    if (listener != nullptr) listener->step_begin(context, step);
    Status status = std::visit(frame, engine.steps[i]);
    if (listener != nullptr) listener->step_end(context, step, issued_macs);
    if (status.ok()) continue;
    if (i == 0) {
      status = at_step(engine, status);
    } else {
      status.step = step;
    }
    if (i > 0 || status.code != ErrorCode::kCapacity) return status;
    overflow = status;
  }
  return overflow;
}

}  // namespace

Status Engine::enqueue(Context& context, const SparseTensorView& input,
                       std::span<const OutputBinding> outputs, Workspace workspace,
                       StepListener* listener) const noexcept {
  const Impl& engine = *impl_;
  const CurrentDevice current(context);
  if (const Status s = check_workspace(engine, context, workspace); !s.ok()) return s;
  if (!engine.pairs.is_prepared(workspace)) return failed(ErrorCode::kInvalidArgument, kUnprepared);
  if (const Status s = check_outputs(engine, outputs); !s.ok()) return s;
  if (const Status s = check_input(engine, input); !s.ok()) return s;
  std::int64_t issued_macs = 0;
  const StepRunner frame(engine, context, input, outputs, workspace,
                         listener != nullptr ? &issued_macs : nullptr);
  Status status;
  with_threads(context, [&] { status = run_steps(engine, context, frame, issued_macs, listener); });
  return status;
}

SparseTensorView Engine::value_view(std::int32_t step, const SparseTensorView& input,
                                    Workspace workspace) const noexcept {
  if (step < 0 || static_cast<std::size_t>(step) >= impl_->made.size() || !impl_->options.keep_all_values ||
      workspace.size() < workspace_bytes() || !impl_->pairs.is_prepared(workspace)) {
    return {};
  }
  const std::int32_t tensor = impl_->made[static_cast<std::size_t>(step)];
  if (tensor < 0) return {};
  return FrameViews(*impl_, input, {}, workspace).sparse(tensor);
}

Status Engine::status(Context& context, Workspace workspace) const noexcept {
  if (const Status s = check_workspace(*impl_, context, workspace); !s.ok()) return s;
  const Status status = impl_->pairs.status(context, workspace);
  return status.code == ErrorCode::kInvalidArgument ? status : at_step(*impl_, status);
}

}  // namespace voxgemm
