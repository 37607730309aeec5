#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include "kernels/voxelize/voxelize.h"

namespace voxgemm {
namespace {

// Cells whose slots are fetched ahead of their probes.
constexpr std::int64_t kBatch = 64;

template <typename Key>
struct Slot {
  Key key;  // cell + 1; 0 = free
  std::int32_t value;
};
static_assert(sizeof(Slot<std::uint32_t>) == kNarrowSlotBytes &&
              sizeof(Slot<std::uint64_t>) == kWideSlotBytes);

inline std::uint64_t mix(std::uint64_t cell) { return cell * 0x9E3779B97F4A7C15ULL; }

template <typename Key>
class Table {
 public:
  explicit Table(const CellTable& table)
      : slots_(static_cast<Slot<Key>*>(table.slots)),
        shift_(64 - table.bits),
        mask_((std::uint64_t{1} << table.bits) - 1) {}

  void prefetch(std::uint64_t cell) const { __builtin_prefetch(slots_ + (mix(cell) >> shift_), 1); }

  // The value of a cell; a new cell gets `fresh` and sets `inserted`. There is always a free slot.
  std::int32_t find_or_insert(std::uint64_t cell, std::int32_t fresh, bool& inserted) const {
    const Key key = static_cast<Key>(cell + 1);
    std::uint64_t at = mix(cell) >> shift_;
    while (slots_[at].key != 0) {
      if (slots_[at].key == key) {
        inserted = false;
        return slots_[at].value;
      }
      at = (at + 1) & mask_;
    }
    slots_[at] = {key, fresh};
    inserted = true;
    return fresh;
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

// Returns false when the voxel is full.
template <std::int32_t kColumns>
inline bool add_point(const VoxelRows& rows, std::int64_t row, const float* point) {
  std::int32_t& kept = rows.kept[row];
  if (kept >= rows.max_points) return false;
  float* sum = rows.features + row * rows.stride;
  for (std::int32_t c = 0; c < columns_of<kColumns>(rows); ++c) sum[c] += point[c];
  if (rows.padded != nullptr) keep_padded(rows, row, kept, point);
  ++kept;
  return true;
}

template <typename Key, std::int32_t kColumns>
void block(const CellTable& cell_table, const VoxelRows& rows, const std::uint64_t* cells,
           const float* points, std::int64_t point_stride, std::int64_t n, VoxelizeCounts& counts) {
  const Table<Key> table(cell_table);
  for (std::int64_t i = 0; i < std::min(n, kBatch); ++i) table.prefetch(cells[i]);
  for (std::int64_t i = 0; i < n; ++i) {
    if (i + kBatch < n) table.prefetch(cells[i + kBatch]);
    const std::uint64_t cell = cells[i];
    std::int32_t row = -1;
    if (cell >= kCellOutside) {
      ++(cell == kCellOutside ? counts.out_of_range : counts.not_finite);
    } else {
      const float* point = points + i * point_stride;
      bool inserted = false;
      const std::int32_t fresh = counts.voxels < rows.max_voxels ? counts.voxels : -1;
      row = table.find_or_insert(cell, fresh, inserted);
      counts.voxels_wanted += inserted ? 1 : 0;
      if (row < 0) {
        ++counts.voxel_overflow;
      } else if (inserted) {
        open_voxel<kColumns>(rows, row, cell, point);
        ++counts.voxels;
      } else if (!add_point<kColumns>(rows, row, point)) {
        ++counts.point_overflow;
      }
    }
    if (rows.point_rows != nullptr) rows.point_rows[i] = row < 0 ? -1 : rows.row_base + row;
  }
  counts.points += n;
}

template <typename Key>
void leaders(const CellTable& cell_table, const std::uint64_t* cells, const std::int32_t* order,
             std::int64_t n, std::int32_t* leader) {
  const Table<Key> table(cell_table);
  for (std::int64_t i = 0; i < n; ++i) {
    if (i + kBatch < n) table.prefetch(cells[order[i + kBatch]]);
    bool inserted = false;
    leader[order[i]] = table.find_or_insert(cells[order[i]], order[i], inserted);
  }
}

template <std::int32_t kColumns>
void sum_points(const VoxelRows& rows, const std::uint64_t* cells, const float* points,
                std::int64_t point_stride, const std::int32_t* order, std::int64_t n,
                const std::int32_t* leader, const std::int32_t* row_of, VoxelizeCounts& counts) {
  for (std::int64_t k = 0; k < n; ++k) {
    const std::int64_t i = order[k];
    const std::int32_t row = row_of[leader[i]];
    const float* point = points + i * point_stride;
    if (row < 0) {
      ++counts.voxel_overflow;
    } else if (leader[i] == i) {
      open_voxel<kColumns>(rows, row, cells[i], point);
    } else if (!add_point<kColumns>(rows, row, point)) {
      ++counts.point_overflow;
    }
    if (rows.point_rows != nullptr) rows.point_rows[i] = row < 0 ? -1 : rows.row_base + row;
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
