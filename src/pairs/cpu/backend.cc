// Kernel maps on the CPU: one coordinate index a level, then every map's forms by rows or tiles in parallel.
#include "pairs/cpu/backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "core/context_impl.h"
#include "kernels/coord_index/coord_index.h"
#include "kernels/pairs/pairs.h"
#include "pairs/cpu/input_level.h"
#include "pairs/cpu/layout.h"
#include "pairs/cpu/schedule.h"
#include "pairs/relations.h"

namespace voxgemm::cpu_pairs {
namespace {

class CpuPairBackend final : public PairBackend {
 public:
  CpuPairBackend(const Context& context, PairPlan plan, const IndexLimits& limits)
      : layout_(context, std::move(plan), limits) {}

  [[nodiscard]] std::size_t workspace_bytes() const override { return layout_.workspace_bytes(); }
  [[nodiscard]] std::string describe_level(std::int32_t level) const override {
    return layout_.levels().at(static_cast<std::size_t>(level)).why;
  }
  Status prepare(Context& context, const Stamp& stamp, Workspace workspace) const noexcept override;
  Status run(Context& context, const std::int32_t* indices, std::int32_t n, const std::int32_t* device_n,
             const Stamp& stamp, Workspace workspace) const noexcept override;
  [[nodiscard]] IndicePairsView map_view(std::int32_t map, Workspace workspace) const noexcept override;
  [[nodiscard]] LevelView level_view(std::int32_t level, Workspace workspace) const noexcept override;
  [[nodiscard]] std::int64_t num_pairs(std::int32_t map, Workspace workspace) const noexcept override;
  Status status(Context& /*context*/, Workspace /*workspace*/) const noexcept override { return {}; }

 private:
  CpuPairLayout layout_;
};

Status CpuPairBackend::prepare(Context& /*context*/, const Stamp& stamp, Workspace workspace) const noexcept {
  for (std::size_t l = 0; l < layout_.levels().size(); ++l) {
    const LevelMemory m = layout_.level_memory(static_cast<std::int32_t>(l), workspace);
    std::construct_at(m.state);
    m.state->indices = m.indices;
    if (m.index.form == IndexForm::kSortedWords) continue;
    m.index.summary[summary_words(m.index.grid)] = 0;  // what a window reads past the end
    if (m.index.form != IndexForm::kBitmap) continue;
    std::memset(m.index.words, 0,
                static_cast<std::size_t>(bitmap_words(m.index.grid) + 2) * sizeof(std::uint64_t));
  }
  for (std::size_t i = 0; i < layout_.maps().size(); ++i) {
    const MapMemory m = layout_.map_memory(static_cast<std::int32_t>(i), workspace);
    if (m.tiles.start != nullptr) m.tiles.start[0] = 0;
    if (m.tiles_bwd.start != nullptr) m.tiles_bwd.start[0] = 0;
  }
  *stamp.at = stamp.value;
  return {};
}

Status CpuPairBackend::run(Context& context, const std::int32_t* indices, std::int32_t n,
                           const std::int32_t* /*device_n*/, const Stamp& /*stamp*/,
                           Workspace workspace) const noexcept {
  Status result;
  if (n < 0 || n > layout_.levels()[0].capacity) {
    result = {ErrorCode::kCapacity, -1, n, layout_.levels()[0].capacity};
    n = 0;
  }
  const InsertResult inserted = insert_input(context, layout_, workspace, indices, n);
  if (inserted.out_of_range_row >= 0) result = {ErrorCode::kOutOfRange, -1, inserted.out_of_range_row, n};
  if (inserted.duplicate_row >= 0) result = {ErrorCode::kDuplicate, -1, inserted.duplicate_row, 0};

  run_tasks(context, layout_, workspace);
  for (std::size_t i = 0; i < layout_.maps().size(); ++i) {
    const MapPlan& plan = layout_.maps()[i].plan;
    if (plan.out_level == plan.in_level || !result.ok()) continue;
    const CoordIndexRef index = layout_.level_memory(plan.out_level, workspace).index;
    if (index.state->wanted > index.capacity) {
      result = {ErrorCode::kCapacity, static_cast<std::int32_t>(i), index.state->wanted, index.capacity};
    }
  }
  clear_levels(context, layout_, workspace);
  return result;
}

LevelView CpuPairBackend::level_view(std::int32_t level, Workspace workspace) const noexcept {
  const LevelMemory m = layout_.level_memory(level, workspace);
  return {.indices = m.state->indices,
          .places = m.state->places,
          .n = m.state->n,
          .capacity = layout_.levels()[static_cast<std::size_t>(level)].capacity,
          .wanted = m.state->index.wanted};
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
  view.blocks = {m.blocks.order, m.blocks.num_steps, m.blocks.offsets, m.blocks.in_rows};
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
}  // namespace voxgemm::cpu_pairs

namespace voxgemm {

std::unique_ptr<PairBackend> make_cpu_pair_backend(Context& context, PairPlan plan,
                                                   const IndexLimits& limits) {
  return std::make_unique<cpu_pairs::CpuPairBackend>(context, std::move(plan), limits);
}

std::unique_ptr<PairBackend> make_cpu_pair_backend(Context& context, PairPlan plan) {
  return make_cpu_pair_backend(context, std::move(plan), IndexLimits{});
}

}  // namespace voxgemm
