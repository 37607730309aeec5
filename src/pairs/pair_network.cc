// Planning of a PairNetwork: levels, maps and their checks. Building is the backend's.
#include "pairs/pair_network.h"

#include <cstring>
#include <limits>
#include <utility>

#include "core/check.h"
#include "core/context_impl.h"
#include "core/cuda_device.h"
#include "core/extents.h"
#include "core/operands.h"
#include "core/workspace_stamp.h"
#include "pairs/backend.h"

namespace voxgemm {

struct PairNetwork::Impl {
  explicit Impl(Context& of) : context(&of), device(of.device()), stamp(this) {}

  [[nodiscard]] std::size_t workspace_bytes() const noexcept {
    return WorkspaceStamp::kBytes + backend->workspace_bytes();
  }
  [[nodiscard]] Stamp stamp_in(Workspace workspace) const noexcept {
    return {reinterpret_cast<std::uint64_t*>(workspace.data()), stamp.of(workspace)};
  }

  Context* context;  // while it is planned
  Device device;
  WorkspaceStamp stamp;
  PairPlan plan;
  std::unique_ptr<PairBackend> backend;
};

namespace {

void check_level(const Dims& shape, std::int32_t batch_size, std::int32_t capacity) {
  check_extents(shape, batch_size);
  check(capacity >= 0, ErrorCode::kInvalidArgument, "capacity is {}, at least 0", capacity);
}

constexpr PairForms kAllForms = kPairTable | kPairBackward | kTilePairs | kTilePairsBackward | kBlockPairs;

// Forms and what they are made of.
PairForms with_sources(PairForms forms) { return (forms & kBlockPairs) != 0 ? forms | kPairTable : forms; }

void check_options(const PairOptions& options, std::int32_t kv) {
  check((options.forms & ~kAllForms) == 0, ErrorCode::kInvalidArgument, "pair forms {:#x}, known {:#x}",
        options.forms, kAllForms);
  check(options.mask_splits >= 1 && options.mask_splits <= kMaxMaskSplits && options.mask_splits <= kv,
        ErrorCode::kInvalidArgument, "mask_splits is {}, allowed 1..{} and at most the {} offsets",
        options.mask_splits, kMaxMaskSplits, kv);
  check(options.tile_rows >= 0 && options.tile_rows <= 65536, ErrorCode::kInvalidArgument,
        "tile_rows is {}, allowed 0..65536", options.tile_rows);
}

}  // namespace

PairNetwork::PairNetwork(Context& context) : impl_(std::make_unique<Impl>(context)) {}
PairNetwork::~PairNetwork() = default;
PairNetwork::PairNetwork(PairNetwork&&) noexcept = default;
PairNetwork& PairNetwork::operator=(PairNetwork&&) noexcept = default;

std::int32_t PairNetwork::add_input(const Dims& spatial_shape, std::int32_t batch_size, std::int32_t capacity,
                                    InputRows rows) {
  check(impl_->plan.levels.empty(), ErrorCode::kInvalidArgument, "a pair network has one input");
  check_level(spatial_shape, batch_size, capacity);
  impl_->plan.levels.push_back({spatial_shape, batch_size, capacity, -1, rows});
  return 0;
}

std::int32_t PairNetwork::add_map(std::int32_t in_level, const ConvGeometry& geometry,
                                  const PairOptions& options, const std::string& layer) {
  PairPlan& plan = impl_->plan;
  check(impl_->backend == nullptr, ErrorCode::kInvalidArgument, "the pair network is final");
  const auto levels = static_cast<std::int32_t>(plan.levels.size());
  check(in_level >= 0 && in_level < levels, ErrorCode::kInvalidArgument,
        "level {} does not exist; there are {}", in_level, levels);
  const LevelPlan in = plan.levels[static_cast<std::size_t>(in_level)];
  MapPlan map{geometry.normalized(in.shape.ndim), in_level, in_level, options, layer};
  check_options(options, map.geometry.kernel_volume());
  map.options.forms = with_sources(options.forms);
  if (map.geometry.kind == ConvKind::kSubm) {
    map.options.out_capacity = in.capacity;
  } else {
    check(options.out_capacity > 0, ErrorCode::kInvalidArgument, "out_capacity is {}, at least 1",
          options.out_capacity);
    const LevelPlan out{map.geometry.out_shape(in.shape), in.batch_size, options.out_capacity,
                        static_cast<std::int32_t>(plan.maps.size())};
    check_level(out.shape, out.batch_size, out.capacity);
    map.out_level = levels;
    plan.levels.push_back(out);
  }
  plan.maps.push_back(map);
  return static_cast<std::int32_t>(plan.maps.size()) - 1;
}

void PairNetwork::require_forms(std::int32_t map, PairForms forms) {
  check(impl_->backend == nullptr, ErrorCode::kInvalidArgument, "the pair network is final");
  check(map >= 0 && map < num_maps(), ErrorCode::kInvalidArgument, "map {} does not exist; there are {}", map,
        num_maps());
  PairOptions& options = impl_->plan.maps[static_cast<std::size_t>(map)].options;
  options.forms |= with_sources(forms);
  check_options(options, geometry(map).kernel_volume());
}

void PairNetwork::finalize() {
  check(!impl_->plan.levels.empty(), ErrorCode::kInvalidArgument, "the pair network has no input");
  check(impl_->backend == nullptr, ErrorCode::kInvalidArgument, "the pair network is final");
  PairPlan plan = impl_->plan;
  if (impl_->context->device().kind == DeviceKind::kCpu) {
    impl_->backend = make_cpu_pair_backend(*impl_->context, std::move(plan));
    return;
  }
#ifdef VOXGEMM_WITH_CUDA
  impl_->backend = make_cuda_pair_backend(*impl_->context, std::move(plan));
#else
  check(false, ErrorCode::kUnsupported, "this library was built without CUDA (VOXGEMM_CUDA=OFF)");
#endif
}

std::int32_t PairNetwork::level_of_output(std::int32_t map) const {
  return impl_->plan.maps.at(static_cast<std::size_t>(map)).out_level;
}
std::int32_t PairNetwork::num_maps() const { return static_cast<std::int32_t>(impl_->plan.maps.size()); }
const ConvGeometry& PairNetwork::geometry(std::int32_t map) const {
  return impl_->plan.maps.at(static_cast<std::size_t>(map)).geometry;
}
const Dims& PairNetwork::level_shape(std::int32_t level) const {
  return impl_->plan.levels.at(static_cast<std::size_t>(level)).shape;
}
std::int32_t PairNetwork::level_capacity(std::int32_t level) const {
  return impl_->plan.levels.at(static_cast<std::size_t>(level)).capacity;
}
std::size_t PairNetwork::workspace_bytes() const { return impl_->workspace_bytes(); }
std::string PairNetwork::describe_level(std::int32_t level) const {
  return impl_->backend->describe_level(level);
}

namespace {

constexpr Status kUnprepared{
    .code = ErrorCode::kInvalidArgument,
    .what = "the workspace was not prepared, or was used otherwise since (see prepare())"};

Workspace behind_stamp(Workspace workspace) noexcept { return workspace.subspan(WorkspaceStamp::kBytes); }

}  // namespace

// The stamp is written last: memory that was prepared halfway is not prepared.
Status PairNetwork::prepare(Context& context, Workspace workspace) const noexcept {
  if (Status s = check_workspace_bytes(workspace, impl_->workspace_bytes()); !s.ok()) return s;
  const CurrentDevice current(context);
  return impl_->backend->prepare(context, impl_->stamp_in(workspace), behind_stamp(workspace));
}

bool PairNetwork::is_prepared(Workspace workspace) const noexcept {
  if (workspace.size() < impl_->workspace_bytes()) return false;
  if (impl_->device.kind != DeviceKind::kCpu) return true;
  const std::uint64_t stamp = impl_->stamp.of(workspace);
  return std::memcmp(workspace.data(), &stamp, sizeof stamp) == 0;
}

Status PairNetwork::run(Context& context, const std::int32_t* indices, std::int32_t n,
                        const std::int32_t* device_n, Workspace workspace) const noexcept {
  if (Status s = check_workspace_bytes(workspace, impl_->workspace_bytes()); !s.ok()) return s;
  if (!is_prepared(workspace)) return kUnprepared;
  const CurrentDevice current(context);
  return impl_->backend->run(context, indices, n, device_n, impl_->stamp_in(workspace),
                             behind_stamp(workspace));
}
IndicePairsView PairNetwork::map_view(std::int32_t map, Workspace workspace) const noexcept {
  return impl_->backend->map_view(map, behind_stamp(workspace));
}
LevelView PairNetwork::level_view(std::int32_t level, Workspace workspace) const noexcept {
  return impl_->backend->level_view(level, behind_stamp(workspace));
}
std::int64_t PairNetwork::num_pairs(std::int32_t map, Workspace workspace) const noexcept {
  return impl_->backend->num_pairs(map, behind_stamp(workspace));
}

Status PairNetwork::status(Context& context, Workspace workspace) const noexcept {
  if (context.device().kind == DeviceKind::kCpu) return {};
  if (Status s = check_workspace_bytes(workspace, impl_->workspace_bytes()); !s.ok()) return s;
  const CurrentDevice current(context);
  if (Status pending = context.synchronize(); !pending.ok()) return pending;
  std::uint64_t stored = 0;
  try {
    cuda::copy_to_host(&stored, workspace.data(), sizeof stored, context.stream());
  } catch (const Error&) {
    return {.code = ErrorCode::kDevice};
  }
  if (stored != impl_->stamp.of(workspace)) return kUnprepared;
  return impl_->backend->status(context, behind_stamp(workspace));
}

}  // namespace voxgemm
