#include "voxelize/cpu/partitioned.h"

#include <algorithm>
#include <span>

#include "core/parallel.h"

namespace voxgemm {
namespace {

constexpr std::int64_t kBlock = kMaxVoxelBlock;
constexpr std::int64_t kChunksPerThread = 2;  // a late thread's second one is stolen
constexpr std::int64_t kLeastChunk = 4 * kBlock;
constexpr std::int64_t kClearGrain = 1024;                                 // rows
static_assert(kMaxPointChunks <= static_cast<std::int64_t>(kVoxelParts));  // which share the blocks

class PartVoxelizer {
 public:
  PartVoxelizer(const CellGrid& grid, const CpuPoints& cloud, const VoxelRows& rows, const PartMemory& memory,
                std::int32_t threads) noexcept
      : grid_(grid), cloud_(cloud), rows_(rows), memory_(memory) {
    const std::int64_t most = std::min(kMaxPointChunks, kChunksPerThread * threads);
    const std::int64_t even = std::max(kLeastChunk, (cloud.count() + most - 1) / most);
    const std::int64_t size = (even + kBlock - 1) / kBlock * kBlock;
    chunks_ = {memory.chunks, static_cast<std::size_t>((cloud.count() + size - 1) / size)};
    for (std::size_t c = 0; c < chunks_.size(); ++c) {
      const std::int64_t begin = static_cast<std::int64_t>(c) * size;
      chunks_[c] = {.begin = begin, .end = std::min(begin + size, cloud.count())};
    }
  }

  [[nodiscard]] std::span<const PointChunk> chunks() const noexcept { return chunks_; }

  // Lists the points of a chunk by part.
  void list_points(std::size_t c) const noexcept {
    PointChunk& chunk = chunks_[c];
    PartCounts next{};
    for (std::int64_t begin = chunk.begin; begin < chunk.end; begin += kBlock) {
      const std::int64_t n = std::min(kBlock, chunk.end - begin);
      std::uint64_t* const cells = memory_.cells + begin;
      cloud_.find_cells(cloud_.range({begin, begin + n}, memory_.blocks[c]), n, cells);
      const std::int32_t outside = next[kVoxelParts];
      count_parts(grid_, cells, n, next);
      count_points(cells, n, next[kVoxelParts] - outside, chunk.counts);
    }
    auto place = static_cast<std::int32_t>(chunk.begin);
    for (std::size_t p = 0; p <= kVoxelParts; ++p) {
      chunk.place[p] = place;
      place += next[p];
    }
    next = chunk.place;
    list_by_part(grid_, {memory_.cells + chunk.begin, static_cast<std::size_t>(chunk.end - chunk.begin)},
                 static_cast<std::int32_t>(chunk.begin), next, memory_.listed_cells, memory_.listed);
    std::fill(memory_.opened + chunk.begin, memory_.opened + chunk.end, kNoRow);
    if (rows_.point_rows != nullptr) {
      std::fill(rows_.point_rows + chunk.begin, rows_.point_rows + chunk.end, kNoRow);
    }
  }

  // Where the tables and the voxels of the parts lie, once all points are listed.
  void place_parts() noexcept {
    std::byte* slots = memory_.slots;
    std::int64_t first = 0;
    for (std::size_t p = 0; p < kVoxelParts; ++p) {
      std::int64_t points = 0;
      for (const PointChunk& chunk : chunks_) points += chunk.place[p + 1] - chunk.place[p];
      first_voxel_[p] = first;
      first += points;
      tables_[p] = {slots, cell_table_bits(points), grid_.wide()};
      slots += tables_[p].bytes();
    }
  }

  // Voxelises the points of a part. Returns how many found their voxel full.
  [[nodiscard]] std::int64_t voxelize(std::size_t part) const noexcept {
    clear_cells(tables_[part]);
    const std::int64_t first = first_voxel_[part];
    VoxelRows rows = rows_;
    rows.features = memory_.sums + first * rows.columns;
    rows.stride = rows.columns;
    rows.kept = memory_.kept + first;
    rows.padded = nullptr;
    FirstCome block;
    std::int32_t voxels = 0;
    std::int64_t full = 0;
    for (PointChunk& chunk : chunks_) {
      const std::int32_t before = voxels;
      for_listed(chunk, part, [&](std::int64_t at, std::span<const std::int32_t> listed) {
        const std::uint64_t* const cells = memory_.listed_cells + at;
        std::int32_t* const number = memory_.number + at;
        const FloatPoints points = cloud_.listed(listed, memory_.blocks[part]);
        number_cells(tables_[part], cells, static_cast<std::int64_t>(listed.size()), voxels, number, block);
        open_voxels(rows, voxels, block.openers(), points.data, points.stride);
        full += join_voxels(rows, number, block.others(), points.data, points.stride);
        for (const std::uint16_t i : block.openers()) {
          const std::int64_t voxel = first + voxels++;
          memory_.cells[voxel] = cells[i];
          memory_.opened[listed[i]] = static_cast<std::int32_t>(voxel);
        }
      });
      chunk.opened[part] = voxels - before;
    }
    return full;
  }

  // Rows row, row + 1, ... are the voxels that begin with points of the chunk.
  void write_rows(const PointChunk& chunk, std::int32_t row) const noexcept {
    const PartVoxels voxels{memory_.cells, memory_.sums, memory_.kept};
    std::array<std::int32_t, kBlock> list;
    for (std::int64_t begin = chunk.begin; begin < chunk.end; begin += kBlock) {
      const std::int64_t end = std::min(begin + kBlock, chunk.end);
      std::size_t count = 0;
      for (std::int64_t i = begin; i < end; ++i) {
        list[count] = memory_.opened[i];
        count += memory_.opened[i] == kNoRow ? 0 : 1;
      }
      const std::size_t fit = std::min(count, static_cast<std::size_t>(rows_.max_voxels - row));
      gather_voxels(rows_, row, {list.data(), fit}, voxels);
      for (std::size_t k = 0; k < count; ++k) memory_.row_of[list[k]] = k < fit ? row++ : kNoRow;
    }
  }

  // What a part's points leave besides means, once its voxels have rows: extras, and the counts where voxels
  // were dropped. Counts once more how many points its voxels have.
  void finish(std::size_t part, VoxelizeCounts& counts) const noexcept {
    const std::int64_t first = first_voxel_[part];
    std::int32_t voxels = 0;
    for (const PointChunk& chunk : chunks_) voxels += chunk.opened[part];
    std::fill_n(memory_.kept + first, voxels, 0);
    for (const PointChunk& chunk : chunks_) {
      for_listed(chunk, part, [&](std::int64_t at, std::span<const std::int32_t> listed) {
        FloatPoints points;
        if (rows_.padded != nullptr) points = cloud_.listed(listed, memory_.blocks[part]);
        for (std::size_t k = 0; k < listed.size(); ++k) {
          const std::int64_t voxel = first + memory_.number[at + static_cast<std::int64_t>(k)];
          const std::int32_t row = memory_.row_of[voxel];
          counts.voxel_overflow += row == kNoRow ? 1 : 0;
          if (row == kNoRow) continue;
          const std::int32_t slot = memory_.kept[voxel]++;
          counts.point_overflow += slot < rows_.max_points ? 0 : 1;
          if (rows_.point_rows != nullptr) rows_.point_rows[listed[k]] = rows_.row_base + row;
          if (rows_.padded == nullptr || slot >= rows_.max_points) continue;
          keep_padded(rows_, row, slot, points.data + static_cast<std::int64_t>(k) * points.stride);
        }
      });
    }
  }

 private:
  // Calls fn(place of the first, points) for the listed points of a chunk's part, a block at a time.
  template <typename Fn>
  void for_listed(const PointChunk& chunk, std::size_t part, Fn fn) const noexcept {
    for (std::int64_t at = chunk.place[part]; at < chunk.place[part + 1]; at += kBlock) {
      const std::int64_t n = std::min<std::int64_t>(kBlock, chunk.place[part + 1] - at);
      fn(at, std::span<const std::int32_t>(memory_.listed + at, static_cast<std::size_t>(n)));
    }
  }

  const CellGrid& grid_;
  const CpuPoints& cloud_;
  const VoxelRows& rows_;
  const PartMemory& memory_;
  std::span<PointChunk> chunks_;
  std::array<CellTable, kVoxelParts> tables_;
  std::array<std::int64_t, kVoxelParts> first_voxel_{};
};

// Adds what chunks and parts count; voxels are counted as they get rows.
void add_points(const VoxelizeCounts& from, VoxelizeCounts& to) noexcept {
  to.points += from.points;
  to.not_finite += from.not_finite;
  to.out_of_range += from.out_of_range;
  to.voxel_overflow += from.voxel_overflow;
  to.point_overflow += from.point_overflow;
}

}  // namespace

PartMemory PartMemory::carve(Carver& carver, std::int64_t n, std::int32_t columns, bool wide) noexcept {
  PartMemory m;
  // A table is at most three times its points, and has a minimum.
  m.slots = carver.take<std::byte>(static_cast<std::int64_t>(CellTable::slot_bytes(wide)) *
                                   (3 * n + (std::int64_t{kVoxelParts} << kMinCellTableBits)));
  for (PointBlock& block : m.blocks) block = PointBlock::carve(carver, columns);
  m.chunks = carver.take<PointChunk>(kMaxPointChunks);
  m.cells = carver.take<std::uint64_t>(n);
  m.listed_cells = carver.take<std::uint64_t>(n);
  m.listed = carver.take<std::int32_t>(n);
  m.number = carver.take<std::int32_t>(n);
  m.opened = carver.take<std::int32_t>(n);
  m.sums = carver.take<float>(n * columns);
  m.kept = carver.take<std::int32_t>(n);
  m.row_of = carver.take<std::int32_t>(n);
  return m;
}

void voxelize_in_parts(Context& context, const CellGrid& grid, const CpuPoints& cloud, const VoxelRows& rows,
                       const PartMemory& memory, VoxelizeCounts& counts) noexcept {
  PartVoxelizer voxelizer(grid, cloud, rows, memory, context.threads());
  const auto chunks = voxelizer.chunks();
  parallel_each(context, chunks.size(), [&](std::size_t c) { voxelizer.list_points(c); });
  voxelizer.place_parts();
  std::array<std::int64_t, kVoxelParts> full{};
  parallel_each(context, kVoxelParts, [&](std::size_t p) { full[p] = voxelizer.voxelize(p); });

  std::array<std::int32_t, kMaxPointChunks> first_row{};
  std::int32_t wanted = 0;
  for (std::size_t c = 0; c < chunks.size(); ++c) {
    first_row[c] = std::min(wanted, rows.max_voxels);
    for (const std::int32_t opened : chunks[c].opened) wanted += opened;
    add_points(chunks[c].counts, counts);
  }
  counts.voxels_wanted = wanted;
  counts.voxels = std::min(wanted, rows.max_voxels);
  parallel_each(context, chunks.size(),
                [&](std::size_t c) { voxelizer.write_rows(chunks[c], first_row[c]); });

  if (wanted == counts.voxels && rows.point_rows == nullptr && rows.padded == nullptr) {
    for (const std::int64_t points : full) counts.point_overflow += points;
    return;
  }
  if (rows.padded != nullptr) {
    parallel_for(context, 0, counts.voxels, kClearGrain, [&](std::int64_t begin, std::int64_t end) {
      clear_padded(rows, {begin, end});
    });
  }
  std::array<VoxelizeCounts, kVoxelParts> partial{};
  parallel_each(context, kVoxelParts, [&](std::size_t p) { voxelizer.finish(p, partial[p]); });
  for (const VoxelizeCounts& part : partial) add_points(part, counts);
}

}  // namespace voxgemm
