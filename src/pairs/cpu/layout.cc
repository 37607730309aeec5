#include "pairs/cpu/layout.h"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "core/check.h"
#include "core/kernel_table.h"

namespace voxgemm::cpu_pairs {
namespace {

constexpr std::size_t kSortEntryBytes = 16;
constexpr std::int64_t kWantedSlabs = 512;  // enough to share out, few enough to count rows of each
constexpr PairForms kForwardForms = kPairTable | kTilePairs;
constexpr PairForms kBackwardForms = kPairBackward | kTilePairsBackward;

// Best row that takes the problem here; a forced name counts when it is one of these rows.
const PairsKernel& choose_kernel(const Context& context, const PairsProblem& problem) {
  const PairsKernel* best = nullptr;
  for (const PairsKernel& row : pairs_kernels()) {
    if (!context.supports(row.isa) || row.rejects(problem) != nullptr) continue;
    if (row.name == context.kernels().force) return row;
    if (best == nullptr) best = &row;
  }
  return *best;  // the last row takes everything
}

// Best row of a structure here.
const CoordIndexKernel& choose_index(const Context& context, IndexForm form) {
  const CoordIndexKernel* best = nullptr;
  for (const CoordIndexKernel& row : coord_index_kernels()) {
    if (row.form != form || !context.supports(row.isa)) continue;
    if (row.name == context.kernels().force) return row;
    if (best == nullptr) best = &row;
  }
  return *best;  // the last row of each structure is scalar
}

}  // namespace

CpuPairLayout::CpuPairLayout(const Context& context, PairPlan plan, const IndexLimits& limits)
    : plan_(std::move(plan)) {
  const auto levels = static_cast<std::int32_t>(plan_.levels.size());
  for (std::int32_t level = 0; level < levels; ++level) choose_level(context, level, limits);
  for (const MapPlan& map : plan_.maps) choose_map(context, map);
  Carver carver;
  for (const LevelChoice& level : levels_) {
    level_offset_.push_back(carver.used());
    carve_level(carver, level);
  }
  for (const MapChoice& map : maps_) {
    map_offset_.push_back(carver.used());
    carve_map(carver, map);
  }
  list_tasks();
  tasks_offset_ = carver.used();
  carver.take<TaskState>(static_cast<std::int64_t>(tasks_.size()) + 1);
  workspace_bytes_ = carver.used();
}

// Levels first: everything else waits for them.
void CpuPairLayout::list_tasks() {
  const auto maps = static_cast<std::int32_t>(maps_.size());
  for (std::int32_t i = 0; i < maps; ++i) {
    const MapPlan& plan = maps_[static_cast<std::size_t>(i)].plan;
    if (plan.out_level == plan.in_level) continue;
    tasks_.push_back({TaskKind::kReach, i});
    tasks_.push_back({TaskKind::kNumber, i});
  }
  for (std::int32_t i = 0; i < maps; ++i) {
    const PairForms forms = maps_[static_cast<std::size_t>(i)].plan.options.forms;
    const auto add = [&](PairForm form, TaskKind kind) {
      if ((forms & form) != 0) tasks_.push_back({kind, i});
    };
    add(kTilePairs, TaskKind::kTiles);
    add(kTilePairsBackward, TaskKind::kTilesBackward);
    add(kPairBackward, TaskKind::kTableBackward);
    add(kPairTable, TaskKind::kTable);
  }
}

// What the maps that look rows up in the level need around it.
Halo CpuPairLayout::level_halo(std::int32_t level) const {
  Halo halo{};
  for (const MapPlan& map : plan_.maps) {
    const LevelPlan& in = plan_.levels[static_cast<std::size_t>(map.in_level)];
    const LevelPlan& out = plan_.levels[static_cast<std::size_t>(map.out_level)];
    const KeyGrid in_grid = make_grid(in.shape, in.batch_size).grid;
    const KeyGrid out_grid = make_grid(out.shape, out.batch_size).grid;
    const auto widen = [&](const Halo& needed) {
      std::transform(halo.begin(), halo.end(), needed.begin(), halo.begin(),
                     [](std::int64_t a, std::int64_t b) { return std::max(a, b); });
    };
    if (map.in_level == level && (map.options.forms & kForwardForms) != 0) {
      widen(needed_halo(forward_relation(map.geometry, in_grid), out_grid));
    }
    if (map.out_level == level && (map.options.forms & kBackwardForms) != 0) {
      widen(needed_halo(backward_relation(map.geometry, out_grid), in_grid));
    }
  }
  return halo;
}

void CpuPairLayout::choose_level(const Context& context, std::int32_t level, const IndexLimits& limits) {
  const LevelPlan& plan = plan_.levels[static_cast<std::size_t>(level)];
  LevelChoice choice;
  choice.capacity = plan.capacity;
  choice.input = plan.made_by < 0;
  choice.keeps_order = choice.input && plan.rows == InputRows::kAsGiven;
  GridPlan grid = make_grid(plan.shape, plan.batch_size, level_halo(level));
  if (!grid.fits) grid = make_grid(plan.shape, plan.batch_size);
  choice.grid = grid.grid;
  const std::int64_t keys = num_keys(choice.grid);
  const auto below = [](std::int64_t bytes, std::size_t limit) {
    return static_cast<std::size_t>(bytes) < limit;
  };
  constexpr std::size_t kMaxDirect = (std::size_t{1} << 31) / 8 - 64;  // keys of a bitmap are 31-bit
  const std::size_t bitmap_limit = std::min(limits.bitmap_bytes, kMaxDirect);
  const std::int64_t ranked_bytes = summary_words(choice.grid) * 16;
  IndexForm form = IndexForm::kSortedWords;
  if (below(keys / 8, bitmap_limit)) {
    form = IndexForm::kBitmap;
    choice.why = fmt::format("bitmap: {} bytes for {} cells with their margins, limit {}", keys / 8, keys,
                             bitmap_limit);
  } else if (below(ranked_bytes, limits.ranked_bytes) && plan.capacity <= kMaxRankedWords) {
    form = IndexForm::kRankedWords;
    choice.why =
        fmt::format("ranked words: {} bytes for {} cells, limit {}; a bitmap would take {}, limit {}",
                    ranked_bytes, keys, limits.ranked_bytes, keys / 8, bitmap_limit);
  } else {
    choice.why = fmt::format("sorted words: ranked words of {} cells would take {} bytes, limit {}", keys,
                             ranked_bytes, limits.ranked_bytes);
    choice.scratch_bytes = sort_scratch_bytes(plan, choice.grid);
  }
  choice.kernel = &choose_index(context, form);
  if (form != IndexForm::kSortedWords) {
    while (choice.slab_shift < kMaxSlabShift && keys >> choice.slab_shift >= kWantedSlabs)
      ++choice.slab_shift;
    choice.num_slabs = static_cast<std::int32_t>((keys - 1) >> choice.slab_shift) + 1;
  }
  levels_.push_back(std::move(choice));
}

// Two arrays of keys and rows of the input, or of words that the sites of the level before reach.
std::size_t CpuPairLayout::sort_scratch_bytes(const LevelPlan& plan, const KeyGrid& grid) const {
  std::int64_t entries = plan.capacity;
  if (plan.made_by >= 0) {
    const MapPlan& map = plan_.maps[static_cast<std::size_t>(plan.made_by)];
    const Relation reach = backward_relation(map.geometry, grid);
    entries = plan_.levels[static_cast<std::size_t>(map.in_level)].capacity *
              std::max(4 * (max_source_lines(reach) + 1), 2 * max_sources(reach));  // lines go in pairs
  }
  return static_cast<std::size_t>(entries) * 2 * kSortEntryBytes;
}

void CpuPairLayout::choose_map(const Context& context, const MapPlan& plan) {
  const LevelChoice& in = levels_[static_cast<std::size_t>(plan.in_level)];
  const LevelChoice& out = levels_[static_cast<std::size_t>(plan.out_level)];
  MapChoice map;
  map.plan = plan;
  map.kv = plan.geometry.kernel_volume();
  map.mask_words = (map.kv + 31) / 32;
  if (plan.options.tile_rows > 0) map.tile_rows = plan.options.tile_rows;
  map.in_capacity = in.capacity;
  map.out_capacity = out.capacity;
  map.forward.relation = forward_relation(plan.geometry, in.grid);
  map.backward.relation = backward_relation(plan.geometry, out.grid);
  const std::int64_t pairs = std::min(out.capacity * max_sources(map.forward.relation),
                                      in.capacity * max_sources(map.backward.relation));
  if (pairs > std::numeric_limits<std::int32_t>::max()) {
    fail(ErrorCode::kUnsupported,
         "{} may have {} pairs, limit {}: {} rows in, {} rows out, kernel volume {}; lower the capacities",
         plan.title(), pairs, std::numeric_limits<std::int32_t>::max(), in.capacity, out.capacity, map.kv);
  }
  const auto select = [&](Direction& direction, const LevelChoice& target, const LevelChoice& source) {
    direction.taps = make_taps(direction.relation, target.grid);
    const PairsProblem problem = direction.problem(map.kv, target.grid.ndim, source.kernel->form);
    direction.kernel = &choose_kernel(context, problem);
    direction.max_pairs = pairs;
  };
  select(map.forward, out, in);
  select(map.backward, in, out);
  map.blocks_kernel = pick_kernel(context, pair_blocks_kernels());
  maps_.push_back(std::move(map));
}

LevelMemory CpuPairLayout::carve_level(Carver& carver, const LevelChoice& choice) const noexcept {
  LevelMemory m;
  m.state = carver.take<LevelState>(1);
  if (!choice.keeps_order) {
    m.indices =
        carver.take<std::int32_t>(static_cast<std::int64_t>(choice.capacity) * (1 + choice.grid.ndim));
  }
  CoordIndexRef& index = m.index;
  index.grid = choice.grid;
  index.form = choice.kernel->form;
  index.capacity = choice.capacity;
  const bool bitmap = index.form == IndexForm::kBitmap;
  const std::int64_t words = bitmap ? bitmap_words(choice.grid) + 2 : choice.capacity + std::int64_t{1};
  index.words = carver.take<std::uint64_t>(words);
  index.ranks = carver.take<std::int32_t>(2 * words);
  index.ids = carver.take<std::int64_t>(choice.capacity);
  if (choice.input) {
    (choice.keeps_order ? index.row_of_rank : index.rank_of_row) =
        carver.take<std::int32_t>(choice.capacity + std::int64_t{1});
  }
  if (index.form == IndexForm::kSortedWords) {
    index.directory = carver.take<std::int32_t>(kDirectorySlots + 2);
    index.scratch = carver.take<std::byte>(static_cast<std::int64_t>(choice.scratch_bytes));
  } else {
    index.summary = carver.take<std::uint64_t>(summary_words(choice.grid) + 1);
    if (!bitmap) index.places = carver.take<std::int32_t>(2 * summary_words(choice.grid) + 2);
    index.slabs = carver.take<IndexSlab>(choice.num_slabs);
    index.num_slabs = choice.num_slabs;
    index.slab_shift = choice.slab_shift;
    if (choice.input) {
      index.entries = carver.take<SlabEntry>(choice.capacity);
      m.counts = carver.take<std::int32_t>(static_cast<std::int64_t>(choice.num_slabs) * kMaxChunks);
    }
  }
  index.state = m.state == nullptr ? nullptr : &m.state->index;
  return m;
}

MapMemory CpuPairLayout::carve_map(Carver& carver, const MapChoice& map) const noexcept {
  MapMemory m;
  const PairForms forms = map.plan.options.forms;
  const auto carve_tiles = [&](TileMemory& tiles, std::int32_t capacity, std::int64_t pairs) {
    tiles.start = carver.take<std::int32_t>(tiles_of(capacity, map.tile_rows) * map.kv + 1);
    tiles.in_rows = carver.take<std::int32_t>(pairs);
    tiles.out_rows = carver.take<std::uint16_t>(pairs);
  };
  if ((forms & kPairTable) != 0) {
    m.pair_fwd = carver.take<std::int32_t>(map.kv * stride_of(map.out_capacity));
    m.mask = carver.take<std::uint32_t>(static_cast<std::int64_t>(map.out_capacity) * map.mask_words);
    if (map.plan.options.order != RowOrder::kNone) {
      for (std::int32_t j = 0; j < map.plan.options.mask_splits; ++j) {
        m.argsort[static_cast<std::size_t>(j)] = carver.take<std::int32_t>(map.out_capacity);
      }
      m.sort_scratch = carver.take<std::int32_t>(map.out_capacity);
    }
  }
  if ((forms & kPairBackward) != 0)
    m.pair_bwd = carver.take<std::int32_t>(map.kv * stride_of(map.in_capacity));
  if ((forms & kTilePairs) != 0) carve_tiles(m.tiles, map.out_capacity, map.forward.max_pairs);
  if ((forms & kBlockPairs) != 0) {
    const std::int64_t blocks = tiles_of(map.out_capacity, kPairBlockRows);
    m.blocks.order = carver.take<std::int32_t>(map.out_capacity);
    m.blocks.num_steps = carver.take<std::int32_t>(blocks);
    m.blocks.offsets = carver.take<std::int32_t>(blocks * map.kv);
    m.blocks.in_rows = carver.take<std::int32_t>(blocks * map.kv * kPairBlockRows);
  }
  if ((forms & kTilePairsBackward) != 0) carve_tiles(m.tiles_bwd, map.in_capacity, map.backward.max_pairs);
  return m;
}

LevelMemory CpuPairLayout::level_memory(std::int32_t level, Workspace workspace) const noexcept {
  const auto at = static_cast<std::size_t>(level);
  Carver carver(workspace.subspan(level_offset_[at]));
  return carve_level(carver, levels_[at]);
}

TaskState* CpuPairLayout::task_states(Workspace workspace) const noexcept {
  Carver carver(workspace.subspan(tasks_offset_));
  return carver.take<TaskState>(static_cast<std::int64_t>(tasks_.size()) + 1);
}

MapMemory CpuPairLayout::map_memory(std::int32_t map, Workspace workspace) const noexcept {
  const auto at = static_cast<std::size_t>(map);
  Carver carver(workspace.subspan(map_offset_[at]));
  return carve_map(carver, maps_[at]);
}

}  // namespace voxgemm::cpu_pairs
