// Where everything of a CUDA pair plan lies in its workspace: sizes and offsets, fixed when the plan is made.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/coord_index/sm80.h"
#include "pairs/backend.h"

namespace voxgemm::cuda_pairs {

constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();

template <typename T>
T* at(Workspace workspace, std::size_t offset) {
  return offset == kNone ? nullptr : reinterpret_cast<T*>(workspace.data() + offset);
}

/// Words of a level whose grid is too large for a bitmap, and the counting passes that sort them.
struct HashMemory {
  struct Pass {
    std::int32_t word = 0;  // 0: low 30 bits of a word's number, 1: the rest
    std::int32_t shift = 0;
    std::size_t group_counts = 0;
  };
  std::int32_t bits = 0;  // 0 = the level has a bitmap
  std::int32_t max_words = 0;
  std::vector<Pass> passes;
  std::size_t slot_word = 0, slot_rank = 0, list_slots = 0, list_keys = 0, chunk_counts = 0;
  std::array<std::size_t, 2> order{};
  std::size_t zero = 0, zero_bytes = 0;  // slot_bits, num_words and the group counts
  std::size_t slot_bits = 0, num_words = 0;
};

struct LevelMemory {
  device::Grid grid{};
  std::int64_t num_words = 0;
  std::int32_t capacity = 0;
  std::size_t words = 0, touched = 0, state = 0, sticky = 0;  // zero between runs, or sticky
  std::size_t scan_states = 0;                                // zeroed by each run
  std::size_t summary = 0, entries = 0, indices = 0, row_of_rank = kNone;
  HashMemory hash;
  std::vector<std::int32_t> children;                  // levels made from this one
  std::array<device::AxisMap, device::kAxes> reach{};  // from the parent's sites to this level's
};

/// One row order: the passes that make it and where they put things.
struct OrderMemory {
  struct Pass {
    std::int32_t word = 0;
    std::int32_t shift = 0;
    std::uint32_t filter = 0;
    std::size_t group_counts = 0;
  };
  bool pattern = false;
  bool counted = false;  // by the pair kernel, while it has the masks at hand
  std::vector<Pass> passes;
  std::size_t argsort = kNone, other = kNone, chunk_counts = kNone;
};

struct MapMemory {
  MapPlan plan{};
  std::int32_t kv = 1;
  std::int32_t mask_words = 1;
  std::int32_t in_capacity = 0;
  std::int32_t out_capacity = 0;
  std::array<device::AxisMap, device::kAxes> forward{};
  std::array<device::AxisMap, device::kAxes> backward{};
  std::size_t pair_fwd = kNone, pair_bwd = kNone, mask = kNone;
  std::vector<OrderMemory> orders;  // per split
  /// Built beside the numbering of the deeper levels: needs no level past the first two.
  [[nodiscard]] bool early() const { return plan.in_level <= 1 && plan.out_level <= 1; }
};

/// The whole plan. Bytes [0, persistent_bytes) are zeroed by prepare() and left zero, or sticky.
struct PairLayout {
  std::vector<LevelMemory> levels;
  std::vector<MapMemory> maps;
  bool has_early_maps = false;
  std::size_t status = 0, persistent_bytes = 0;
  std::size_t run_zero = 0, run_zero_bytes = 0;    // zeroed by the first kernel of a run
  std::size_t side_zero = 0, side_zero_bytes = 0;  // zeroed beside it
  std::size_t workspace_bytes = 0;
};

/// Elements between the offsets of a table with `capacity` rows.
std::int64_t stride_of(std::int32_t capacity);

/// Levels of up to `max_bitmap_cells` cells get a bitmap, larger ones hashed words. Throws kUnsupported
/// naming a level that fits neither.
inline constexpr std::int64_t kMaxBitmapCells = (std::int64_t{1} << 31) - 1;  // 256 MiB of words
PairLayout lay_out_pairs(const PairPlan& plan, std::int32_t num_sms, std::int64_t max_bitmap_cells);

}  // namespace voxgemm::cuda_pairs
