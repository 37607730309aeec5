// Kernel maps on the CPU: one coordinate index a level, then every map's forms by rows or tiles in parallel.
#include "pairs/cpu_pair_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "core/context_impl.h"
#include "core/parallel.h"
#include "kernels/coord_index/coord_index.h"
#include "kernels/mask_sort/mask_sort.h"
#include "kernels/pairs/pairs.h"
#include "pairs/pair_plan.h"

namespace voxgemm {
namespace {

constexpr std::int32_t kDefaultTileRows = 256;
constexpr std::int64_t kTableGrain = 2048;   // rows of a parallel step
constexpr std::int64_t kTileGrain = 8;       // tiles of a parallel step, at least
constexpr std::int64_t kMaxChunks = 64;      // parallel steps of one map
constexpr std::size_t kSortEntryBytes = 16;  // of sorted words, twice
constexpr PairForms kForwardForms = kPairTable | kTilePairs;
constexpr PairForms kBackwardForms = kPairBackward | kTilePairsBackward;

// What a run leaves for its views.
struct LevelState {
  const std::int32_t* indices = nullptr;
  std::int32_t n = 0;
  CoordIndexState index{};
};

struct LevelMemory {
  LevelState* state = nullptr;
  std::int32_t* indices = nullptr;  // null for the input
  CoordIndexRef index{};
};

struct TileMemory {
  std::int32_t* start = nullptr;
  std::int32_t* in_rows = nullptr;
  std::uint16_t* out_rows = nullptr;
};

struct MapMemory {
  std::int32_t* pair_fwd = nullptr;
  std::int32_t* pair_bwd = nullptr;
  std::uint32_t* mask = nullptr;
  std::array<std::int32_t*, kMaxMaskSplits> argsort{};
  std::int32_t* sort_scratch = nullptr;
  TileMemory tiles{};
  TileMemory tiles_bwd{};
};

struct LevelChoice {
  const CoordIndexKernel* kernel = nullptr;
  KeyGrid grid{};
  std::int32_t capacity = 0;
  bool input = false;
  std::size_t scratch_bytes = 0;
  std::string why;
};

struct Direction {
  Relation relation{};
  TapPlan taps{};
  const PairsKernel* kernel = nullptr;
  std::int64_t max_pairs = 0;

  [[nodiscard]] PairsProblem problem(std::int32_t kv, std::int32_t target_ndim, bool direct) const {
    return {kv, relation, taps.view(), target_ndim, direct};
  }
};

struct MapChoice {
  MapPlan plan{};
  std::int32_t kv = 1;
  std::int32_t mask_words = 1;
  std::int32_t tile_rows = kDefaultTileRows;
  std::int32_t in_capacity = 0;
  std::int32_t out_capacity = 0;
  Direction forward{};
  Direction backward{};
};

std::int64_t bitmap_words(const KeyGrid& grid) { return (num_keys(grid) + 63) / 64; }
std::int64_t summary_words(const KeyGrid& grid) { return (bitmap_words(grid) + 63) / 64; }
std::int64_t stride_of(std::int32_t capacity) {
  return static_cast<std::int64_t>(align_up(static_cast<std::size_t>(capacity), 16));
}
std::int64_t tiles_of(std::int32_t rows, std::int32_t tile_rows) {
  return (static_cast<std::int64_t>(rows) + tile_rows - 1) / tile_rows;
}

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
const CoordIndexKernel& choose_index(const Context& context, bool direct) {
  const CoordIndexKernel* best = nullptr;
  for (const CoordIndexKernel& row : coord_index_kernels()) {
    if (row.direct != direct || !context.supports(row.isa)) continue;
    if (row.name == context.kernels().force) return row;
    if (best == nullptr) best = &row;
  }
  return *best;  // the last row of each structure is scalar
}

class CpuPairBackend final : public PairBackend {
 public:
  CpuPairBackend(Context& context, PairPlan plan, std::size_t max_bitmap_bytes);

  [[nodiscard]] std::size_t workspace_bytes() const override { return workspace_bytes_; }
  [[nodiscard]] std::string describe_level(std::int32_t level) const override {
    return levels_.at(static_cast<std::size_t>(level)).why;
  }
  Status prepare(Context& context, Workspace workspace) const noexcept override;
  Status run(Context& context, const std::int32_t* indices, std::int32_t n, const std::int32_t* device_n,
             Workspace workspace) const noexcept override;
  [[nodiscard]] IndicePairsView map_view(std::int32_t map, Workspace workspace) const noexcept override;
  [[nodiscard]] LevelView level_view(std::int32_t level, Workspace workspace) const noexcept override;
  [[nodiscard]] std::int64_t num_pairs(std::int32_t map, Workspace workspace) const noexcept override;
  Status status(Context& /*context*/, Workspace /*workspace*/) const noexcept override { return {}; }

 private:
  [[nodiscard]] Halo level_halo(std::int32_t level) const;
  void choose_level(const Context& context, std::int32_t level, std::size_t max_bitmap_bytes);
  void choose_map(const Context& context, const MapPlan& plan);
  LevelMemory carve_level(Carver& carver, std::size_t level) const noexcept;
  MapMemory carve_map(Carver& carver, const MapChoice& map) const noexcept;
  [[nodiscard]] LevelMemory level_memory(std::int32_t level, Workspace workspace) const noexcept;
  [[nodiscard]] MapMemory map_memory(std::int32_t map, Workspace workspace) const noexcept;
  void build_forms(const Context& context, const MapChoice& map, const MapMemory& memory,
                   const LevelMemory& in, const LevelMemory& out) const noexcept;

  PairPlan plan_;
  std::vector<LevelChoice> levels_;
  std::vector<MapChoice> maps_;
  std::vector<std::size_t> map_offset_;  // bytes into the workspace
  std::vector<std::size_t> level_offset_;
  std::size_t workspace_bytes_ = 0;
};

CpuPairBackend::CpuPairBackend(Context& context, PairPlan plan, std::size_t max_bitmap_bytes)
    : plan_(std::move(plan)) {
  const auto levels = static_cast<std::int32_t>(plan_.levels.size());
  for (std::int32_t level = 0; level < levels; ++level) choose_level(context, level, max_bitmap_bytes);
  for (const MapPlan& map : plan_.maps) choose_map(context, map);
  Carver carver;
  for (std::size_t l = 0; l < levels_.size(); ++l) {
    level_offset_.push_back(carver.used());
    carve_level(carver, l);
  }
  for (const MapChoice& map : maps_) {
    map_offset_.push_back(carver.used());
    carve_map(carver, map);
  }
  workspace_bytes_ = carver.used();
}

// What the maps that look rows up in the level need around it.
Halo CpuPairBackend::level_halo(std::int32_t level) const {
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

void CpuPairBackend::choose_level(const Context& context, std::int32_t level, std::size_t max_bitmap_bytes) {
  const LevelPlan& plan = plan_.levels[static_cast<std::size_t>(level)];
  LevelChoice choice;
  choice.capacity = plan.capacity;
  choice.input = plan.made_by < 0;
  GridPlan grid = make_grid(plan.shape, plan.batch_size, level_halo(level));
  if (!grid.fits) grid = make_grid(plan.shape, plan.batch_size);
  choice.grid = grid.grid;
  const std::int64_t bytes = num_keys(choice.grid) / 8;
  constexpr std::int64_t kMaxDirect = (std::int64_t{1} << 31) / 8 - 64;  // keys of a bitmap are 32-bit
  const std::int64_t limit = static_cast<std::int64_t>(std::min<std::size_t>(max_bitmap_bytes, kMaxDirect));
  if (bytes < limit) {
    choice.kernel = &choose_index(context, true);
    choice.why = fmt::format("bitmap: {} bytes for {} cells with their margins, limit {}", bytes,
                             num_keys(choice.grid), limit);
    levels_.push_back(std::move(choice));
    return;
  }
  choice.kernel = &choose_index(context, false);
  choice.why = fmt::format("sorted words: a bitmap of {} cells would take {} bytes, limit {}",
                           num_keys(choice.grid), bytes, limit);
  std::int64_t entries = plan.capacity;  // keys and rows
  if (!choice.input) {
    const MapPlan& map = plan_.maps[static_cast<std::size_t>(plan.made_by)];
    const Relation reach = backward_relation(map.geometry, choice.grid);
    entries = plan_.levels[static_cast<std::size_t>(map.in_level)].capacity *
              std::max(4 * max_source_lines(reach), max_sources(reach));
  }
  choice.scratch_bytes = static_cast<std::size_t>(entries) * 2 * kSortEntryBytes;
  levels_.push_back(std::move(choice));
}

void CpuPairBackend::choose_map(const Context& context, const MapPlan& plan) {
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
  check(pairs <= std::numeric_limits<std::int32_t>::max(), ErrorCode::kUnsupported,
        fmt::format("map {}: up to {} pairs, limit {}", maps_.size(), pairs,
                    std::numeric_limits<std::int32_t>::max()));
  const auto select = [&](Direction& direction, const LevelChoice& target, const LevelChoice& source) {
    direction.taps = make_taps(direction.relation, target.grid);
    const PairsProblem problem = direction.problem(map.kv, target.grid.ndim, source.kernel->direct);
    direction.kernel = &choose_kernel(context, problem);
    direction.max_pairs = pairs;
  };
  select(map.forward, out, in);
  select(map.backward, in, out);
  maps_.push_back(std::move(map));
}

LevelMemory CpuPairBackend::carve_level(Carver& carver, std::size_t level) const noexcept {
  const LevelChoice& choice = levels_[level];
  LevelMemory m;
  m.state = carver.take<LevelState>(1);
  if (level > 0)
    m.indices =
        carver.take<std::int32_t>(static_cast<std::int64_t>(choice.capacity) * (1 + choice.grid.ndim));
  CoordIndexRef& index = m.index;
  index.grid = choice.grid;
  index.capacity = choice.capacity;
  const std::int64_t words = choice.kernel->direct ? bitmap_words(choice.grid) + 2 : choice.capacity;
  index.words = carver.take<std::uint64_t>(words);
  index.ranks = carver.take<std::int32_t>(2 * words);
  if (choice.kernel->direct) index.summary = carver.take<std::uint64_t>(summary_words(choice.grid));
  index.ids = carver.take<std::int64_t>(choice.capacity);
  if (choice.input) index.row_of_rank = carver.take<std::int32_t>(choice.capacity + 1);
  if (choice.input && choice.kernel->direct) index.keys_of_rows = carver.take<std::int64_t>(choice.capacity);
  if (!choice.kernel->direct) index.directory = carver.take<std::int32_t>(kDirectorySlots + 2);
  index.scratch = carver.take<std::byte>(static_cast<std::int64_t>(choice.scratch_bytes));
  index.state = m.state == nullptr ? nullptr : &m.state->index;
  return m;
}

MapMemory CpuPairBackend::carve_map(Carver& carver, const MapChoice& map) const noexcept {
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
  if ((forms & kTilePairsBackward) != 0) carve_tiles(m.tiles_bwd, map.in_capacity, map.backward.max_pairs);
  return m;
}

LevelMemory CpuPairBackend::level_memory(std::int32_t level, Workspace workspace) const noexcept {
  const auto at = static_cast<std::size_t>(level);
  Carver carver(workspace.subspan(level_offset_[at]));
  return carve_level(carver, at);
}

MapMemory CpuPairBackend::map_memory(std::int32_t map, Workspace workspace) const noexcept {
  const auto at = static_cast<std::size_t>(map);
  Carver carver(workspace.subspan(map_offset_[at]));
  return carve_map(carver, maps_[at]);
}

Status CpuPairBackend::prepare(Context& /*context*/, Workspace workspace) const noexcept {
  if (workspace.size() < workspace_bytes_) {
    return {ErrorCode::kCapacity, -1, static_cast<std::int64_t>(workspace_bytes_),
            static_cast<std::int64_t>(workspace.size())};
  }
  for (std::size_t l = 0; l < levels_.size(); ++l) {
    const LevelMemory m = level_memory(static_cast<std::int32_t>(l), workspace);
    *m.state = {};
    m.state->indices = m.indices;
    if (!levels_[l].kernel->direct) continue;
    std::memset(m.index.words, 0,
                static_cast<std::size_t>(bitmap_words(m.index.grid) + 2) * sizeof(std::uint64_t));
    std::memset(m.index.summary, 0,
                static_cast<std::size_t>(summary_words(m.index.grid)) * sizeof(std::uint64_t));
  }
  for (std::size_t i = 0; i < maps_.size(); ++i) {
    const MapMemory m = map_memory(static_cast<std::int32_t>(i), workspace);
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

void CpuPairBackend::build_forms(const Context& context, const MapChoice& map, const MapMemory& memory,
                                 const LevelMemory& in, const LevelMemory& out) const noexcept {
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
  if (workspace.size() < workspace_bytes_) {
    return {ErrorCode::kCapacity, -1, static_cast<std::int64_t>(workspace_bytes_),
            static_cast<std::int64_t>(workspace.size())};
  }
  if (n < 0 || n > levels_[0].capacity) {
    result = {ErrorCode::kCapacity, -1, n, levels_[0].capacity};
    n = 0;
  }
  const LevelMemory input = level_memory(0, workspace);
  const InsertResult inserted = levels_[0].kernel->insert_rows(input.index, indices, n);
  if (inserted.out_of_range_row >= 0) result = {ErrorCode::kOutOfRange, -1, inserted.out_of_range_row, n};
  if (inserted.duplicate_row >= 0) result = {ErrorCode::kDuplicate, -1, inserted.duplicate_row, 0};
  input.state->indices = indices;
  input.state->n = input.index.state->count;

  for (std::size_t i = 0; i < maps_.size(); ++i) {
    const MapChoice& map = maps_[i];
    if (map.plan.out_level == map.plan.in_level) continue;
    const LevelMemory from = level_memory(map.plan.in_level, workspace);
    const LevelMemory to = level_memory(map.plan.out_level, workspace);
    const CoordIndexKernel& kernel = *levels_[static_cast<std::size_t>(map.plan.out_level)].kernel;
    kernel.insert_reached(to.index, from.index, map.backward.relation);
    kernel.write_sites(to.index, to.indices);
    to.state->indices = to.indices;
    to.state->n = to.index.state->count;
    if (to.index.state->wanted > to.index.capacity && result.ok()) {
      result = {ErrorCode::kCapacity, static_cast<std::int32_t>(i), to.index.state->wanted,
                to.index.capacity};
    }
  }
  for (std::size_t i = 0; i < maps_.size(); ++i) {
    const MapPlan& plan = maps_[i].plan;
    build_forms(context, maps_[i], map_memory(static_cast<std::int32_t>(i), workspace),
                level_memory(plan.in_level, workspace), level_memory(plan.out_level, workspace));
  }
  for (std::size_t l = 0; l < levels_.size(); ++l) {
    levels_[l].kernel->clear(level_memory(static_cast<std::int32_t>(l), workspace).index);
  }
  return result;
}

LevelView CpuPairBackend::level_view(std::int32_t level, Workspace workspace) const noexcept {
  const LevelMemory m = level_memory(level, workspace);
  return {m.state->indices, m.state->n, nullptr, levels_[static_cast<std::size_t>(level)].capacity,
          m.state->index.wanted};
}

IndicePairsView CpuPairBackend::map_view(std::int32_t index, Workspace workspace) const noexcept {
  const MapChoice& map = maps_[static_cast<std::size_t>(index)];
  const MapMemory m = map_memory(index, workspace);
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
