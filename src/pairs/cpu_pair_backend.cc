// Kernel maps on the CPU: one coordinate index a level, then every map's forms by rows or tiles in parallel.
#include "pairs/cpu_pair_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>
#include <vector>

#include "core/context_impl.h"
#include "core/parallel.h"
#include "kernels/coord_index/coord_index.h"
#include "kernels/mask_sort/mask_sort.h"
#include "kernels/pairs/pairs.h"
#include "pairs/cpu_pair_layout.h"

namespace voxgemm {
namespace {

using namespace cpu_pairs;  // NOLINT: the other half of this file

constexpr std::int64_t kTableGrain = 2048;  // rows of a parallel step
constexpr std::int64_t kTileGrain = 8;      // tiles of a parallel step, at least
constexpr std::int64_t kMaxChunks = 64;     // parallel steps of one map

// Offsets [lo, hi) of split j: sizes as even as can be, larger ones first.
std::array<std::int32_t, 2> split_range(std::int32_t kv, std::int32_t splits, std::int32_t j) {
  const std::int32_t size = kv / splits;
  const std::int32_t extra = kv % splits;
  const std::int32_t lo = j * size + std::min(j, extra);
  return {lo, lo + size + (j < extra ? 1 : 0)};
}

bool has_pattern_key(const ConvGeometry& g) {
  return g.kind == ConvKind::kSubm && g.kernel_size == Dims{3, 3, 3};
}

class CpuPairBackend final : public PairBackend {
 public:
  CpuPairBackend(const Context& context, PairPlan plan, std::size_t max_bitmap_bytes)
      : layout_(context, std::move(plan), max_bitmap_bytes) {}

  [[nodiscard]] std::size_t workspace_bytes() const override { return layout_.workspace_bytes(); }
  [[nodiscard]] std::string describe_level(std::int32_t level) const override {
    return layout_.levels().at(static_cast<std::size_t>(level)).why;
  }
  Status prepare(Context& context, Workspace workspace) const noexcept override;
  Status run(Context& context, const std::int32_t* indices, std::int32_t n, const std::int32_t* device_n,
             Workspace workspace) const noexcept override;
  [[nodiscard]] IndicePairsView map_view(std::int32_t map, Workspace workspace) const noexcept override;
  [[nodiscard]] LevelView level_view(std::int32_t level, Workspace workspace) const noexcept override;
  [[nodiscard]] std::int64_t num_pairs(std::int32_t map, Workspace workspace) const noexcept override;
  Status status(Context& /*context*/, Workspace /*workspace*/) const noexcept override { return {}; }

 private:
  CpuPairLayout layout_;
};

Status CpuPairBackend::prepare(Context& /*context*/, Workspace workspace) const noexcept {
  if (workspace.size() < layout_.workspace_bytes()) {
    return {ErrorCode::kCapacity, -1, static_cast<std::int64_t>(layout_.workspace_bytes()),
            static_cast<std::int64_t>(workspace.size())};
  }
  for (std::size_t l = 0; l < layout_.levels().size(); ++l) {
    const LevelMemory m = layout_.level_memory(static_cast<std::int32_t>(l), workspace);
    *m.state = {};
    m.state->indices = m.indices;
    if (!layout_.levels()[l].kernel->direct) continue;
    std::memset(m.index.words, 0,
                static_cast<std::size_t>(bitmap_words(m.index.grid) + 2) * sizeof(std::uint64_t));
    std::memset(m.index.summary, 0,
                static_cast<std::size_t>(summary_words(m.index.grid)) * sizeof(std::uint64_t));
  }
  for (std::size_t i = 0; i < layout_.maps().size(); ++i) {
    const MapMemory m = layout_.map_memory(static_cast<std::int32_t>(i), workspace);
    if (m.tiles.start != nullptr) m.tiles.start[0] = 0;
    if (m.tiles_bwd.start != nullptr) m.tiles_bwd.start[0] = 0;
  }
  return {};
}

// Tile pairs of one direction. With more threads, each chunk of tiles is counted first, so that it knows
// where its pairs begin; the bytes are the same.
void build_tiles(const Context& context, const PairsKernel& kernel, PairsArgs args,
                 const TileMemory& memory) {
  args.start = memory.start;
  args.in_rows = memory.in_rows;
  args.out_rows = memory.out_rows;
  const std::int64_t tiles = tiles_of(args.num_targets, args.tile_rows);
  const std::int64_t chunks = std::min(kMaxChunks, (tiles + kTileGrain - 1) / kTileGrain);
  std::int32_t end = 0;
  if (context.threads() == 1 || chunks < 2) {
    end = kernel.fill_tiles(args, {0, tiles}, 0);
  } else {
    std::array<std::int32_t, kMaxChunks> first{};
    const auto chunk = [&](std::int64_t c) { return RowRange{tiles * c / chunks, tiles * (c + 1) / chunks}; };
    parallel_for(context, 0, chunks, 1, [&](std::int64_t b, std::int64_t e) {
      for (std::int64_t c = b; c < e; ++c) {
        first[static_cast<std::size_t>(c)] = static_cast<std::int32_t>(kernel.count_tiles(args, chunk(c)));
      }
    });
    for (std::int64_t c = 0; c < chunks; ++c) end += std::exchange(first[static_cast<std::size_t>(c)], end);
    parallel_for(context, 0, chunks, 1, [&](std::int64_t b, std::int64_t e) {
      for (std::int64_t c = b; c < e; ++c)
        kernel.fill_tiles(args, chunk(c), first[static_cast<std::size_t>(c)]);
    });
  }
  args.start[tiles * args.problem.kv] = end;
}

void build_table(const Context& context, const PairsKernel& kernel, PairsArgs args, std::int32_t* table,
                 std::int64_t stride, std::uint32_t* mask) {
  args.table = table;
  args.table_stride = stride;
  args.mask = mask;
  parallel_for(context, 0, args.num_targets, kTableGrain, [&](std::int64_t b, std::int64_t e) {
    kernel.fill_table(args, {b, e});
  });
}

void build_forms(const Context& context, const MapChoice& map, const MapMemory& memory, const LevelMemory& in,
                 const LevelMemory& out) {
  const auto args_of = [&](const Direction& direction, const LevelMemory& targets,
                           const LevelMemory& sources) {
    PairsArgs args;
    args.problem = direction.problem(map.kv, targets.index.grid.ndim, sources.index.summary != nullptr);
    args.source = sources.index;
    args.targets = targets.state->indices;
    args.num_targets = targets.state->n;
    args.tile_rows = map.tile_rows;
    return args;
  };
  const PairsArgs forward = args_of(map.forward, out, in);
  const PairsArgs backward = args_of(map.backward, in, out);
  if (memory.tiles.start != nullptr) build_tiles(context, *map.forward.kernel, forward, memory.tiles);
  if (memory.tiles_bwd.start != nullptr)
    build_tiles(context, *map.backward.kernel, backward, memory.tiles_bwd);
  if (memory.pair_bwd != nullptr) {
    build_table(context, *map.backward.kernel, backward, memory.pair_bwd, stride_of(map.in_capacity),
                nullptr);
  }
  if (memory.pair_fwd == nullptr) return;
  build_table(context, *map.forward.kernel, forward, memory.pair_fwd, stride_of(map.out_capacity),
              memory.mask);
  const PairOptions& options = map.plan.options;
  if (options.order == RowOrder::kNone) return;
  for (std::int32_t j = 0; j < options.mask_splits; ++j) {
    const auto [lo, hi] = split_range(map.kv, options.mask_splits, j);
    mask_sort({memory.mask, forward.num_targets, map.mask_words, lo, hi,
               options.order == RowOrder::kPatternKey && has_pattern_key(map.plan.geometry),
               memory.argsort[static_cast<std::size_t>(j)], memory.sort_scratch});
  }
}

Status CpuPairBackend::run(Context& context, const std::int32_t* indices, std::int32_t n,
                           const std::int32_t* /*device_n*/, Workspace workspace) const noexcept {
  Status result;
  if (workspace.size() < layout_.workspace_bytes()) {
    return {ErrorCode::kCapacity, -1, static_cast<std::int64_t>(layout_.workspace_bytes()),
            static_cast<std::int64_t>(workspace.size())};
  }
  if (n < 0 || n > layout_.levels()[0].capacity) {
    result = {ErrorCode::kCapacity, -1, n, layout_.levels()[0].capacity};
    n = 0;
  }
  const LevelMemory input = layout_.level_memory(0, workspace);
  const InsertResult inserted = layout_.levels()[0].kernel->insert_rows(input.index, indices, n);
  if (inserted.out_of_range_row >= 0) result = {ErrorCode::kOutOfRange, -1, inserted.out_of_range_row, n};
  if (inserted.duplicate_row >= 0) result = {ErrorCode::kDuplicate, -1, inserted.duplicate_row, 0};
  input.state->indices = indices;
  input.state->n = input.index.state->count;

  for (std::size_t i = 0; i < layout_.maps().size(); ++i) {
    const MapChoice& map = layout_.maps()[i];
    if (map.plan.out_level == map.plan.in_level) continue;
    const LevelMemory from = layout_.level_memory(map.plan.in_level, workspace);
    const LevelMemory to = layout_.level_memory(map.plan.out_level, workspace);
    const CoordIndexKernel& kernel = *layout_.levels()[static_cast<std::size_t>(map.plan.out_level)].kernel;
    kernel.insert_reached(to.index, from.index, map.backward.relation);
    kernel.write_sites(to.index, to.indices);
    to.state->indices = to.indices;
    to.state->n = to.index.state->count;
    if (to.index.state->wanted > to.index.capacity && result.ok()) {
      result = {ErrorCode::kCapacity, static_cast<std::int32_t>(i), to.index.state->wanted,
                to.index.capacity};
    }
  }
  for (std::size_t i = 0; i < layout_.maps().size(); ++i) {
    const MapPlan& plan = layout_.maps()[i].plan;
    build_forms(context, layout_.maps()[i], layout_.map_memory(static_cast<std::int32_t>(i), workspace),
                layout_.level_memory(plan.in_level, workspace),
                layout_.level_memory(plan.out_level, workspace));
  }
  for (std::size_t l = 0; l < layout_.levels().size(); ++l) {
    layout_.levels()[l].kernel->clear(layout_.level_memory(static_cast<std::int32_t>(l), workspace).index);
  }
  return result;
}

LevelView CpuPairBackend::level_view(std::int32_t level, Workspace workspace) const noexcept {
  const LevelMemory m = layout_.level_memory(level, workspace);
  return {m.state->indices, m.state->n, nullptr, layout_.levels()[static_cast<std::size_t>(level)].capacity,
          m.state->index.wanted};
}

IndicePairsView CpuPairBackend::map_view(std::int32_t index, Workspace workspace) const noexcept {
  const MapChoice& map = layout_.maps()[static_cast<std::size_t>(index)];
  const MapMemory m = layout_.map_memory(index, workspace);
  const LevelView in = level_view(map.plan.in_level, workspace);
  const LevelView out = level_view(map.plan.out_level, workspace);
  IndicePairsView view;
  view.kv = map.kv;
  view.mask_words = map.mask_words;
  view.n_in = in.n;
  view.num_out = out.n;
  view.out_capacity = map.out_capacity;
  view.pair_stride = stride_of(map.out_capacity);
  view.pair_fwd = m.pair_fwd;
  view.bwd_stride = stride_of(map.in_capacity);
  view.pair_bwd = m.pair_bwd;
  view.mask = m.mask;
  view.mask_splits = map.plan.options.mask_splits;
  for (std::int32_t j = 0; j < view.mask_splits; ++j) {
    view.split_offsets[static_cast<std::size_t>(j)] = split_range(map.kv, view.mask_splits, j);
    view.mask_argsort[static_cast<std::size_t>(j)] = m.argsort[static_cast<std::size_t>(j)];
  }
  const auto tiles_view = [&](const TileMemory& tiles, std::int32_t rows) -> TilePairsView {
    if (tiles.start == nullptr) return {};
    return {map.tile_rows, static_cast<std::int32_t>(tiles_of(rows, map.tile_rows)), tiles.start,
            tiles.in_rows, tiles.out_rows};
  };
  view.tiles = tiles_view(m.tiles, out.n);
  view.tiles_bwd = tiles_view(m.tiles_bwd, in.n);
  view.out_indices = out.indices;
  return view;
}

std::int64_t CpuPairBackend::num_pairs(std::int32_t index, Workspace workspace) const noexcept {
  const IndicePairsView v = map_view(index, workspace);
  if (v.tiles.start != nullptr) return v.tiles.start[static_cast<std::int64_t>(v.tiles.num_tiles) * v.kv];
  if (v.tiles_bwd.start != nullptr)
    return v.tiles_bwd.start[static_cast<std::int64_t>(v.tiles_bwd.num_tiles) * v.kv];
  std::int64_t pairs = 0;
  if (v.mask != nullptr) {
    const std::int64_t words = static_cast<std::int64_t>(v.num_out) * v.mask_words;
    for (std::int64_t i = 0; i < words; ++i) pairs += std::popcount(v.mask[i]);
  } else if (v.pair_bwd != nullptr) {
    for (std::int32_t k = 0; k < v.kv; ++k) {
      const std::int32_t* row = v.pair_bwd + k * v.bwd_stride;
      pairs += std::count_if(row, row + v.n_in, [](std::int32_t o) { return o >= 0; });
    }
  }
  return pairs;
}

}  // namespace

std::unique_ptr<PairBackend> make_cpu_pair_backend(Context& context, PairPlan plan,
                                                   std::size_t max_bitmap_bytes) {
  return std::make_unique<CpuPairBackend>(context, std::move(plan), max_bitmap_bytes);
}

std::unique_ptr<PairBackend> make_cpu_pair_backend(Context& context, PairPlan plan) {
  return make_cpu_pair_backend(context, std::move(plan), kMaxBitmapBytes);
}

}  // namespace voxgemm
