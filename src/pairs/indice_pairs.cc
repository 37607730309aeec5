// One-shot kernel maps: a PairNetwork of one map that owns its workspace.
#include "voxgemm/indice_pairs.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "core/extents.h"
#include "core/named_buffer.h"
#include "pairs/pair_network.h"
#include "pairs/relations.h"

namespace voxgemm {

struct IndicePairs::Impl {
  ConvGeometry geometry{};
  Dims out_shape{};
  IndicePairsView view{};
  std::int32_t num_out = 0;
  std::int64_t wanted = 0;
  std::int64_t pairs = 0;
  Status status{};
  std::string levels;
  Buffer workspace;
};

namespace {

struct Built {
  PairNetwork network;
  Buffer workspace;
  Status status{};
  std::int32_t map = 0;

  explicit Built(Context& context) : network(context) {}
  [[nodiscard]] Workspace bytes() const { return {workspace.data(), workspace.bytes()}; }
  [[nodiscard]] LevelView level(std::int32_t l) const { return network.level_view(l, bytes()); }
};

Built build_network(Context& context, const SparseTensorView& input, const ConvGeometry& geometry,
                    const PairOptions& options) {
  Built built(context);
  const bool cuda = input.device_num_voxels != nullptr;
  const std::int32_t rows = cuda ? input.capacity : input.num_voxels;
  built.network.add_input(input.spatial_shape, input.batch_size, rows);
  built.map = built.network.add_map(0, geometry, options);
  built.network.finalize();
  built.workspace = named_buffer(context, built.network.workspace_bytes(), [&] {
    return fmt::format("the kernel map of {} rows of {}, batch {}, out_capacity {}, kernel volume {}", rows,
                       axes_text(input.spatial_shape), input.batch_size, options.out_capacity,
                       geometry.kernel_size.product());
  });
  check(built.network.prepare(context, built.bytes()), "build_indice_pairs");
  built.status =
      built.network.run(context, input.indices, input.num_voxels, input.device_num_voxels, built.bytes());
  if (built.status.ok()) built.status = built.network.status(context, built.bytes());
  const bool kept = built.status.code == ErrorCode::kCapacity && built.status.step >= 0;
  if (!kept) check(built.status, "build_indice_pairs");
  return built;
}

// Real counts of a map on a device.
void download_counts(Context& context, IndicePairs::Impl& impl) {
  if (impl.view.device_num_out == nullptr) return;
  const MapCounts counts = count_pairs(context, impl.view);
  impl.num_out = counts.num_out;
  impl.pairs = counts.pairs;
}

void check_input(const SparseTensorView& input) {
  check(input.num_voxels >= 0 && input.num_voxels <= input.capacity, ErrorCode::kShape,
        "num_voxels is {}, allowed 0..capacity {}", input.num_voxels, input.capacity);
  check(input.num_voxels == 0 || input.indices != nullptr, ErrorCode::kInvalidArgument,
        "indices is null with {} voxels", input.num_voxels);
}

}  // namespace

IndicePairs build_indice_pairs(Context& context, const SparseTensorView& input, const ConvGeometry& geometry,
                               const PairOptions& options) {
  check_input(input);
  const ConvGeometry normalized = geometry.normalized(input.spatial_shape.ndim);
  check(options.out_capacity >= 0, ErrorCode::kInvalidArgument, "out_capacity is {}, at least 0",
        options.out_capacity);
  PairOptions exact = options;
  if (normalized.kind != ConvKind::kSubm && options.out_capacity == 0) {
    const std::int32_t rows = input.device_num_voxels != nullptr ? input.capacity : input.num_voxels;
    exact.out_capacity = std::max(1, max_outputs(normalized, input.spatial_shape, input.batch_size, rows));
    if (context.device().kind == DeviceKind::kCpu) {  // count first: forms of the bound would waste memory
      PairOptions count = exact;
      count.forms = 0;
      exact.out_capacity = std::max(1, build_network(context, input, normalized, count).level(1).n);
    }
  }
  Built built = build_network(context, input, normalized, exact);
  IndicePairs pairs;
  IndicePairs::Impl& impl = pairs.impl();
  impl.geometry = normalized;
  impl.out_shape = normalized.out_shape(input.spatial_shape);
  impl.view = built.network.map_view(built.map, built.bytes());
  const std::int32_t out_level = built.network.level_of_output(built.map);
  impl.num_out = impl.view.num_out;
  impl.wanted = built.level(out_level).wanted;
  impl.pairs = built.network.num_pairs(built.map, built.bytes());
  impl.status = built.status;
  impl.levels = built.network.describe_level(0);
  if (out_level != 0) impl.levels += "; output: " + built.network.describe_level(out_level);
  impl.workspace = std::move(built.workspace);
  download_counts(context, impl);
  return pairs;
}

IndicePairs::IndicePairs() : impl_(std::make_unique<Impl>()) {}
IndicePairs::~IndicePairs() = default;
IndicePairs::IndicePairs(IndicePairs&&) noexcept = default;
IndicePairs& IndicePairs::operator=(IndicePairs&&) noexcept = default;

const IndicePairsView& IndicePairs::view() const noexcept { return impl_->view; }
const ConvGeometry& IndicePairs::geometry() const noexcept { return impl_->geometry; }
const Dims& IndicePairs::out_shape() const noexcept { return impl_->out_shape; }
std::int32_t IndicePairs::num_out() const noexcept { return impl_->num_out; }
std::int64_t IndicePairs::num_out_wanted() const noexcept { return impl_->wanted; }
Status IndicePairs::status() const noexcept { return impl_->status; }
std::int64_t IndicePairs::num_pairs() const noexcept { return impl_->pairs; }

std::vector<std::int32_t> IndicePairs::tight_pair_fwd() const {
  const IndicePairsView& v = view();
  check(v.pair_fwd != nullptr || v.num_out == 0, ErrorCode::kInvalidArgument,
        "tight_pair_fwd needs a map built with kPairTable");
  check(impl_->workspace.device().kind == DeviceKind::kCpu, ErrorCode::kUnsupported,
        "tight_pair_fwd of a map on a CUDA device");
  std::vector<std::int32_t> tight(static_cast<std::size_t>(v.kv) * static_cast<std::size_t>(num_out()));
  for (std::int32_t k = 0; k < v.kv && num_out() > 0; ++k) {
    std::copy_n(v.pair_fwd + k * v.pair_stride, num_out(),
                tight.begin() + static_cast<std::ptrdiff_t>(k) * num_out());
  }
  return tight;
}

std::string IndicePairs::describe() const {
  const IndicePairsView& v = view();
  std::string forms;
  if (v.pair_fwd != nullptr) forms += " pair_fwd";
  if (v.pair_bwd != nullptr) forms += " pair_bwd";
  if (v.blocks.order != nullptr) forms += " blocks";
  if (v.tiles.start != nullptr) forms += " tiles";
  if (v.tiles_bwd.start != nullptr) forms += " tiles_bwd";
  return fmt::format("kv {}, {} -> {} rows, {} pairs; forms{}; {} bytes; input: {}", v.kv, v.n_in, num_out(),
                     num_pairs(), forms.empty() ? " none" : forms, impl_->workspace.bytes(), impl_->levels);
}

IndicePairsView inverse(const IndicePairsView& pairs) {
  check(pairs.pair_bwd != nullptr || pairs.tiles_bwd.start != nullptr, ErrorCode::kInvalidArgument,
        "inverse needs a map built with kPairBackward or kTilePairsBackward");
  IndicePairsView v;
  v.kv = pairs.kv;
  v.mask_words = pairs.mask_words;
  v.n_in = pairs.num_out;
  v.num_out = pairs.n_in;
  v.out_capacity = static_cast<std::int32_t>(std::min<std::int64_t>(pairs.bwd_stride, INT32_MAX));
  v.device_n_in = pairs.device_num_out;
  v.device_num_out = pairs.device_n_in;
  v.pair_stride = pairs.bwd_stride;
  v.pair_fwd = pairs.pair_bwd;
  v.bwd_stride = pairs.pair_stride;
  v.pair_bwd = pairs.pair_fwd;
  v.split_offsets[0] = {0, pairs.kv};
  v.tiles = pairs.tiles_bwd;
  v.tiles_bwd = pairs.tiles;
  return v;
}

}  // namespace voxgemm
