#include "pairs/cuda/layout.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/check.h"
#include "kernels/order_chunks.h"
#include "pairs/relations.h"

namespace voxgemm::cuda_pairs {
namespace {

using device::AxisMap;

/// Slices of a workspace as byte offsets: run() turns them into pointers without any table of its own.
class Layout {
 public:
  std::size_t take(std::int64_t count, std::size_t size) {
    const std::size_t at = used_;
    used_ += align_up(static_cast<std::size_t>(std::max<std::int64_t>(count, 0)) * size);
    return at;
  }
  [[nodiscard]] std::size_t used() const { return used_; }

 private:
  std::size_t used_ = 0;
};

std::int64_t chunks_of(std::int32_t rows) { return (rows + device::kOrderChunk - 1) / device::kOrderChunk; }
std::int64_t groups_of(std::int32_t rows) {
  return (chunks_of(rows) + device::kChunksPerGroup - 1) / device::kChunksPerGroup;
}

std::array<AxisMap, device::kAxes> axes_of(const Relation& relation) {
  std::array<AxisMap, device::kAxes> axes{};
  for (std::size_t a = 0; a < axes.size(); ++a) {
    const AxisRelation& r = relation.axis[a];
    axes[a] = {r.mul, r.step, r.offset, r.div, r.kernel, r.extent};
  }
  return axes;
}

/// Grid without a halo: the device's bitmaps test the extents of every axis.
KeyGrid grid_of(const LevelPlan& level) { return make_grid(level.shape, level.batch_size).grid; }

std::uint32_t word_filter(std::int32_t word, std::int32_t lo, std::int32_t hi) {
  std::uint32_t filter = 0;
  for (std::int32_t bit = 0; bit < 32; ++bit) {
    const std::int32_t k = word * 32 + bit;
    if (k >= lo && k < hi) filter |= 1U << bit;
  }
  return filter;
}

bool has_pattern_key(const ConvGeometry& g) {
  return g.kind == ConvKind::kSubm && g.kernel_size == Dims{3, 3, 3};
}

class Planner {
 public:
  void plan_level(const PairPlan& plan, std::int32_t level);
  void plan_map(const PairPlan& plan, const MapPlan& map);
  void lay_out(std::int32_t num_sms);

  PairLayout result;
  std::int64_t max_bitmap_cells = kMaxBitmapCells;

 private:
  static void plan_hash(const PairPlan& plan, std::int32_t level, LevelMemory& memory);
  static void plan_order(MapMemory& map, std::int32_t split);
  static void lay_out_hash(Layout& layout, HashMemory& hash);
  static void lay_out_map(Layout& layout, MapMemory& map);
};

void Planner::plan_level(const PairPlan& plan, std::int32_t level) {
  const LevelPlan& from = plan.levels[static_cast<std::size_t>(level)];
  LevelMemory memory;
  const KeyGrid grid = grid_of(from);
  std::int64_t lines = from.batch_size;  // every site has a key of 63 bits, so this fits
  for (std::size_t a = 0; a < device::kAxes; ++a) {
    memory.grid.extent[a] = grid.extent[a];
    if (a + 1 < device::kAxes) lines *= grid.extent[a];
  }
  memory.grid.batch = grid.batch;
  memory.grid.ndim = grid.ndim;
  memory.grid.line_words = (grid.extent[device::kAxes - 1] - 1) / 64 + 1;
  memory.capacity = from.capacity;
  memory.num_words = lines * memory.grid.line_words;
  if (memory.num_words > max_bitmap_cells / 64) plan_hash(plan, level, memory);
  if (from.made_by >= 0) {
    const MapPlan& map = plan.maps[static_cast<std::size_t>(from.made_by)];
    memory.reach = axes_of(backward_relation(map.geometry, grid));
    result.levels[static_cast<std::size_t>(map.in_level)].children.push_back(level);
  }
  result.levels.push_back(std::move(memory));
}

void Planner::plan_hash(const PairPlan& plan, std::int32_t level, LevelMemory& memory) {
  const LevelPlan& from = plan.levels[static_cast<std::size_t>(level)];
  HashMemory& hash = memory.hash;
  hash.max_words = from.capacity;
  if (from.made_by >= 0) {  // all words that the parent's sites may reach, before any is dropped
    const MapPlan& map = plan.maps[static_cast<std::size_t>(from.made_by)];
    const LevelPlan& parent = plan.levels[static_cast<std::size_t>(map.in_level)];
    hash.max_words = max_outputs(map.geometry, parent.shape, parent.batch_size, parent.capacity);
  }
  const auto slots =
      static_cast<std::uint64_t>(hash.max_words) + static_cast<std::uint64_t>(hash.max_words) / 2;
  hash.bits = std::max(4, static_cast<std::int32_t>(std::bit_width(slots)));
  if (hash.bits > 30 || memory.num_words >= (std::int64_t{1} << 60)) {
    const std::string who = from.made_by < 0 ? std::string("the input")
                                             : plan.maps[static_cast<std::size_t>(from.made_by)].title();
    fail(ErrorCode::kUnsupported,
         "{} may make sites in {} words of 64 cells of {}, batch {}, limit {} on CUDA", who, hash.max_words,
         from.shape, from.batch_size, (std::int64_t{1} << 30) * 2 / 3);
  }
  const auto word_bits =
      static_cast<std::int32_t>(std::bit_width(static_cast<std::uint64_t>(memory.num_words)));
  for (std::int32_t bit = 0; bit < word_bits; bit += 10) hash.passes.push_back({bit / 30, bit % 30, 0});
}

void Planner::lay_out_hash(Layout& layout, HashMemory& hash) {
  const std::int64_t slots = std::int64_t{1} << hash.bits;
  const std::int64_t chunks = chunks_of(hash.max_words);
  hash.slot_word = layout.take(slots, sizeof(std::uint64_t));
  hash.slot_rank = layout.take(slots, sizeof(std::int32_t));
  hash.list_slots = layout.take(hash.max_words, sizeof(std::int32_t));
  hash.list_keys = layout.take(2 * std::int64_t{hash.max_words}, sizeof(std::uint32_t));
  for (std::size_t& order : hash.order) order = layout.take(hash.max_words, sizeof(std::int32_t));
  hash.chunk_counts = layout.take(chunks * device::kOrderKeys, sizeof(std::uint32_t));
  hash.zero = layout.used();
  hash.slot_bits = layout.take(slots, sizeof(std::uint64_t));
  hash.num_words = layout.take(1, sizeof(std::int32_t));
  for (HashMemory::Pass& pass : hash.passes) {
    pass.group_counts = layout.take(groups_of(hash.max_words) * device::kOrderKeys, sizeof(std::uint32_t));
  }
  hash.zero_bytes = layout.used() - hash.zero;
}

void Planner::plan_map(const PairPlan& plan, const MapPlan& map) {
  const LevelPlan& in = plan.levels[static_cast<std::size_t>(map.in_level)];
  const LevelPlan& out = plan.levels[static_cast<std::size_t>(map.out_level)];
  MapMemory memory;
  memory.plan = map;
  memory.kv = map.geometry.kernel_volume();
  memory.mask_words = (memory.kv + 31) / 32;
  memory.in_capacity = in.capacity;
  memory.out_capacity = out.capacity;
  memory.forward = axes_of(forward_relation(map.geometry, grid_of(in)));
  memory.backward = axes_of(backward_relation(map.geometry, grid_of(out)));
  if ((map.options.forms & kPairTable) != 0 && map.options.order != RowOrder::kNone) {
    for (std::int32_t j = 0; j < map.options.mask_splits; ++j) plan_order(memory, j);
  }
  result.has_early_maps = result.has_early_maps || memory.early();
  result.maps.push_back(std::move(memory));
}

void Planner::plan_order(MapMemory& map, std::int32_t split) {
  const auto [lo, hi] = split_range(map.kv, map.plan.options.mask_splits, split);
  OrderMemory order;
  order.pattern = map.plan.options.order == RowOrder::kPatternKey && has_pattern_key(map.plan.geometry);
  order.counted = order.pattern && map.plan.options.mask_splits == 1;
  if (order.pattern) {
    order.passes.push_back({0, 0, word_filter(0, lo, hi), 0});
  } else {  // least significant digit first; word 0 is the most significant
    for (std::int32_t w = map.mask_words - 1; w >= 0; --w) {
      const std::uint32_t filter = word_filter(w, lo, hi);
      for (std::int32_t shift = 0; shift < 32;) {
        if ((filter >> shift) == 0) break;
        if ((filter >> shift & 1U) == 0) {
          ++shift;
          continue;
        }
        order.passes.push_back({w, shift, filter, 0});
        shift += 10;
      }
    }
  }
  map.orders.push_back(std::move(order));
}

void Planner::lay_out(std::int32_t num_sms) {
  Layout layout;
  result.status = layout.take(1, sizeof(device::StatusBlock));
  for (LevelMemory& level : result.levels) {
    level.state = layout.take(1, sizeof(device::LevelState));
    level.sticky = layout.take(1, sizeof(std::int64_t));
  }
  for (LevelMemory& level : result.levels) {
    if (level.hash.bits > 0) continue;
    level.words = layout.take((level.num_words + 63) / 64 * 64, sizeof(std::uint64_t));
    level.touched = layout.take((level.num_words + 63) / 64, sizeof(std::uint64_t));
  }
  result.persistent_bytes = layout.used();
  result.run_zero = layout.used();
  for (LevelMemory& level : result.levels) {
    const std::int64_t tiles = level.hash.bits > 0
                                   ? level.hash.max_words / 256 + 1
                                   : device::scan_shape((level.num_words + 63) / 64, num_sms).tiles;
    level.scan_states = layout.take(tiles, sizeof(std::uint64_t));
  }
  result.run_zero_bytes = layout.used() - result.run_zero;
  result.side_zero = layout.used();
  for (MapMemory& map : result.maps) {
    for (OrderMemory& order : map.orders) {
      const std::int64_t groups = groups_of(map.out_capacity) * device::kOrderKeys;
      for (OrderMemory::Pass& pass : order.passes) {
        pass.group_counts = layout.take(groups, sizeof(std::uint32_t));
      }
      if (order.counted) {
        order.chunk_counts =
            layout.take(chunks_of(map.out_capacity) * device::kOrderKeys, sizeof(std::uint32_t));
      }
    }
  }
  result.side_zero_bytes = layout.used() - result.side_zero;
  for (LevelMemory& level : result.levels) {
    if (level.hash.bits > 0) {
      lay_out_hash(layout, level.hash);
    } else {
      level.summary = layout.take((level.num_words + 63) / 64, sizeof(device::WordGroup));
      level.entries = layout.take(level.capacity, sizeof(device::WordEntry));
    }
    level.indices = layout.take(std::int64_t{level.capacity} * (1 + level.grid.ndim), sizeof(std::int32_t));
  }
  result.levels[0].row_of_rank = layout.take(result.levels[0].capacity, sizeof(std::int32_t));
  for (MapMemory& map : result.maps) lay_out_map(layout, map);
  result.workspace_bytes = layout.used();
}

void Planner::lay_out_map(Layout& layout, MapMemory& map) {
  const PairForms forms = map.plan.options.forms;
  if ((forms & kPairBackward) != 0) {
    map.pair_bwd = layout.take(map.kv * stride_of(map.in_capacity), sizeof(std::int32_t));
  }
  if ((forms & kPairTable) == 0) return;
  map.pair_fwd = layout.take(map.kv * stride_of(map.out_capacity), sizeof(std::int32_t));
  map.mask = layout.take(std::int64_t{map.out_capacity} * map.mask_words, sizeof(std::uint32_t));
  for (OrderMemory& order : map.orders) {
    order.argsort = layout.take(map.out_capacity, sizeof(std::int32_t));
    if (order.passes.size() > 1) order.other = layout.take(map.out_capacity, sizeof(std::int32_t));
    if (!order.counted) {
      order.chunk_counts =
          layout.take(chunks_of(map.out_capacity) * device::kOrderKeys, sizeof(std::uint32_t));
    }
  }
}

}  // namespace

std::int64_t stride_of(std::int32_t capacity) {
  return static_cast<std::int64_t>(align_up(static_cast<std::size_t>(capacity), 64));
}

PairLayout lay_out_pairs(const PairPlan& plan, std::int32_t num_sms, std::int64_t max_bitmap_cells) {
  Planner planner;
  planner.max_bitmap_cells = max_bitmap_cells;
  for (std::size_t l = 0; l < plan.levels.size(); ++l) planner.plan_level(plan, static_cast<std::int32_t>(l));
  for (const MapPlan& map : plan.maps) planner.plan_map(plan, map);
  planner.lay_out(num_sms);
  return std::move(planner.result);
}

}  // namespace voxgemm::cuda_pairs
