#include "pairs/cpu/schedule.h"

#include <algorithm>
#include <memory>

#include "core/parallel.h"
#include "core/wait.h"
#include "kernels/mask_sort/mask_sort.h"
#include "pairs/cpu/input_level.h"
#include "pairs/relations.h"

namespace voxgemm::cpu_pairs {
namespace {

constexpr std::int64_t kTableRows = 2048;          // rows of a unit of a table
static_assert(kTableRows % kPairWindowRows == 0);  // so that a unit's blocks are its own
constexpr std::int64_t kSlabUnit = 4;              // slabs of a unit
constexpr std::int64_t kUnitsPerLook = 16;         // units of one task before a thread looks for another

bool has_pattern_key(const ConvGeometry& g) {
  return g.kind == ConvKind::kSubm && g.kernel_size == Dims{3, 3, 3};
}

// Pairs of a tile begin where those of the tile before it end. Threads take tiles in order and count a tile
// before they wait, so the one waited for is being counted.
std::int32_t place_tile(void* state, std::int64_t tile, std::int32_t pairs) noexcept {
  std::atomic<std::uint64_t>& placed = static_cast<TaskState*>(state)->placed;
  std::uint64_t seen = placed.load(std::memory_order_relaxed);
  while (seen >> 32 != static_cast<std::uint64_t>(tile)) {
    wait_while(placed, seen);
    seen = placed.load(std::memory_order_relaxed);
  }
  const auto first = static_cast<std::uint32_t>(seen);
  placed.store(static_cast<std::uint64_t>(tile + 1) << 32 | (first + static_cast<std::uint32_t>(pairs)),
               std::memory_order_release);
  placed.notify_all();
  return static_cast<std::int32_t>(first);
}

bool is_backward(const PairTask& task) {
  return task.kind == TaskKind::kTilesBackward || task.kind == TaskKind::kTableBackward;
}

bool makes_tiles(const PairTask& task) {
  return task.kind == TaskKind::kTiles || task.kind == TaskKind::kTilesBackward;
}

bool makes_level(const PairTask& task) {
  return task.kind == TaskKind::kReach || task.kind == TaskKind::kNumber;
}

class TaskRunner {
 public:
  TaskRunner(const CpuPairLayout& layout, Workspace workspace) noexcept
      : layout_(layout), workspace_(workspace), states_(layout.task_states(workspace)) {}

  // Takes units until none is left to take; waits while others finish what the rest needs.
  void work() const noexcept {
    for (;;) {
      const std::uint64_t steps = steps_made().load(std::memory_order_acquire);
      bool waiting = false;
      if (run_first(waiting)) continue;
      if (!waiting) return;
      wait_while(steps_made(), steps);
    }
  }

 private:
  // Runs units of a task that has some. Levels go first, the most urgent first; of the rest the one that the
  // fewest threads are at, as the tiles of a map wait for each other. False when there is none now;
  // `waiting`: but there will be.
  bool run_first(bool& waiting) const noexcept {
    const auto tasks = layout_.tasks();
    for (;;) {
      std::size_t best = tasks.size();
      std::int32_t fewest = INT32_MAX;
      for (std::size_t i = 0; i < tasks.size() && fewest > 0; ++i) {
        if (states_[i].exhausted.load(std::memory_order_relaxed) != 0) continue;
        if (!ready(tasks[i])) {
          waiting = true;
          continue;
        }
        const std::int32_t workers =
            makes_level(tasks[i]) ? 0 : states_[i].workers.load(std::memory_order_relaxed);
        if (workers >= fewest) continue;
        best = i;
        fewest = workers;
      }
      if (best == tasks.size()) return false;
      states_[best].workers.fetch_add(1, std::memory_order_relaxed);
      const bool some = run_units(tasks[best], states_[best]);
      states_[best].workers.fetch_sub(1, std::memory_order_relaxed);
      if (some) return true;
    }
  }

  // Takes and runs up to kUnitsPerLook units, fewer when a level becomes ready: what follows from that is
  // more urgent. False when there was none.
  bool run_units(const PairTask& task, TaskState& state) const noexcept {
    const std::int64_t units = units_of(task);
    const std::uint64_t steps = steps_made().load(std::memory_order_relaxed);
    PairsArgs args;
    bool some = false;
    for (std::int64_t i = 0; i < kUnitsPerLook; ++i) {
      if (some && steps_made().load(std::memory_order_relaxed) != steps) break;
      const std::int64_t unit = state.taken.fetch_add(1, std::memory_order_relaxed);
      if (unit + 1 >= units) state.exhausted.store(1, std::memory_order_relaxed);
      if (unit >= units) return some;
      if (!some) args = args_of(task, state);
      some = true;
      run_unit(task, args, unit);
      if (state.done.fetch_add(1, std::memory_order_acq_rel) + 1 == units) finish(task);
    }
    return some;
  }

  [[nodiscard]] bool level_ready(std::int32_t level) const noexcept {
    return layout_.levels()[static_cast<std::size_t>(level)].input ||
           level_memory(level).state->ready.load(std::memory_order_acquire) != 0;
  }
  [[nodiscard]] bool ready(const PairTask& task) const noexcept {
    const MapPlan& plan = map_of(task).plan;
    if (!level_ready(plan.in_level)) return false;
    if (task.kind == TaskKind::kReach) return true;
    if (task.kind == TaskKind::kNumber)
      return level_memory(plan.out_level).state->reached.load(std::memory_order_acquire) != 0;
    return level_ready(plan.out_level);
  }
  [[nodiscard]] std::int64_t units_of(const PairTask& task) const noexcept {
    const MapChoice& map = map_of(task);
    if (makes_level(task))
      return (layout_.levels()[static_cast<std::size_t>(map.plan.out_level)].num_slabs + kSlabUnit - 1) /
             kSlabUnit;
    const std::int32_t rows =
        level_memory(is_backward(task) ? map.plan.in_level : map.plan.out_level).state->n;
    if (makes_tiles(task)) return tiles_of(rows, map.tile_rows);
    return (rows + kTableRows - 1) / kTableRows;
  }

  void run_unit(const PairTask& task, const PairsArgs& args, std::int64_t unit) const noexcept {
    const MapChoice& map = map_of(task);
    if (makes_level(task)) return make_slabs(task, unit);
    const PairsKernel& kernel = *(is_backward(task) ? map.backward : map.forward).kernel;
    if (makes_tiles(task)) return kernel.fill_tiles(args, {unit, unit + 1});
    const std::int64_t end = std::min<std::int64_t>((unit + 1) * kTableRows, args.num_targets);
    kernel.fill_table(args, {unit * kTableRows, end});
    if (task.kind == TaskKind::kTable) make_blocks(task, args, {unit * kTableRows, end});
  }

  // Blocks of table rows that have just been made, where they are asked for.
  void make_blocks(const PairTask& task, const PairsArgs& args, RowRange rows) const noexcept {
    const BlockMemory blocks = layout_.map_memory(task.map, workspace_).blocks;
    if (blocks.order == nullptr) return;
    const MapChoice& map = map_of(task);
    map.blocks_kernel->run(
        {.table = args.table,
         .table_stride = args.table_stride,
         .mask = args.mask,
         .kv = map.kv,
         .num_out = args.num_targets,
         .order = blocks.order,
         .num_steps = blocks.num_steps,
         .offsets = blocks.offsets,
         .in_rows = blocks.in_rows},
        {rows.begin / kPairWindowRows, (rows.end + kPairWindowRows - 1) / kPairWindowRows});
  }

  // What follows the last unit of a task.
  void finish(const PairTask& task) const noexcept {
    const MapChoice& map = map_of(task);
    const PairOptions& options = map.plan.options;
    if (makes_level(task)) return finish_level_step(task);
    if (task.kind != TaskKind::kTable || options.order == RowOrder::kNone) return;
    const MapMemory memory = layout_.map_memory(task.map, workspace_);
    for (std::int32_t j = 0; j < options.mask_splits; ++j) {
      const auto [lo, hi] = split_range(map.kv, options.mask_splits, j);
      mask_sort({memory.mask, level_memory(map.plan.out_level).state->n, map.mask_words, lo, hi,
                 options.order == RowOrder::kPatternKey && has_pattern_key(map.plan.geometry),
                 memory.argsort[static_cast<std::size_t>(j)], memory.sort_scratch});
    }
  }

  // Some slabs of a level, or all of sorted words.
  void make_slabs(const PairTask& task, std::int64_t unit) const noexcept {
    const MapChoice& map = map_of(task);
    const LevelMemory to = level_memory(map.plan.out_level);
    const CoordIndexRef from = level_memory(map.plan.in_level).index;
    const CoordIndexSteps& steps =
        *layout_.levels()[static_cast<std::size_t>(map.plan.out_level)].kernel->steps;
    const bool sorted = to.index.form == IndexForm::kSortedWords;
    const RowRange slabs{unit * kSlabUnit,
                         std::min<std::int64_t>((unit + 1) * kSlabUnit, to.index.num_slabs)};
    if (task.kind == TaskKind::kReach) {
      sorted ? steps.insert_reached(to.index, from, map.backward.relation)
             : steps.reach(to.index, from, map.backward.relation, slabs);
    } else {
      sorted ? steps.write_sites(to.index, to.indices)
             : steps.number_reached(to.index, from, map.backward.relation, slabs, to.indices);
    }
  }
  void finish_level_step(const PairTask& task) const noexcept {
    const LevelMemory to = level_memory(map_of(task).plan.out_level);
    if (task.kind == TaskKind::kReach) {
      if (to.index.form != IndexForm::kSortedWords) place_slabs(to.index);
      to.state->reached.store(1, std::memory_order_release);
    } else {
      to.state->indices = to.indices;
      to.state->n = to.index.state->count;
      to.state->ready.store(1, std::memory_order_release);
    }
    steps_made().fetch_add(1, std::memory_order_acq_rel);
    steps_made().notify_all();
  }

  [[nodiscard]] PairsArgs args_of(const PairTask& task, TaskState& state) const noexcept {
    PairsArgs args;
    if (makes_level(task)) return args;
    const bool backward = is_backward(task);
    const MapChoice& map = map_of(task);
    const LevelMemory targets = level_memory(backward ? map.plan.in_level : map.plan.out_level);
    const LevelMemory sources = level_memory(backward ? map.plan.out_level : map.plan.in_level);
    args.problem =
        (backward ? map.backward : map.forward).problem(map.kv, targets.index.grid.ndim, sources.index.form);
    args.source = sources.index;
    args.targets = targets.state->indices;
    args.num_targets = targets.state->n;
    const MapMemory memory = layout_.map_memory(task.map, workspace_);
    if (makes_tiles(task)) {
      const TileMemory& tiles = backward ? memory.tiles_bwd : memory.tiles;
      args.tile_rows = map.tile_rows;
      args.start = tiles.start;
      args.in_rows = tiles.in_rows;
      args.out_rows = tiles.out_rows;
      args.placer = {place_tile, &state};
    } else {
      args.table = backward ? memory.pair_bwd : memory.pair_fwd;
      args.table_stride = stride_of(backward ? map.in_capacity : map.out_capacity);
      args.mask = backward ? nullptr : memory.mask;
    }
    return args;
  }
  // Counts steps of levels as they are made; in the state after the last task's.
  [[nodiscard]] std::atomic<std::uint64_t>& steps_made() const noexcept {
    return states_[layout_.tasks().size()].placed;
  }
  [[nodiscard]] const MapChoice& map_of(const PairTask& task) const noexcept {
    return layout_.maps()[static_cast<std::size_t>(task.map)];
  }
  [[nodiscard]] LevelMemory level_memory(std::int32_t level) const noexcept {
    return layout_.level_memory(level, workspace_);
  }

  const CpuPairLayout& layout_;
  Workspace workspace_;
  TaskState* states_;
};

}  // namespace

void run_tasks(const Context& context, const CpuPairLayout& layout, Workspace workspace) noexcept {
  const auto tasks = layout.tasks();
  TaskState* const states = layout.task_states(workspace);
  for (std::size_t i = 0; i <= tasks.size(); ++i) std::construct_at(states + i);
  for (std::size_t l = 0; l < layout.levels().size(); ++l) {
    const LevelMemory level = layout.level_memory(static_cast<std::int32_t>(l), workspace);
    level.state->ready.store(0);
    level.state->reached.store(0);
    level.state->index.taken_words = 0;
  }
  const TaskRunner runner(layout, workspace);
  parallel_each(context, context.threads(), [&](std::int64_t) { runner.work(); });
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const bool forward = tasks[i].kind == TaskKind::kTiles;
    if (!forward && tasks[i].kind != TaskKind::kTilesBackward) continue;
    const MapChoice& map = layout.maps()[static_cast<std::size_t>(tasks[i].map)];
    const MapMemory memory = layout.map_memory(tasks[i].map, workspace);
    const std::uint64_t placed = states[i].placed.load(std::memory_order_relaxed);
    (forward ? memory.tiles : memory.tiles_bwd).start[static_cast<std::int64_t>(placed >> 32) * map.kv] =
        static_cast<std::int32_t>(placed & 0xFFFFFFFFU);
  }
}

}  // namespace voxgemm::cpu_pairs
