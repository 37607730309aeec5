#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include "kernels/voxelize/voxelize.h"

namespace voxgemm {
namespace {

// Cells whose slots are fetched ahead of their probes.
constexpr std::size_t kAhead = 32;
constexpr std::size_t kMaxBlock = kMaxVoxelBlock;

template <typename Key>
struct Slot {
  Key key;  // cell + 1; 0 = free
  std::int32_t value;
};
static_assert(sizeof(Slot<std::uint32_t>) == kNarrowSlotBytes &&
              sizeof(Slot<std::uint64_t>) == kWideSlotBytes);

inline std::uint64_t mix(std::uint64_t cell) { return cell * 0x9E3779B97F4A7C15ULL; }

// Neither free nor the cell's own.
inline bool collides(std::uint32_t slot, std::uint32_t key) {
  return std::uint64_t{slot} * (slot ^ key) != 0;
}
inline bool collides(std::uint64_t slot, std::uint64_t key) { return slot != 0 && slot != key; }

template <typename Key>
class Table {
 public:
  explicit Table(const CellTable& table)
      : slots_(static_cast<Slot<Key>*>(table.slots)),
        shift_(64 - table.bits),
        mask_((std::uint64_t{1} << table.bits) - 1) {}

  // First slot of a cell's probes.
  std::uint32_t home(std::uint64_t cell) const { return static_cast<std::uint32_t>(mix(cell) >> shift_); }
  void prefetch(std::uint32_t home) const { __builtin_prefetch(slots_ + home, 1); }

  // The value of a cell; a new cell gets `fresh` and sets is_new to 1, else 0. There is always a free slot.
  // Whether a cell is new cannot be foreseen, so both ways are one: the only branch is taken by collisions,
  // and the slot is written back in either case. Products and masks keep the compiler from parting them
  // again.
  std::int32_t find_or_insert(std::uint64_t cell, std::uint32_t home, std::int32_t fresh,
                              std::int32_t& is_new) const {
    const Key key = static_cast<Key>(cell + 1);
    std::uint64_t at = home;
    while (collides(slots_[at].key, key)) at = (at + 1) & mask_;
    is_new = slots_[at].key == 0 ? 1 : 0;
    const std::int32_t value = (fresh & -is_new) | (slots_[at].value & (is_new - 1));
    slots_[at] = {key, value};
    return value;
  }

 private:
  Slot<Key>* slots_;
  std::int32_t shift_;
  std::uint64_t mask_;
};

// kColumns 0: any number, read from rows.columns.
template <std::int32_t kColumns>
inline std::int32_t columns_of(const VoxelRows& rows) {
  return kColumns == 0 ? rows.columns : kColumns;
}

inline void keep_padded(const VoxelRows& rows, std::int64_t row, std::int32_t slot, const float* point) {
  float* to = rows.padded + (row * rows.max_points + slot) * rows.columns;
  std::memcpy(to, point, sizeof(float) * static_cast<std::size_t>(rows.columns));
}

template <std::int32_t kColumns>
inline void open_voxel(const VoxelRows& rows, std::int64_t row, std::uint64_t cell, const float* point) {
  std::int32_t* index = rows.indices + 4 * row;
  index[0] = rows.batch;
  index[1] = static_cast<std::int32_t>(cell >> rows.z_shift);
  index[2] = static_cast<std::int32_t>(cell >> rows.y_shift & ((1ULL << (rows.z_shift - rows.y_shift)) - 1));
  index[3] = static_cast<std::int32_t>(cell & ((1ULL << rows.y_shift) - 1));
  float* sum = rows.features + row * rows.stride;
  for (std::int32_t c = 0; c < columns_of<kColumns>(rows); ++c) sum[c] = point[c];
  rows.kept[row] = 1;
  if (rows.padded == nullptr) return;
  std::memset(
      rows.padded + row * rows.max_points * rows.columns, 0,
      sizeof(float) * static_cast<std::size_t>(rows.max_points) * static_cast<std::size_t>(rows.columns));
  keep_padded(rows, row, 0, point);
}

template <std::int32_t kColumns>
inline void add_columns(const VoxelRows& rows, const float* point, float* sum) {
  if constexpr (kColumns > 0) {
    std::array<float, kColumns> t;
    for (std::size_t c = 0; c < kColumns; ++c) t[c] = sum[c] + point[c];
    std::copy(t.begin(), t.end(), sum);
  } else {
    for (std::int32_t c = 0; c < rows.columns; ++c) sum[c] += point[c];
  }
}

// Returns false when the voxel is full.
template <std::int32_t kColumns>
inline bool add_point(const VoxelRows& rows, std::int64_t row, const float* point) {
  std::int32_t& kept = rows.kept[row];
  if (kept >= rows.max_points) return false;
  add_columns<kColumns>(rows, point, rows.features + row * rows.stride);
  if (rows.padded != nullptr) keep_padded(rows, row, kept, point);
  ++kept;
  return true;
}

// What happens to the points of one block, split into lists so that every loop runs without branches that the
// processor cannot foresee.
struct BlockPlan {
  std::array<std::uint16_t, kMaxBlock> valid;            // points inside
  std::array<std::uint16_t, kMaxBlock> opens;            // points that open a voxel
  std::array<std::uint16_t, kMaxBlock> joins;            // points of voxels that are open
  std::array<std::uint32_t, kMaxBlock + kAhead> home{};  // of the valid points
  std::array<std::int32_t, kMaxBlock> row;               // per point; -1 = dropped
  std::int64_t num_valid = 0;
  std::int64_t num_opens = 0;
  std::int64_t num_joins = 0;
};

inline void list_valid(const std::uint64_t* cells, std::int64_t n, BlockPlan& plan, VoxelizeCounts& counts) {
  std::int64_t valid = 0;
  std::int64_t broken = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    plan.valid[static_cast<std::size_t>(valid)] = static_cast<std::uint16_t>(i);
    plan.row[static_cast<std::size_t>(i)] = -1;
    valid += cells[i] < kCellOutside ? 1 : 0;
    broken += cells[i] == kCellNotFinite ? 1 : 0;
  }
  plan.num_valid = valid;
  counts.not_finite += broken;
  counts.out_of_range += n - valid - broken;
}

template <typename Key>
inline void assign_rows(const Table<Key>& table, const VoxelRows& rows, const std::uint64_t* cells,
                        BlockPlan& plan, VoxelizeCounts& counts) {
  std::int32_t voxels = counts.voxels;
  std::int64_t wanted = 0;
  std::int64_t opens = 0;
  std::int64_t joins = 0;
  const std::int64_t valid = plan.num_valid;
  const std::int32_t max_voxels = rows.max_voxels;
  for (std::size_t k = 0; k < static_cast<std::size_t>(valid); ++k)
    plan.home[k] = table.home(cells[plan.valid[k]]);
  for (std::size_t k = 0; k < static_cast<std::size_t>(valid); ++k) {
    table.prefetch(plan.home[k + kAhead]);
    const std::uint16_t i = plan.valid[k];
    std::int32_t is_new = 0;
    const std::int32_t row =
        table.find_or_insert(cells[i], plan.home[k], voxels < max_voxels ? voxels : -1, is_new);
    plan.row[i] = row;
    plan.opens[static_cast<std::size_t>(opens)] = i;
    plan.joins[static_cast<std::size_t>(joins)] = i;
    const std::int32_t has_row = 1 + (row >> 31);
    const std::int32_t open = is_new & has_row;
    wanted += is_new;
    opens += open;
    voxels += open;
    joins += has_row & (is_new ^ 1);
  }
  plan.num_opens = opens;
  plan.num_joins = joins;
  counts.voxels = voxels;
  counts.voxels_wanted += wanted;
  counts.voxel_overflow += valid - opens - joins;
}

// Opens and fills the voxels of a plan whose point k is the cloud's point at(k). Voxels open before points
// join them: a sum starts from its first point either way. Returns the points that found their voxel full.
template <std::int32_t kColumns, typename At>
inline std::int64_t apply(const BlockPlan& plan, const VoxelRows& rows, const std::uint64_t* cells,
                          const float* points, std::int64_t point_stride, At at) {
  for (std::size_t k = 0; k < static_cast<std::size_t>(plan.num_opens); ++k) {
    const std::int64_t i = at(plan.opens[k]);
    open_voxel<kColumns>(rows, plan.row[plan.opens[k]], cells[i], points + i * point_stride);
  }
  std::int64_t full = 0;
  for (std::size_t k = 0; k < static_cast<std::size_t>(plan.num_joins); ++k) {
    const std::int64_t i = at(plan.joins[k]);
    full += add_point<kColumns>(rows, plan.row[plan.joins[k]], points + i * point_stride) ? 0 : 1;
  }
  return full;
}

template <typename Key, std::int32_t kColumns>
void block(const CellTable& cell_table, const VoxelRows& rows, const std::uint64_t* cells,
           const float* points, std::int64_t point_stride, std::int64_t n, VoxelizeCounts& counts) {
  BlockPlan plan;
  list_valid(cells, n, plan, counts);
  assign_rows(Table<Key>(cell_table), rows, cells, plan, counts);
  counts.point_overflow +=
      apply<kColumns>(plan, rows, cells, points, point_stride, [](std::int64_t k) { return k; });
  counts.points += n;
  if (rows.point_rows == nullptr) return;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int32_t row = plan.row[static_cast<std::size_t>(i)];
    rows.point_rows[i] = row < 0 ? -1 : rows.row_base + row;
  }
}

template <typename Key>
void leaders(const CellTable& cell_table, const std::uint64_t* cells, const std::int32_t* order,
             std::int64_t n, std::int32_t* leader) {
  const Table<Key> table(cell_table);
  std::array<std::uint32_t, kMaxBlock + kAhead> home{};
  for (std::int64_t begin = 0; begin < n; begin += kMaxVoxelBlock) {
    const auto block = static_cast<std::size_t>(std::min(n - begin, kMaxVoxelBlock));
    for (std::size_t k = 0; k < block; ++k)
      home[k] = table.home(cells[order[begin + static_cast<std::int64_t>(k)]]);
    for (std::size_t k = 0; k < block; ++k) {
      table.prefetch(home[k + kAhead]);
      const std::int32_t i = order[begin + static_cast<std::int64_t>(k)];
      std::int32_t is_new = 0;
      leader[i] = table.find_or_insert(cells[i], home[k], i, is_new);
    }
  }
}

template <std::int32_t kColumns>
void sum_points(const VoxelRows& rows, const std::uint64_t* cells, const float* points,
                std::int64_t point_stride, const std::int32_t* order, std::int64_t n,
                const std::int32_t* leader, const std::int32_t* row_of, VoxelizeCounts& counts) {
  BlockPlan plan;
  for (; n > 0; order += kMaxVoxelBlock, n -= kMaxVoxelBlock) {
    const auto block = static_cast<std::size_t>(std::min(n, kMaxVoxelBlock));
    plan.num_opens = plan.num_joins = 0;
    for (std::size_t k = 0; k < block; ++k) {
      const std::int32_t i = order[k];
      const std::int32_t row = row_of[leader[i]];
      const std::int32_t has_row = 1 + (row >> 31);
      const std::int32_t leads = leader[i] == i ? 1 : 0;
      plan.row[k] = row;
      plan.opens[static_cast<std::size_t>(plan.num_opens)] = static_cast<std::uint16_t>(k);
      plan.joins[static_cast<std::size_t>(plan.num_joins)] = static_cast<std::uint16_t>(k);
      plan.num_opens += has_row & leads;
      plan.num_joins += has_row & (leads ^ 1);
      if (rows.point_rows != nullptr) rows.point_rows[i] = row < 0 ? -1 : rows.row_base + row;
    }
    counts.voxel_overflow += static_cast<std::int64_t>(block) - plan.num_opens - plan.num_joins;
    counts.point_overflow += apply<kColumns>(plan, rows, cells, points, point_stride,
                                             [order](std::int64_t k) { return std::int64_t{order[k]}; });
  }
}

template <std::int32_t kColumns>
void means(const VoxelRows& rows, RowRange range) {
  for (std::int64_t r = range.begin; r < range.end; ++r) {
    if (rows.kept[r] < 2) continue;
    const auto count = static_cast<float>(rows.kept[r]);
    float* sum = rows.features + r * rows.stride;
    for (std::int32_t c = 0; c < columns_of<kColumns>(rows); ++c) sum[c] /= count;
  }
}

// Calls fn with the column count as a constant where that is worth it.
template <typename Fn>
void with_columns(std::int32_t columns, Fn fn) {
  switch (columns) {
    case 3:
      return fn(std::integral_constant<std::int32_t, 3>{});
    case 4:
      return fn(std::integral_constant<std::int32_t, 4>{});
    case 5:
      return fn(std::integral_constant<std::int32_t, 5>{});
    default:
      return fn(std::integral_constant<std::int32_t, 0>{});
  }
}

}  // namespace

void first_come_block(const CellTable& table, const VoxelRows& rows, const std::uint64_t* cells,
                      const float* points, std::int64_t point_stride, std::int64_t n,
                      VoxelizeCounts& counts) noexcept {
  with_columns(rows.columns, [&](auto columns) {
    if (table.wide) {
      block<std::uint64_t, columns()>(table, rows, cells, points, point_stride, n, counts);
    } else {
      block<std::uint32_t, columns()>(table, rows, cells, points, point_stride, n, counts);
    }
  });
}

std::uint32_t cell_partition(std::uint64_t cell, std::int32_t partition_bits) noexcept {
  // Low product bits: tables take the high ones.
  return static_cast<std::uint32_t>(mix(cell ^ cell >> 29) >> 16) & ((1U << partition_bits) - 1U);
}

void first_come_leaders(const CellTable& table, const std::uint64_t* cells, const std::int32_t* order,
                        std::int64_t n, std::int32_t* leader) noexcept {
  if (table.wide) {
    leaders<std::uint64_t>(table, cells, order, n, leader);
  } else {
    leaders<std::uint32_t>(table, cells, order, n, leader);
  }
}

void first_come_sum(const VoxelRows& rows, const std::uint64_t* cells, const float* points,
                    std::int64_t point_stride, const std::int32_t* order, std::int64_t n,
                    const std::int32_t* leader, const std::int32_t* row_of, VoxelizeCounts& counts) noexcept {
  with_columns(rows.columns, [&](auto columns) {
    sum_points<columns()>(rows, cells, points, point_stride, order, n, leader, row_of, counts);
  });
}

void first_come_means(const VoxelRows& rows, RowRange range) noexcept {
  with_columns(rows.columns, [&](auto columns) { means<columns()>(rows, range); });
}

}  // namespace voxgemm
