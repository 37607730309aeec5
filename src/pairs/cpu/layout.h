// Plan of the CPU pair backend: the structure of each level, the kernels of each map, and where all lies in
// the workspace.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/context_impl.h"
#include "kernels/coord_index/coord_index.h"
#include "kernels/pair_blocks/pair_blocks.h"
#include "kernels/pairs/pairs.h"
#include "pairs/backend.h"
#include "pairs/cpu/backend.h"
#include "pairs/relations.h"

namespace voxgemm::cpu_pairs {

inline constexpr std::int32_t kDefaultTileRows = 256;
inline constexpr std::int64_t kShortKeys = (std::int64_t{1} << 32) - 4096;
/// The input's rows are sorted into slabs in chunks, at most so many; their size does not matter to results.
inline constexpr std::int32_t kMaxChunks = 32;

/// What a run leaves for its views.
struct LevelState {
  const std::int32_t* indices = nullptr;
  const std::int32_t* places = nullptr;  // see LevelView
  std::int32_t n = 0;
  CoordIndexState index{};
  std::atomic<std::int32_t> ready{0};    // within a run: the members above and the indices stand
  std::atomic<std::int32_t> reached{0};  // within a run: the sites are counted, number_reached() may begin
};

enum class TaskKind : std::uint8_t { kReach, kNumber, kTiles, kTilesBackward, kTable, kTableBackward };

/// Part of the work of a run: one of two steps to the output level of a map, or one form of the map.
struct PairTask {
  TaskKind kind = TaskKind::kReach;
  std::int32_t map = 0;
};

/// How far a task is. Its units (a slab, a tile, some rows of a table) are taken in ascending order.
struct alignas(64) TaskState {
  std::atomic<std::int64_t> taken{0};
  std::atomic<std::int64_t> done{0};
  std::atomic<std::int32_t> exhausted{0};
  std::atomic<std::int32_t> workers{0};  // threads that take units now
  std::atomic<std::uint64_t> placed{0};  // tiles with a place << 32 | pairs of these tiles
};

struct LevelMemory {
  LevelState* state = nullptr;
  std::int32_t* indices = nullptr;  // null for an input whose rows stay as given
  std::int32_t* counts = nullptr;   // input: rows of each slab, one set a chunk of rows
  CoordIndexRef index{};
};

struct TileMemory {
  std::int32_t* start = nullptr;
  std::int32_t* in_rows = nullptr;
  std::uint16_t* out_rows = nullptr;
};

struct BlockMemory {
  std::int32_t* order = nullptr;
  std::int32_t* num_steps = nullptr;
  std::int32_t* offsets = nullptr;
  std::int32_t* in_rows = nullptr;
};

struct MapMemory {
  std::int32_t* pair_fwd = nullptr;
  std::int32_t* pair_bwd = nullptr;
  std::uint32_t* mask = nullptr;
  std::array<std::int32_t*, kMaxMaskSplits> argsort{};
  std::int32_t* sort_scratch = nullptr;
  TileMemory tiles{};
  TileMemory tiles_bwd{};
  BlockMemory blocks{};
};

struct LevelChoice {
  const CoordIndexKernel* kernel = nullptr;
  KeyGrid grid{};
  std::int32_t capacity = 0;
  bool input = false;
  bool keeps_order = false;  // an input whose rows stay as given
  std::int32_t num_slabs = 1;
  std::int32_t slab_shift = kMinSlabShift;
  std::size_t scratch_bytes = 0;
  std::string why;
};

struct Direction {
  Relation relation{};
  TapPlan taps{};
  const PairsKernel* kernel = nullptr;
  std::int64_t max_pairs = 0;

  [[nodiscard]] PairsProblem problem(std::int32_t kv, std::int32_t target_ndim, IndexForm form) const {
    return {kv, relation, taps.view(), target_ndim, form, num_keys(relation.source) < kShortKeys};
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
  const PairBlocksKernel* blocks_kernel = nullptr;
};

inline std::int64_t bitmap_words(const KeyGrid& grid) { return (num_keys(grid) + 63) / 64; }
inline std::int64_t summary_words(const KeyGrid& grid) { return (bitmap_words(grid) + 63) / 64; }
inline std::int64_t stride_of(std::int32_t capacity) {
  return static_cast<std::int64_t>(align_up(static_cast<std::size_t>(capacity), 16));
}
inline std::int64_t tiles_of(std::int32_t rows, std::int32_t tile_rows) {
  return (static_cast<std::int64_t>(rows) + tile_rows - 1) / tile_rows;
}

/// Everything that a run and its views need to know; fixed once made.
class CpuPairLayout {
 public:
  CpuPairLayout(const Context& context, PairPlan plan, const IndexLimits& limits);

  [[nodiscard]] const std::vector<LevelChoice>& levels() const { return levels_; }
  [[nodiscard]] const std::vector<MapChoice>& maps() const { return maps_; }
  [[nodiscard]] std::size_t workspace_bytes() const { return workspace_bytes_; }
  /// Most urgent first.
  [[nodiscard]] std::span<const PairTask> tasks() const { return tasks_; }
  /// One for each task and one more, whose `placed` counts steps of levels made.
  [[nodiscard]] TaskState* task_states(Workspace workspace) const noexcept;
  [[nodiscard]] LevelMemory level_memory(std::int32_t level, Workspace workspace) const noexcept;
  [[nodiscard]] MapMemory map_memory(std::int32_t map, Workspace workspace) const noexcept;

 private:
  [[nodiscard]] Halo level_halo(std::int32_t level) const;
  void choose_level(const Context& context, std::int32_t level, const IndexLimits& limits);
  [[nodiscard]] std::size_t sort_scratch_bytes(const LevelPlan& plan, const KeyGrid& grid) const;
  void choose_map(const Context& context, const MapPlan& plan);
  void list_tasks();
  LevelMemory carve_level(Carver& carver, const LevelChoice& level) const noexcept;
  MapMemory carve_map(Carver& carver, const MapChoice& map) const noexcept;

  PairPlan plan_;
  std::vector<LevelChoice> levels_;
  std::vector<MapChoice> maps_;
  std::vector<std::size_t> level_offset_;  // bytes into the workspace
  std::vector<std::size_t> map_offset_;
  std::vector<PairTask> tasks_;
  std::size_t tasks_offset_ = 0;
  std::size_t workspace_bytes_ = 0;
};

}  // namespace voxgemm::cpu_pairs
