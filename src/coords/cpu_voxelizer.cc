#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "coords/cell_grid.h"
#include "coords/voxelizer_impl.h"
#include "core/context_impl.h"
#include "core/parallel.h"
#include "core/pick_kernel.h"
#include "kernels/quantize/quantize.h"
#include "kernels/voxelize/voxelize.h"

namespace voxgemm {
namespace {

// One thread walks the points block by block, so that cells and widened points stay in L1. Several threads
// split the cells among partitions, find the first point of each cell, number those by a scan, and sum each
// partition's points in order: the same numbers and sums.
constexpr std::int64_t kBlock = kMaxVoxelBlock;
constexpr std::int64_t kChunk = 8192;
constexpr std::int32_t kPartitionBits = 6;
constexpr std::size_t kPartitions = std::size_t{1} << kPartitionBits;
constexpr std::int64_t kMinParallelPoints = 4 * kChunk;
constexpr std::int32_t kMinParallelThreads = 3;  // all threads together work twice as long as one alone
constexpr std::int32_t kMinTableBits = 4;

// Bits of a table that n distinct cells fill to two thirds at most.
std::int32_t table_bits(std::int64_t n) {
  const auto wanted = static_cast<std::uint64_t>(n + n / 2);
  return std::max<std::int32_t>(kMinTableBits, static_cast<std::int32_t>(std::bit_width(wanted)));
}

using PartitionCounts = std::array<std::int32_t, kPartitions>;

struct ChunkState {
  PartitionCounts offset;  // points per partition, then where they go in order[]
  std::int64_t not_finite;
  std::int64_t out_of_range;
  std::int32_t leaders;  // cells that start in this chunk, then the row of the first
};

struct Memory {
  std::byte* slots = nullptr;
  std::uint64_t* cells = nullptr;  // [kBlock], parallel: [max_points]
  float* widened = nullptr;        // likewise, times columns
  std::int32_t* kept = nullptr;    // [rows per cloud]
  std::int32_t* order = nullptr;   // parallel only, [max_points] each
  std::int32_t* leader = nullptr;
  std::int32_t* row_of = nullptr;
  ChunkState* chunks = nullptr;
};

class CpuVoxelizer final : public VoxelizerBackend {
 public:
  CpuVoxelizer(const Context& context, const VoxelizePlan& plan)
      : plan_(plan),
        grid_(make_cell_grid(plan)),
        parallel_(context.threads() >= kMinParallelThreads && plan.max_points >= kMinParallelPoints) {}

  [[nodiscard]] std::size_t workspace_bytes() const noexcept override {
    Carver carver;
    carve(carver);
    return carver.used();
  }

  Status run(Context& context, std::span<const PointsView> clouds, const VoxelizeOutputs& out,
             Workspace workspace) const noexcept override {
    Carver carver(workspace);
    const Memory memory = carve(carver);
    std::int64_t first_point = 0;
    std::int32_t rows = 0;
    for (std::size_t b = 0; b < clouds.size(); ++b) {
      VoxelizeCounts counts;
      run_cloud(context, clouds[b], rows_of(out, static_cast<std::int32_t>(b), rows, first_point, memory),
                memory, counts);
      if (!out.extras.points_per_voxel.empty()) {
        std::memcpy(out.extras.points_per_voxel.data() + rows, memory.kept,
                    sizeof(std::int32_t) * static_cast<std::size_t>(counts.voxels));
      }
      if (out.counts != nullptr) out.counts[b] = counts;
      rows += counts.voxels;
      first_point += clouds[b].num_points;
    }
    *out.num_voxels = rows;
    return {};
  }

 private:
  [[nodiscard]] bool wide() const { return grid_.bits > 31; }
  [[nodiscard]] std::int64_t slot_bytes() const {
    return static_cast<std::int64_t>(wide() ? kWideSlotBytes : kNarrowSlotBytes);
  }
  [[nodiscard]] static std::int64_t num_chunks(std::int64_t points) { return (points + kChunk - 1) / kChunk; }

  Memory carve(Carver& carver) const noexcept {
    const std::int64_t n = plan_.max_points;
    const std::int64_t resident = parallel_ ? n : std::min(n, kBlock);
    // A table is at most three times its points; each partition's has a minimum.
    const std::int64_t slots = parallel_ ? 3 * n + (std::int64_t{1} << (kMinTableBits + kPartitionBits))
                                         : std::int64_t{1} << table_bits(n);
    Memory m;
    m.slots = carver.take<std::byte>(slots * slot_bytes());
    m.cells = carver.take<std::uint64_t>(resident);
    m.widened = carver.take<float>(resident * plan_.columns);
    m.kept = carver.take<std::int32_t>(std::min<std::int64_t>(n, plan_.grid.max_voxels));
    if (!parallel_) return m;
    m.order = carver.take<std::int32_t>(n);
    m.leader = carver.take<std::int32_t>(n);
    m.row_of = carver.take<std::int32_t>(n);
    m.chunks = carver.take<ChunkState>(num_chunks(n));
    return m;
  }

  [[nodiscard]] VoxelRows rows_of(const VoxelizeOutputs& out, std::int32_t batch, std::int32_t row,
                                  std::int64_t first_point, const Memory& memory) const noexcept {
    VoxelRows rows{.y_shift = grid_.y_shift,
                   .z_shift = grid_.z_shift,
                   .columns = plan_.columns,
                   .batch = batch,
                   .max_voxels = plan_.grid.max_voxels,
                   .max_points = plan_.grid.max_points_per_voxel,
                   .row_base = row,
                   .indices = out.indices + std::int64_t{4} * row,
                   .features = out.features + out.stride * row,
                   .stride = out.stride,
                   .kept = memory.kept};
    if (!out.extras.voxels.empty()) {
      rows.padded = out.extras.voxels.data() + std::int64_t{row} * rows.max_points * rows.columns;
    }
    if (!out.extras.point_voxel_id.empty()) {
      rows.point_rows = out.extras.point_voxel_id.data() + first_point;
    }
    return rows;
  }

  void run_cloud(Context& context, const PointsView& cloud, const VoxelRows& rows, const Memory& memory,
                 VoxelizeCounts& counts) const noexcept {
    if (cloud.num_points == 0) return;
    if (parallel_ && context.threads() >= kMinParallelThreads && cloud.num_points >= kMinParallelPoints) {
      run_parallel(context, cloud, rows, memory, counts);
    } else {
      run_serial(context, cloud, rows, memory, counts);
    }
    parallel_for(context, 0, counts.voxels, kChunk, [&](std::int64_t begin, std::int64_t end) {
      first_come_means(rows, {begin, end});
    });
  }

  // Points [begin, end) as float32: in place, or widened to `to`. Returns them and their stride.
  const float* float_points(const Context& context, const PointsView& cloud, RowRange range, float* to,
                            std::int64_t& stride) const noexcept {
    if (cloud.dtype == DType::kFloat32) {
      stride = row_stride(cloud);
      return static_cast<const float*>(cloud.data) + range.begin * stride;
    }
    stride = plan_.columns;
    const QuantizeArgs args{.op = QuantizeOp::kConvert,
                            .in_dtype = DType::kFloat16,
                            .out_dtype = DType::kFloat32,
                            .in = static_cast<const Half*>(cloud.data) + range.begin * row_stride(cloud),
                            .in_stride = row_stride(cloud),
                            .out = to,
                            .out_stride = stride,
                            .channels = plan_.columns,
                            .rows = static_cast<std::int32_t>(range.end - range.begin)};
    pick_kernel(context, quantize_kernels())->run(args, {0, args.rows}, {});
    return to;
  }

  void find_cells(const Context& context, const float* points, std::int64_t stride, std::int64_t n,
                  std::uint64_t* cells) const noexcept {
    pick_kernel(context, voxel_cells_kernels())
        ->run({grid_, points, stride, plan_.columns, cells}, {0, n}, {});
  }

  void run_serial(const Context& context, const PointsView& cloud, VoxelRows rows, const Memory& memory,
                  VoxelizeCounts& counts) const noexcept {
    const CellTable table{memory.slots, table_bits(cloud.num_points), wide()};
    std::memset(table.slots, 0, static_cast<std::size_t>(slot_bytes()) << table.bits);
    for (std::int64_t begin = 0; begin < cloud.num_points; begin += kBlock) {
      const std::int64_t n = std::min(kBlock, cloud.num_points - begin);
      std::int64_t stride = 0;
      const float* points = float_points(context, cloud, {begin, begin + n}, memory.widened, stride);
      find_cells(context, points, stride, n, memory.cells);
      first_come_block(table, rows, memory.cells, points, stride, n, counts);
      if (rows.point_rows != nullptr) rows.point_rows += n;
    }
  }

  void run_parallel(Context& context, const PointsView& cloud, const VoxelRows& rows, const Memory& memory,
                    VoxelizeCounts& counts) const noexcept;
  void partition_points(Context& context, std::int64_t n, const VoxelRows& rows,
                        const Memory& memory) const noexcept;
  void number_leaders(Context& context, std::int64_t n, const VoxelRows& rows, const Memory& memory,
                      VoxelizeCounts& counts) const noexcept;

  VoxelizePlan plan_;
  CellGrid grid_{};
  bool parallel_ = false;
};

// Calls fn(chunk state, first point, end point) for every chunk.
template <typename Fn>
void for_chunks(Context& context, std::int64_t n, ChunkState* chunks, Fn fn) noexcept {
  const std::int64_t count = (n + kChunk - 1) / kChunk;
  parallel_for(context, 0, count, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t c = first; c < last; ++c) fn(chunks[c], c * kChunk, std::min(n, (c + 1) * kChunk));
  });
}

void CpuVoxelizer::run_parallel(Context& context, const PointsView& cloud, const VoxelRows& rows,
                                const Memory& memory, VoxelizeCounts& counts) const noexcept {
  const std::int64_t n = cloud.num_points;
  const bool in_place = cloud.dtype == DType::kFloat32;
  const float* all = in_place ? static_cast<const float*>(cloud.data) : memory.widened;
  const std::int64_t all_stride = in_place ? row_stride(cloud) : plan_.columns;
  for_chunks(context, n, memory.chunks, [&](ChunkState& chunk, std::int64_t begin, std::int64_t end) {
    std::int64_t stride = 0;
    const float* points =
        float_points(context, cloud, {begin, end}, memory.widened + begin * plan_.columns, stride);
    find_cells(context, points, stride, end - begin, memory.cells + begin);
    chunk = {};
    for (std::int64_t i = begin; i < end; ++i) {
      const std::uint64_t cell = memory.cells[i];
      if (cell >= kCellOutside) {
        ++(cell == kCellOutside ? chunk.out_of_range : chunk.not_finite);
      } else {
        ++chunk.offset[cell_partition(cell, kPartitionBits)];
      }
    }
  });
  partition_points(context, n, rows, memory);
  PartitionCounts start{};  // where a partition ended in order[] is where the next one starts
  const ChunkState& last = memory.chunks[num_chunks(n) - 1];
  std::array<std::int64_t, kPartitions> first_slot{};
  for (std::size_t p = 1; p < kPartitions; ++p) {
    start[p] = last.offset[p - 1];
    first_slot[p] = first_slot[p - 1] + (std::int64_t{1} << table_bits(start[p] - start[p - 1]));
  }
  std::array<VoxelizeCounts, kPartitions> partial{};
  const auto for_partitions = [&](auto fn) {
    parallel_for(context, 0, kPartitions, 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto p = static_cast<std::size_t>(begin); p < static_cast<std::size_t>(end); ++p) {
        fn(p, memory.order + start[p], std::int64_t{last.offset[p]} - start[p]);
      }
    });
  };
  for_partitions([&](std::size_t p, const std::int32_t* order, std::int64_t points) {
    const CellTable table{memory.slots + first_slot[p] * slot_bytes(), table_bits(points), wide()};
    std::memset(table.slots, 0, static_cast<std::size_t>(slot_bytes()) << table.bits);
    first_come_leaders(table, memory.cells, order, points, memory.leader);
  });
  number_leaders(context, n, rows, memory, counts);
  for_partitions([&](std::size_t p, const std::int32_t* order, std::int64_t points) {
    first_come_sum(rows, memory.cells, all, all_stride, order, points, memory.leader, memory.row_of,
                   partial[p]);
  });
  for (const VoxelizeCounts& part : partial) {
    counts.voxel_overflow += part.voxel_overflow;
    counts.point_overflow += part.point_overflow;
  }
}

// order[]: points grouped by partition, ascending in each. Afterwards chunk.offset is where each chunk ended.
void CpuVoxelizer::partition_points(Context& context, std::int64_t n, const VoxelRows& rows,
                                    const Memory& memory) const noexcept {
  std::int32_t next = 0;
  for (std::size_t p = 0; p < kPartitions; ++p) {
    for (std::int64_t c = 0; c < num_chunks(n); ++c) {
      const std::int32_t count = memory.chunks[c].offset[p];
      memory.chunks[c].offset[p] = next;
      next += count;
    }
  }
  for_chunks(context, n, memory.chunks, [&](ChunkState& chunk, std::int64_t begin, std::int64_t end) {
    PartitionCounts at = chunk.offset;
    for (std::int64_t i = begin; i < end; ++i) {
      const std::uint64_t cell = memory.cells[i];
      if (cell >= kCellOutside) {
        memory.leader[i] = -1;
        if (rows.point_rows != nullptr) rows.point_rows[i] = -1;
      } else {
        memory.order[at[cell_partition(cell, kPartitionBits)]++] = static_cast<std::int32_t>(i);
      }
    }
    chunk.offset = at;
  });
}

void CpuVoxelizer::number_leaders(Context& context, std::int64_t n, const VoxelRows& rows,
                                  const Memory& memory, VoxelizeCounts& counts) const noexcept {
  for_chunks(context, n, memory.chunks, [&](ChunkState& chunk, std::int64_t begin, std::int64_t end) {
    chunk.leaders = 0;
    for (std::int64_t i = begin; i < end; ++i) chunk.leaders += memory.leader[i] == i ? 1 : 0;
  });
  std::int32_t next = 0;
  for (std::int64_t c = 0; c < num_chunks(n); ++c) {
    ChunkState& chunk = memory.chunks[c];
    counts.not_finite += chunk.not_finite;
    counts.out_of_range += chunk.out_of_range;
    const std::int32_t count = chunk.leaders;
    chunk.leaders = next;
    next += count;
  }
  counts.points = n;
  counts.voxels_wanted = next;
  counts.voxels = std::min(next, rows.max_voxels);
  for_chunks(context, n, memory.chunks, [&](ChunkState& chunk, std::int64_t begin, std::int64_t end) {
    std::int32_t row = chunk.leaders;
    for (std::int64_t i = begin; i < end; ++i) {
      if (memory.leader[i] != i) continue;
      memory.row_of[i] = row < rows.max_voxels ? row : -1;
      ++row;
    }
  });
}

}  // namespace

std::unique_ptr<VoxelizerBackend> make_cpu_voxelizer(Context& context, const VoxelizePlan& plan) {
  return std::make_unique<CpuVoxelizer>(context, plan);
}

}  // namespace voxgemm
