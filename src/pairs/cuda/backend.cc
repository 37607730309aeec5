// The CUDA way to build a pair plan: sizes and offsets are fixed here, run() only launches.
//
// One run: mark the input's cells; number level after level, each pass marking the cells of the levels below;
// then the pair tables and their row orders. Tables of the first two levels, the larger part, are built on a
// second stream beside the numbering of the deeper levels.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <memory>

#include "core/context_impl.h"
#include "core/cuda_device.h"
#include "core/cuda_fork.h"
#include "kernels/coord_index/sm80.h"
#include "kernels/mask_sort/sm80.h"
#include "kernels/pairs/sm80.h"
#include "pairs/cuda/layout.h"
#include "pairs/relations.h"

namespace voxgemm {
namespace {

using cuda_pairs::at;
using cuda_pairs::kNone;
using cuda_pairs::LevelMemory;
using cuda_pairs::MapMemory;
using cuda_pairs::OrderMemory;
using cuda_pairs::stride_of;
using device::AxisMap;
using device::CoordIndex;

bool is_dense27(const std::array<AxisMap, device::kAxes>& axes) {
  bool ok = axes[0].kernel == 1 && axes[3].step == 1;
  for (std::size_t a = 0; a < axes.size(); ++a)
    ok = ok && axes[a].div == 1 && (a == 0 || axes[a].kernel == 3);
  return ok;
}

class CudaPairBackend final : public PairBackend {
 public:
  CudaPairBackend(Context& context, const PairPlan& plan);

  [[nodiscard]] std::size_t workspace_bytes() const override { return layout_.workspace_bytes; }
  [[nodiscard]] std::string describe_level(std::int32_t level) const override;
  Status prepare(Context& context, const Stamp& stamp, Workspace workspace) const noexcept override;
  Status run(Context& context, const std::int32_t* indices, std::int32_t n, const std::int32_t* device_n,
             const Stamp& stamp, Workspace workspace) const noexcept override;
  [[nodiscard]] IndicePairsView map_view(std::int32_t map, Workspace workspace) const noexcept override;
  [[nodiscard]] LevelView level_view(std::int32_t level, Workspace workspace) const noexcept override;
  [[nodiscard]] std::int64_t num_pairs(std::int32_t, Workspace) const noexcept override { return 0; }
  Status status(Context& context, Workspace workspace) const noexcept override;

 private:
  [[nodiscard]] CoordIndex index_of(std::int32_t level, Workspace workspace) const noexcept;
  void number_level(std::int32_t level, Workspace workspace, const Exec& exec) const noexcept;
  [[nodiscard]] device::PairJob job_of(const MapMemory& map, bool backward,
                                       Workspace workspace) const noexcept;
  void build_maps(bool early, Workspace workspace, const Exec& exec) const noexcept;
  void build_orders(bool early, Workspace workspace, const Exec& exec) const noexcept;

  cuda_pairs::PairLayout layout_;
  std::unique_ptr<cuda::ForkPool> forks_;
};

CudaPairBackend::CudaPairBackend(Context& context, const PairPlan& plan)
    : layout_(cuda_pairs::lay_out_pairs(plan, context.impl().num_sms, cuda_pairs::kMaxBitmapCells)),
      forks_(std::make_unique<cuda::ForkPool>(context.device().index)) {}

std::string CudaPairBackend::describe_level(std::int32_t level) const {
  const LevelMemory& memory = layout_.levels.at(static_cast<std::size_t>(level));
  if (memory.hash.bits > 0) {
    return fmt::format("hashed words, sorted: {} words of 64 cells are more than a bitmap of {} MiB holds",
                       memory.num_words, cuda_pairs::kMaxBitmapCells / 8 / 1048576);
  }
  return fmt::format("occupancy bitmap with rank: {} words of 64 cells, {:.1f} MiB", memory.num_words,
                     static_cast<double>(memory.num_words) * 8.0 / 1048576.0);
}

device::HashedWords hash_of(const cuda_pairs::HashMemory& m, Workspace workspace) noexcept {
  device::HashedWords hash;
  hash.slot_word = at<std::uint64_t>(workspace, m.slot_word);
  hash.slot_bits = at<std::uint64_t>(workspace, m.slot_bits);
  hash.slot_rank = at<std::int32_t>(workspace, m.slot_rank);
  hash.bits = m.bits;
  hash.max_words = m.max_words;
  hash.num_words = at<std::int32_t>(workspace, m.num_words);
  hash.list_slots = at<std::int32_t>(workspace, m.list_slots);
  hash.list_keys = at<std::uint32_t>(workspace, m.list_keys);
  hash.order = at<std::int32_t>(workspace, m.order[m.passes.size() % 2]);
  return hash;
}

// The listed words in ascending order: stable counting passes, least significant digit first.
void sort_words(const cuda_pairs::HashMemory& m, Workspace workspace, const Exec& exec) noexcept {
  for (std::size_t p = 0; p < m.passes.size(); ++p) {
    device::OrderArgs order;
    order.num_passes = 1;
    device::OrderPass& pass = order.passes[0];
    pass.count = at<std::int32_t>(workspace, m.num_words);
    pass.capacity = m.max_words;
    pass.mask = at<std::uint32_t>(workspace, m.list_keys);
    pass.mask_words = 2;
    pass.word = m.passes[p].word;
    pass.shift = m.passes[p].shift;
    pass.order_in = p == 0 ? nullptr : at<std::int32_t>(workspace, m.order[p % 2]);
    pass.order_out = at<std::int32_t>(workspace, m.order[(p + 1) % 2]);
    pass.chunk_counts = at<std::uint32_t>(workspace, m.chunk_counts);
    pass.group_counts = at<std::uint32_t>(workspace, m.passes[p].group_counts);
    device::sm80_order_count(order, exec);
    device::sm80_order_scatter(order, exec);
  }
}

CoordIndex CudaPairBackend::index_of(std::int32_t level, Workspace workspace) const noexcept {
  const LevelMemory& m = layout_.levels[static_cast<std::size_t>(level)];
  CoordIndex index;
  index.grid = m.grid;
  index.capacity = m.capacity;
  index.num_words = m.num_words;
  if (m.hash.bits > 0) {
    index.hash = hash_of(m.hash, workspace);
  } else {
    index.words = at<std::uint64_t>(workspace, m.words);
    index.touched = at<std::uint64_t>(workspace, m.touched);
    index.summary = at<device::WordGroup>(workspace, m.summary);
    index.entries = at<device::WordEntry>(workspace, m.entries);
  }
  index.indices = at<std::int32_t>(workspace, m.indices);
  index.row_of_rank = at<std::int32_t>(workspace, m.row_of_rank);
  index.state = at<device::LevelState>(workspace, m.state);
  index.scan_states = at<std::uint64_t>(workspace, m.scan_states);
  index.sticky_wanted = at<std::int64_t>(workspace, m.sticky);
  return index;
}

Status CudaPairBackend::prepare(Context& context, const Stamp& stamp, Workspace workspace) const noexcept {
  const std::int32_t error =
      cuda::memset_async(workspace.data(), 0, layout_.persistent_bytes, context.stream());
  if (error != 0) return {.code = ErrorCode::kDevice, .value = error};
  Context::Impl& impl = context.impl();
  device::sm80_write_stamp(stamp.at, stamp.value, {impl.stream, impl.num_sms, &impl.launch_error});
  if (impl.launch_error != 0) return {.code = ErrorCode::kDevice, .value = impl.launch_error};
  return {};
}

void CudaPairBackend::number_level(std::int32_t level, Workspace workspace, const Exec& exec) const noexcept {
  const LevelMemory& memory = layout_.levels[static_cast<std::size_t>(level)];
  const auto reached = [&](std::size_t c) {
    const std::int32_t child = memory.children[c];
    device::ReachedLevel to;
    to.index = index_of(child, workspace);
    std::copy_n(layout_.levels[static_cast<std::size_t>(child)].reach.begin(), device::kAxes, to.reach);
    return to;
  };
  device::NumberArgs args;
  args.index = index_of(level, workspace);
  args.expand = level != 0;
  const std::size_t fused = std::min<std::size_t>(memory.children.size(), device::kMaxReached);
  args.num_reached = static_cast<std::int32_t>(fused);
  for (std::size_t c = 0; c < fused; ++c) args.reached[c] = reached(c);
  if (memory.hash.bits > 0) {
    sort_words(memory.hash, workspace, exec);
    device::sm80_number_hashed(args, exec);
  } else {
    device::sm80_number_sites(args, exec);
  }
  for (std::size_t c = fused; c < memory.children.size(); ++c) {
    device::sm80_mark_reached(args.index, reached(c), exec);
  }
}

device::PairJob CudaPairBackend::job_of(const MapMemory& map, bool backward,
                                        Workspace workspace) const noexcept {
  const CoordIndex in = index_of(map.plan.in_level, workspace);
  const CoordIndex out = index_of(map.plan.out_level, workspace);
  const CoordIndex& targets = backward ? in : out;
  const CoordIndex& sources = backward ? out : in;
  const auto& axes = backward ? map.backward : map.forward;
  device::PairJob job;
  job.rows = targets.indices;
  job.count = &targets.state->count;
  job.capacity = targets.capacity;
  std::copy_n(targets.grid.extent, device::kAxes, job.target_extent);
  job.grid = sources.grid;
  std::copy_n(axes.begin(), device::kAxes, job.axis);
  job.lookup = sources.lookup();
  job.row_of_rank = sources.row_of_rank;
  job.kv = map.kv;
  job.mask_words = map.mask_words;
  job.dense27 = is_dense27(axes) && job.lookup.slot_word == nullptr;
  job.pairs = at<std::int32_t>(workspace, backward ? map.pair_bwd : map.pair_fwd);
  job.stride = stride_of(backward ? map.in_capacity : map.out_capacity);
  if (backward) return job;
  job.mask = at<std::uint32_t>(workspace, map.mask);
  if (!map.orders.empty() && map.orders[0].counted) {
    job.chunk_counts = at<std::uint32_t>(workspace, map.orders[0].chunk_counts);
    job.group_counts = at<std::uint32_t>(workspace, map.orders[0].passes[0].group_counts);
  }
  return job;
}

void CudaPairBackend::build_maps(bool early, Workspace workspace, const Exec& exec) const noexcept {
  device::PairArgs args;
  const auto add = [&](const MapMemory& map, bool backward) {
    if (args.num_jobs == device::kMaxPairJobs) {
      device::sm80_pairs(args, exec);
      args.num_jobs = 0;
    }
    args.jobs[args.num_jobs++] = job_of(map, backward, workspace);
  };
  for (const MapMemory& map : layout_.maps) {
    if (map.early() != early) continue;
    if (map.pair_fwd != kNone) add(map, false);
    if (map.pair_bwd != kNone) add(map, true);
  }
  if (args.num_jobs > 0) device::sm80_pairs(args, exec);
  build_orders(early, workspace, exec);
}

// Pass p of every order in one launch.
void CudaPairBackend::build_orders(bool early, Workspace workspace, const Exec& exec) const noexcept {
  for (std::size_t p = 0;; ++p) {
    device::OrderArgs count;
    device::OrderArgs scatter;
    const auto flush = [&] {
      if (count.num_passes > 0) device::sm80_order_count(count, exec);
      if (scatter.num_passes > 0) device::sm80_order_scatter(scatter, exec);
      count.num_passes = 0;
      scatter.num_passes = 0;
    };
    bool any = false;
    for (const MapMemory& map : layout_.maps) {
      if (map.early() != early) continue;
      for (const OrderMemory& order : map.orders) {
        if (p >= order.passes.size()) continue;
        any = true;
        if (scatter.num_passes == device::kMaxOrderPasses) flush();
        const OrderMemory::Pass& pass = order.passes[p];
        const std::size_t left = order.passes.size() - 1 - p;
        device::OrderPass job;
        job.count = &at<device::LevelState>(
                         workspace, layout_.levels[static_cast<std::size_t>(map.plan.out_level)].state)
                         ->count;
        job.capacity = map.out_capacity;
        job.mask = at<std::uint32_t>(workspace, map.mask);
        job.mask_words = map.mask_words;
        job.word = pass.word;
        job.shift = pass.shift;
        job.filter = pass.filter;
        job.pattern = order.pattern;
        job.order_in =
            p == 0 ? nullptr : at<std::int32_t>(workspace, left % 2 == 0 ? order.other : order.argsort);
        job.order_out = at<std::int32_t>(workspace, left % 2 == 0 ? order.argsort : order.other);
        job.chunk_counts = at<std::uint32_t>(workspace, order.chunk_counts);
        job.group_counts = at<std::uint32_t>(workspace, pass.group_counts);
        if (!order.counted) count.passes[count.num_passes++] = job;
        scatter.passes[scatter.num_passes++] = job;
      }
    }
    if (!any) return;
    flush();
  }
}

Status CudaPairBackend::run(Context& context, const std::int32_t* indices, std::int32_t n,
                            const std::int32_t* device_n, const Stamp& stamp,
                            Workspace workspace) const noexcept {
  Context::Impl& impl = context.impl();
  const auto note = [&](std::int32_t error) {
    if (error != 0 && impl.launch_error == 0) impl.launch_error = error;
  };
  const Exec main{impl.stream, impl.num_sms, &impl.launch_error};
  const cuda::ForkPool::Slot* fork = forks_->slot_of(impl.stream);
  Exec side = main;
  if (fork != nullptr) side.stream = fork->stream;
  const auto order = [&](int event, const Exec& first, const Exec& then) {
    if (fork == nullptr) return;
    note(cuda::record_event(fork->events[static_cast<std::size_t>(event)], first.stream));
    note(cuda::wait_event(then.stream, fork->events[static_cast<std::size_t>(event)]));
  };

  order(0, main, side);
  if (layout_.side_zero_bytes > 0) {
    note(cuda::memset_async(workspace.data() + layout_.side_zero, 0, layout_.side_zero_bytes, side.stream));
  }
  for (const LevelMemory& level : layout_.levels) {
    if (level.hash.bits == 0) continue;
    const std::size_t slots = std::size_t{1} << level.hash.bits;
    note(cuda::memset_async(workspace.data() + level.hash.slot_word, 0xFF, slots * sizeof(std::uint64_t),
                            main.stream));
    note(cuda::memset_async(workspace.data() + level.hash.zero, 0, level.hash.zero_bytes, main.stream));
  }
  const CoordIndex input = index_of(0, workspace);
  auto* status = at<device::StatusBlock>(workspace, layout_.status);
  device::sm80_insert_rows(
      {.index = input,
       .indices = indices,
       .n = n,
       .device_n = device_n,
       .status = status,
       .zero = at<std::uint64_t>(workspace, layout_.run_zero),
       .zero_words = static_cast<std::int64_t>(layout_.run_zero_bytes / sizeof(std::uint64_t)),
       .stamp = stamp.at,
       .expected_stamp = stamp.value,
       .persistent = at<std::uint64_t>(workspace, 0),
       .persistent_words = static_cast<std::int64_t>(layout_.persistent_bytes / sizeof(std::uint64_t))},
      main);
  number_level(0, workspace, main);
  order(1, main, side);
  device::sm80_rank_rows(input, status, side);
  if (fork != nullptr) note(cuda::record_event(fork->events[2], side.stream));
  const std::size_t levels = layout_.levels.size();
  if (levels > 1) {
    number_level(1, workspace, main);
    order(3, main, side);
  }
  if (layout_.has_early_maps) build_maps(true, workspace, side);
  for (std::size_t l = 2; l < levels; ++l) number_level(static_cast<std::int32_t>(l), workspace, main);
  if (fork != nullptr) note(cuda::wait_event(main.stream, fork->events[2]));
  build_maps(false, workspace, main);
  order(4, side, main);
  if (impl.launch_error != 0) return {.code = ErrorCode::kDevice, .value = impl.launch_error};
  return {};
}

IndicePairsView CudaPairBackend::map_view(std::int32_t map, Workspace workspace) const noexcept {
  const MapMemory& m = layout_.maps[static_cast<std::size_t>(map)];
  const CoordIndex in = index_of(m.plan.in_level, workspace);
  const CoordIndex out = index_of(m.plan.out_level, workspace);
  IndicePairsView view;
  view.kv = m.kv;
  view.mask_words = m.mask_words;
  view.n_in = m.in_capacity;
  view.num_out = m.out_capacity;
  view.out_capacity = m.out_capacity;
  view.device_n_in = &in.state->count;
  view.device_num_out = &out.state->count;
  view.pair_stride = stride_of(m.out_capacity);
  view.pair_fwd = at<std::int32_t>(workspace, m.pair_fwd);
  if (m.pair_bwd != kNone) {
    view.bwd_stride = stride_of(m.in_capacity);
    view.pair_bwd = at<std::int32_t>(workspace, m.pair_bwd);
  }
  view.mask = at<std::uint32_t>(workspace, m.mask);
  view.mask_splits = m.plan.options.mask_splits;
  for (std::int32_t j = 0; j < view.mask_splits; ++j) {
    view.split_offsets[static_cast<std::size_t>(j)] = split_range(m.kv, view.mask_splits, j);
  }
  for (std::size_t j = 0; j < m.orders.size(); ++j) {
    view.mask_argsort[j] = at<std::int32_t>(workspace, m.orders[j].argsort);
  }
  view.out_indices = out.indices;
  return view;
}

LevelView CudaPairBackend::level_view(std::int32_t level, Workspace workspace) const noexcept {
  const CoordIndex index = index_of(level, workspace);
  LevelView view;
  view.indices = index.indices;
  view.n = index.capacity;
  view.device_n = &index.state->count;
  view.capacity = index.capacity;
  return view;
}

Status CudaPairBackend::status(Context& context, Workspace workspace) const noexcept {
  Status result;
  try {
    const auto take = [&](void* to, std::size_t offset, std::size_t bytes) {
      cuda::copy_to_host(to, workspace.data() + offset, bytes, context.stream());
      cuda::memset_async(workspace.data() + offset, 0, bytes, context.stream());
    };
    for (std::size_t l = layout_.levels.size(); l-- > 0;) {  // the first level that overflowed is reported
      std::int64_t wanted = 0;
      take(&wanted, layout_.levels[l].sticky, sizeof wanted);
      if (wanted == 0) continue;
      std::int32_t map = 0;
      while (layout_.maps[static_cast<std::size_t>(map)].plan.out_level != static_cast<std::int32_t>(l))
        ++map;
      result = {ErrorCode::kCapacity, map, wanted, layout_.levels[l].capacity};
    }
    device::StatusBlock block;
    take(&block, layout_.status, sizeof block);
    constexpr std::int32_t kMax = std::numeric_limits<std::int32_t>::max();
    if (block.input_wanted > 0)
      result = {ErrorCode::kCapacity, -1, block.input_wanted, layout_.levels[0].capacity};
    if (block.out_of_range > 0) result = {ErrorCode::kOutOfRange, -1, kMax - block.out_of_range, 0};
    if (block.duplicate > block.out_of_range) result = {ErrorCode::kDuplicate, -1, kMax - block.duplicate, 0};
  } catch (const Error&) {
    return {.code = ErrorCode::kDevice};
  }
  return result;
}

}  // namespace

std::unique_ptr<PairBackend> make_cuda_pair_backend(Context& context, PairPlan plan) {
  return std::make_unique<CudaPairBackend>(context, plan);
}

}  // namespace voxgemm
