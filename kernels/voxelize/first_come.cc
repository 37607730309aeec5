#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <type_traits>

#include "kernels/voxelize/voxelize.h"

namespace voxgemm {
namespace {

// Cells whose slots are fetched ahead of their probes.
constexpr std::size_t kAhead = 16;
constexpr std::size_t kMaxBlock = kMaxVoxelBlock;

inline std::uint64_t mix(std::uint64_t cell) { return cell * 0x9E3779B97F4A7C15ULL; }

// Neither free nor the cell's own.
inline bool collides(std::uint32_t slot, std::uint32_t key) {
  return std::uint64_t{slot} * (slot ^ key) != 0;
}
inline bool collides(std::uint64_t slot, std::uint64_t key) { return slot != 0 && slot != key; }

// Open addressing. Points outside have a slot too, so that nothing else must tell them apart.
template <typename Key>
class Table {
 public:
  explicit Table(const CellTable& table)
      : slots_(static_cast<Slot*>(table.slots)),
        shift_(64 - table.bits),
        mask_((std::uint64_t{1} << table.bits) - 1) {}

  static Key key(std::uint64_t cell) { return static_cast<Key>(std::min(cell, kCellOutside) + 1); }
  // First slot of a cell's probes.
  std::uint32_t home(std::uint64_t cell) const {
    return static_cast<std::uint32_t>(mix(std::min(cell, kCellOutside)) >> shift_);
  }
  void prefetch(std::uint32_t home) const { __builtin_prefetch(slots_ + home, 1); }

  // The value of a cell; a new cell gets `fresh` and sets is_new to 1, else 0. There is always a free slot.
  // Whether a cell is new cannot be foreseen, so both ways are one: the only branch is taken by collisions,
  // and the slot is written back in either case. Products and masks keep the compiler from parting them
  // again.
  std::int32_t find_or_insert(Key key, std::uint32_t home, std::int32_t fresh, std::uint32_t& is_new) const {
    std::uint64_t at = home;
    while (collides(slots_[at].key, key)) at = (at + 1) & mask_;
    is_new = slots_[at].key == 0 ? 1 : 0;
    const auto mask = -static_cast<std::int32_t>(is_new);
    const std::int32_t value = (fresh & mask) | (slots_[at].value & ~mask);
    slots_[at] = {key, value};
    return value;
  }

 private:
  struct Slot {
    Key key;  // 0 = free
    std::int32_t value;
  };
  static_assert(sizeof(Slot) == CellTable::slot_bytes(sizeof(Key) == 8));

  Slot* slots_;
  std::int32_t shift_;
  std::uint64_t mask_;
};

template <typename Key>
void clear(const CellTable& cell_table) {
  std::memset(cell_table.slots, 0, cell_table.bytes());
  const Table<Key> table(cell_table);
  std::uint32_t is_new = 0;
  table.find_or_insert(table.key(kCellOutside), table.home(kCellOutside), kNoRow, is_new);
}

template <typename Key>
void number(const CellTable& cell_table, const std::uint64_t* cells, std::size_t n, std::int32_t next,
            std::int32_t* numbers, FirstCome& points) {
  const Table<Key> table(cell_table);
  std::array<std::uint32_t, kMaxBlock + kAhead> home;
  std::array<Key, kMaxBlock> key;
  for (std::size_t i = 0; i < n; ++i) {
    home[i] = table.home(cells[i]);
    key[i] = table.key(cells[i]);
  }
  std::fill_n(home.begin() + static_cast<std::ptrdiff_t>(n), kAhead, 0U);
  std::uint32_t first = 0;
  std::uint32_t later = 0;
  for (std::size_t i = 0; i < n; ++i) {
    table.prefetch(home[i + kAhead]);
    std::uint32_t is_new = 0;
    const std::int32_t value =
        table.find_or_insert(key[i], home[i], next + static_cast<std::int32_t>(first), is_new);
    numbers[i] = value;
    points.first[first] = static_cast<std::uint16_t>(i);
    points.later[later] = static_cast<std::uint16_t>(i);
    first += is_new;
    later += 1 + static_cast<std::uint32_t>(value >> 31) - is_new;  // a new cell has a number, no cell has -1
  }
  points.num_first = first;
  points.num_later = later;
}

// to[c] = value(c) for every column; kColumns 0: any number of them. Values are read before any is written,
// so that a row is one load, one operation and one store.
template <std::int32_t kColumns, typename Value>
inline void set_columns(std::int32_t columns, float* to, Value value) {
  if constexpr (kColumns > 0) {
    std::array<float, kColumns> t;
    for (std::size_t c = 0; c < kColumns; ++c) t[c] = value(c);
    std::copy(t.begin(), t.end(), to);
  } else {
    for (std::size_t c = 0; c < static_cast<std::size_t>(columns); ++c) to[c] = value(c);
  }
}

inline void write_index(const VoxelRows& rows, std::int64_t row, std::uint64_t cell) {
  std::int32_t* index = rows.indices + 4 * row;
  index[0] = rows.batch;
  index[1] = static_cast<std::int32_t>(cell >> rows.z_shift);
  index[2] = static_cast<std::int32_t>(cell >> rows.y_shift & ((1ULL << (rows.z_shift - rows.y_shift)) - 1));
  index[3] = static_cast<std::int32_t>(cell & ((1ULL << rows.y_shift) - 1));
}

template <std::int32_t kColumns>
void open(const VoxelRows& rows, std::int64_t row, std::span<const std::uint16_t> list, const float* points,
          std::int64_t point_stride) {
  if (rows.padded != nullptr) clear_padded(rows, {row, row + static_cast<std::int64_t>(list.size())});
  for (const std::uint16_t i : list) {
    const float* point = points + i * point_stride;
    set_columns<kColumns>(rows.columns, rows.features + row * rows.stride,
                          [=](std::size_t c) { return point[c]; });
    rows.kept[row] = 1;
    if (rows.padded != nullptr) keep_padded(rows, row, 0, point);
    ++row;
  }
}

template <std::int32_t kColumns>
std::int64_t join(const VoxelRows& rows, const std::int32_t* number, std::span<const std::uint16_t> list,
                  const float* points, std::int64_t point_stride) {
  std::int64_t full = 0;
  for (const std::uint16_t i : list) {
    const std::int64_t row = number[i];
    std::int32_t& kept = rows.kept[row];
    if (kept >= rows.max_points) {
      ++full;
      continue;
    }
    const float* point = points + i * point_stride;
    float* const sum = rows.features + row * rows.stride;
    set_columns<kColumns>(rows.columns, sum, [=](std::size_t c) { return sum[c] + point[c]; });
    if (rows.padded != nullptr) keep_padded(rows, row, kept, point);
    ++kept;
  }
  return full;
}

template <std::int32_t kColumns>
inline void write_mean(const VoxelRows& rows, std::int64_t row, const float* sum, std::int32_t kept) {
  const auto count = static_cast<float>(kept);  // x / 1 is x
  set_columns<kColumns>(rows.columns, rows.features + row * rows.stride,
                        [=](std::size_t c) { return sum[c] / count; });
}

template <std::int32_t kColumns>
void means(const VoxelRows& rows, RowRange range) {
  for (std::int64_t r = range.begin; r < range.end; ++r) {
    write_mean<kColumns>(rows, r, rows.features + r * rows.stride, rows.kept[r]);
  }
}

template <std::int32_t kColumns>
void gather(const VoxelRows& rows, std::int64_t row, std::span<const std::int32_t> list,
            const PartVoxels& from) {
  for (const std::int32_t v : list) {
    write_index(rows, row, from.cells[v]);
    rows.kept[row] = from.kept[v];
    write_mean<kColumns>(rows, row, from.sums + std::int64_t{v} * rows.columns, from.kept[v]);
    ++row;
  }
}

// The part of a cell, the last one, kVoxelParts, when a point lies in none. Blocks of 16 x 16 x 16 cells stay
// whole.
class SpaceParts {
 public:
  explicit SpaceParts(const CellGrid& grid)
      : block_(~(std::uint64_t{15} | std::uint64_t{15} << grid.y_shift | std::uint64_t{15} << grid.z_shift)) {
  }
  std::size_t of(std::uint64_t cell) const {
    const auto part = static_cast<std::size_t>(mix(cell & block_) >> (64 - kBits));
    return cell < kCellOutside ? part : kVoxelParts;
  }

 private:
  static constexpr int kBits = 6;
  static_assert(kVoxelParts == 1U << kBits);
  std::uint64_t block_;
};

// Calls fn with the column count as a constant where that is worth it.
template <typename Fn>
auto with_columns(std::int32_t columns, Fn fn) {
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

void clear_cells(const CellTable& table) noexcept {
  table.wide ? clear<std::uint64_t>(table) : clear<std::uint32_t>(table);
}

void number_cells(const CellTable& table, const std::uint64_t* cells, std::int64_t n, std::int32_t next,
                  std::int32_t* number_of, FirstCome& points) noexcept {
  const auto block = static_cast<std::size_t>(n);
  table.wide ? number<std::uint64_t>(table, cells, block, next, number_of, points)
             : number<std::uint32_t>(table, cells, block, next, number_of, points);
}

void write_indices(const VoxelRows& rows, std::int64_t row, const std::uint64_t* cells,
                   std::span<const std::uint16_t> list) noexcept {
  for (const std::uint16_t i : list) write_index(rows, row++, cells[i]);
}

void open_voxels(const VoxelRows& rows, std::int64_t row, std::span<const std::uint16_t> list,
                 const float* points, std::int64_t point_stride) noexcept {
  with_columns(rows.columns, [&](auto columns) { open<columns()>(rows, row, list, points, point_stride); });
}

void drop_points(const VoxelRows& rows, std::int32_t next, const std::int32_t* number_of,
                 FirstCome& points) noexcept {
  std::uint32_t stay = 0;
  for (const std::uint16_t i : points.others()) {
    points.later[stay] = i;
    stay += number_of[i] < rows.max_voxels ? 1U : 0U;
  }
  points.num_later = stay;
  const std::int32_t rows_left = std::max(rows.max_voxels - next, 0);
  points.num_first = std::min(points.num_first, static_cast<std::uint32_t>(rows_left));
}

std::int64_t join_voxels(const VoxelRows& rows, const std::int32_t* number_of,
                         std::span<const std::uint16_t> list, const float* points,
                         std::int64_t point_stride) noexcept {
  return with_columns(rows.columns, [&](auto columns) {
    return join<columns()>(rows, number_of, list, points, point_stride);
  });
}

void clear_padded(const VoxelRows& rows, RowRange range) noexcept {
  const std::int64_t floats = std::int64_t{rows.max_points} * rows.columns;
  std::memset(rows.padded + range.begin * floats, 0,
              sizeof(float) * static_cast<std::size_t>((range.end - range.begin) * floats));
}

void keep_padded(const VoxelRows& rows, std::int64_t row, std::int32_t slot, const float* point) noexcept {
  float* to = rows.padded + (row * rows.max_points + slot) * rows.columns;
  std::memcpy(to, point, sizeof(float) * static_cast<std::size_t>(rows.columns));
}

void mean_voxels(const VoxelRows& rows, RowRange range) noexcept {
  with_columns(rows.columns, [&](auto columns) { means<columns()>(rows, range); });
}

void count_parts(const CellGrid& grid, const std::uint64_t* cells, std::int64_t n,
                 PartCounts& count) noexcept {
  const SpaceParts parts(grid);
  std::array<PartCounts, 2> found{};  // so that points of one part need not wait for each other
  for (std::int64_t i = 0; i < n; ++i) ++found[static_cast<std::size_t>(i % 2)][parts.of(cells[i])];
  for (std::size_t p = 0; p <= kVoxelParts; ++p) count[p] += found[0][p] + found[1][p];
}

void list_by_part(const CellGrid& grid, std::span<const std::uint64_t> cells, std::int32_t first_point,
                  PartCounts& place, std::uint64_t* listed_cells, std::int32_t* listed) noexcept {
  const SpaceParts parts(grid);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::int32_t at = place[parts.of(cells[i])]++;
    listed_cells[at] = cells[i];
    listed[at] = first_point + static_cast<std::int32_t>(i);
  }
}

void gather_voxels(const VoxelRows& rows, std::int64_t row, std::span<const std::int32_t> list,
                   const PartVoxels& from) noexcept {
  with_columns(rows.columns, [&](auto columns) { gather<columns()>(rows, row, list, from); });
}

}  // namespace voxgemm
