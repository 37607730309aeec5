#include "voxelize/cpu/pipelined.h"

#include <algorithm>
#include <atomic>

#include "core/parallel.h"
#include "core/wait.h"

namespace voxgemm {
namespace {

constexpr std::int64_t kBlock = kMaxVoxelBlock;
constexpr std::int64_t kMeanGrain = 8192;
constexpr std::int64_t kPointsWorthAThread = 4 * kBlock;  // about 50 us of one thread
constexpr std::size_t kCacheLine = 64;

class BlockVoxelizer {
 public:
  BlockVoxelizer(const CellGrid& grid, const CpuPoints& cloud, const VoxelRows& rows,
                 const VoxelBlockMemory& memory, VoxelizeCounts& counts) noexcept
      : cloud_(cloud),
        rows_(rows),
        table_{memory.table, cell_table_bits(cloud.count()), grid.wide()},
        blocks_((cloud.count() + kBlock - 1) / kBlock),
        num_slots_(static_cast<std::int64_t>(memory.num_slots)),
        slots_(memory.slots),
        counts_(counts) {
    for (auto& found : found_) found.store(-1, std::memory_order_relaxed);
  }

  // Takes steps until none is left. Any number of threads may work, one alone as well: the first to come
  // numbers, and joins when it can do nothing else; the next one joins; both find cells when there is time.
  void work() noexcept {
    const bool numbers = !numbering_.exchange(true, std::memory_order_acquire);
    bool joins = false;
    if (numbers) clear_cells(table_);
    for (;;) {
      const std::int64_t seen = steps_.load(std::memory_order_acquire);
      if (joined_.load(std::memory_order_acquire) == blocks_) return;
      if (numbers && number_next()) continue;
      if (numbers && find_next()) continue;
      if (joins || !joining_.exchange(true, std::memory_order_acquire)) {
        const bool joined = join_next();
        joins = !numbers;
        if (numbers) joining_.store(false, std::memory_order_release);
        if (joined) continue;
      }
      if (!numbers && find_next()) continue;
      wait_while(steps_, seen);
    }
  }

 private:
  [[nodiscard]] std::size_t slot_of(std::int64_t block) const noexcept {
    return static_cast<std::size_t>(block % num_slots_);
  }
  [[nodiscard]] std::int64_t points_of(std::int64_t block) const noexcept {
    return std::min(kBlock, cloud_.count() - block * kBlock);
  }
  void step_taken() noexcept {
    steps_.fetch_add(1, std::memory_order_acq_rel);
    steps_.notify_all();
  }

  // Finds the cells of the next block. False when there is none, or no slot for it.
  bool find_next() noexcept {
    std::int64_t block = next_.load(std::memory_order_relaxed);
    do {
      if (block >= blocks_ || block >= joined_.load(std::memory_order_acquire) + num_slots_) return false;
    } while (!next_.compare_exchange_weak(block, block + 1, std::memory_order_relaxed));
    BlockSlot& slot = slots_[slot_of(block)];
    const std::int64_t n = points_of(block);
    slot.points = cloud_.range({block * kBlock, block * kBlock + n}, slot.memory);
    cloud_.find_cells(slot.points, n, slot.cells);
    found_[slot_of(block)].store(block, std::memory_order_release);
    step_taken();
    return true;
  }

  // Numbers the cells of the next block, once they are found.
  bool number_next() noexcept {
    const std::int64_t block = numbered_.load(std::memory_order_relaxed);
    if (block == blocks_ || found_[slot_of(block)].load(std::memory_order_acquire) != block) return false;
    BlockSlot& slot = slots_[slot_of(block)];
    number_cells(table_, slot.cells, points_of(block), wanted_, slot.number, *slot.order);
    wanted_ += static_cast<std::int32_t>(slot.order->num_first);
    numbered_.store(block + 1, std::memory_order_release);
    step_taken();
    return true;
  }

  // Brings the points of the next block to their voxels, once they are numbered.
  bool join_next() noexcept {
    const std::int64_t block = joined_.load(std::memory_order_relaxed);
    if (block == numbered_.load(std::memory_order_acquire)) return false;
    BlockSlot& slot = slots_[slot_of(block)];
    FirstCome& order = *slot.order;
    const std::int64_t n = points_of(block);
    const std::int64_t inside = order.num_first + order.num_later;
    count_points(slot.cells, n, n - inside, counts_);
    const auto first_row = static_cast<std::int32_t>(counts_.voxels_wanted);
    counts_.voxels_wanted += order.num_first;
    if (counts_.voxels_wanted > rows_.max_voxels) drop_points(rows_, first_row, slot.number, order);
    write_indices(rows_, first_row, slot.cells, order.openers());
    open_voxels(rows_, first_row, order.openers(), slot.points.data, slot.points.stride);
    counts_.voxels += static_cast<std::int32_t>(order.num_first);
    counts_.point_overflow +=
        join_voxels(rows_, slot.number, order.others(), slot.points.data, slot.points.stride);
    counts_.voxel_overflow += inside - order.num_first - order.num_later;
    if (rows_.point_rows != nullptr) {
      write_point_rows(rows_, {slot.number, static_cast<std::size_t>(n)}, rows_.point_rows + block * kBlock);
    }
    joined_.store(block + 1, std::memory_order_release);
    step_taken();
    return true;
  }

  const CpuPoints& cloud_;
  const VoxelRows& rows_;
  const CellTable table_;
  const std::int64_t blocks_;
  const std::int64_t num_slots_;
  std::array<BlockSlot, VoxelBlockMemory::kMostSlots> slots_;
  // The block whose cells a slot holds.
  std::array<std::atomic<std::int64_t>, VoxelBlockMemory::kMostSlots> found_;
  std::int32_t wanted_ = 0;  // voxels so far; the numbering thread's
  VoxelizeCounts& counts_;   // the joining thread's
  std::atomic<bool> numbering_{false};
  std::atomic<bool> joining_{false};
  alignas(kCacheLine) std::atomic<std::int64_t> next_{0};  // block whose cells nobody looks for yet
  alignas(kCacheLine) std::atomic<std::int64_t> numbered_{0};
  alignas(kCacheLine) std::atomic<std::int64_t> joined_{0};
  alignas(kCacheLine) std::atomic<std::int64_t> steps_{0};
};

}  // namespace

VoxelBlockMemory VoxelBlockMemory::carve(Carver& carver, std::int64_t max_points, std::int32_t columns,
                                         bool wide, std::int32_t threads) noexcept {
  VoxelBlockMemory m;
  m.table = carver.take<std::byte>(static_cast<std::int64_t>(CellTable::slot_bytes(wide))
                                   << cell_table_bits(max_points));
  m.num_slots = threads > 1 ? kMostSlots : 1;
  for (std::size_t i = 0; i < m.num_slots; ++i) {
    m.slots[i].memory = PointBlock::carve(carver, columns);
    m.slots[i].cells = carver.take<std::uint64_t>(kBlock);
    m.slots[i].number = carver.take<std::int32_t>(kBlock);
    m.slots[i].order = carver.take<FirstCome>(1);
  }
  return m;
}

void voxelize_blocks(Context& context, const CellGrid& grid, const CpuPoints& cloud, const VoxelRows& rows,
                     const VoxelBlockMemory& memory, VoxelizeCounts& counts) noexcept {
  BlockVoxelizer voxelizer(grid, cloud, rows, memory, counts);
  const std::int64_t most = memory.num_slots > 1 ? std::min(context.threads(), kMaxBlockThreads) : 1;
  const std::int64_t threads = std::min(most, 1 + cloud.count() / kPointsWorthAThread);
  parallel_each(context, threads, [&](std::int64_t) { voxelizer.work(); });
  parallel_for(context, 0, counts.voxels, kMeanGrain, [&](std::int64_t begin, std::int64_t end) {
    mean_voxels(rows, {begin, end});
  });
}

}  // namespace voxgemm
