// The CUDA voxeliser: one cloud after the other, all sizes from the plan, counts on the device.
#include <algorithm>
#include <bit>
#include <string>
#include <vector>

#include "core/context_impl.h"
#include "core/cuda_device.h"
#include "kernels/mask_sort/sm80.h"
#include "kernels/order_chunks.h"
#include "kernels/voxelize/sm80.h"
#include "voxelize/backend.h"
#include "voxelize/cell_grid.h"
#include "voxelize/points_view.h"

namespace voxgemm {
namespace {

constexpr std::int32_t kDigitBits = 10;
constexpr std::int32_t kMaxPasses = 4;

struct Memory {
  std::uint64_t* slot_cells = nullptr;
  std::uint32_t* slot_first = nullptr;
  std::int32_t* slot_rows = nullptr;
  std::int32_t* point_slots = nullptr;
  std::uint32_t* point_keys = nullptr;
  std::int32_t* starts = nullptr;
  std::int32_t* order[2] = {nullptr, nullptr};
  std::uint32_t* chunk_counts = nullptr;
  std::int32_t* row_base = nullptr;
  device::CloudCounters* counters = nullptr;  // from here zero when a cloud starts
  std::uint64_t* scan_states = nullptr;
  std::uint32_t* group_counts[kMaxPasses] = {};
  std::size_t zero_bytes = 0;
};

std::int64_t pieces(std::int64_t n, std::int64_t size) { return (n + size - 1) / size; }

class CudaVoxelizer final : public VoxelizerBackend {
 public:
  explicit CudaVoxelizer(const VoxelizePlan& plan) : plan_(plan), grid_(make_cell_grid(plan)) {
    constexpr std::int64_t kMaxPoints = std::int64_t{1} << 29;  // slots are numbered by int32
    if (plan.max_points > kMaxPoints) {
      throw Error(ErrorCode::kUnsupported, "a cloud of " + std::to_string(plan.max_points) +
                                               " points, limit " + std::to_string(kMaxPoints) + " on CUDA");
    }
  }

  [[nodiscard]] std::size_t workspace_bytes() const noexcept override {
    Carver carver;
    carve(carver);
    return carver.used();
  }

  Status run(Context& context, std::span<const PointsView> clouds, const VoxelizeOutputs& out,
             Workspace workspace) const noexcept override;

 private:
  [[nodiscard]] std::int64_t max_rows() const {
    return std::min<std::int64_t>(plan_.max_points, plan_.grid.max_voxels);
  }
  // Slots of a table that n points fill to two thirds at most.
  [[nodiscard]] static std::int32_t table_bits(std::int64_t n) {
    return std::max<std::int32_t>(
        4, static_cast<std::int32_t>(std::bit_width(static_cast<std::uint64_t>(n + n / 2))));
  }
  // Digits that tell all rows and the mark of dropped points apart.
  [[nodiscard]] std::int32_t passes() const {
    const auto bits = static_cast<std::int32_t>(std::bit_width(static_cast<std::uint64_t>(max_rows() + 1)));
    return (bits + kDigitBits - 1) / kDigitBits;
  }
  Memory carve(Carver& carver) const noexcept;
  [[nodiscard]] device::CloudArgs cloud_args(const PointsView& cloud, std::int32_t batch,
                                             std::int64_t first_point, const VoxelizeOutputs& out,
                                             const Memory& memory) const noexcept;
  void order_points(const device::CloudArgs& args, const Memory& memory, const Exec& exec) const noexcept;

  VoxelizePlan plan_;
  CellGrid grid_{};
};

Memory CudaVoxelizer::carve(Carver& carver) const noexcept {
  const std::int64_t n = plan_.max_points;
  const std::int64_t slots = std::int64_t{1} << table_bits(n);
  const std::int64_t chunks = pieces(n, device::kOrderChunk);
  Memory m;
  m.slot_cells = carver.take<std::uint64_t>(slots);
  m.slot_first = carver.take<std::uint32_t>(slots);
  m.slot_rows = carver.take<std::int32_t>(slots);
  m.point_slots = carver.take<std::int32_t>(n);
  m.point_keys = carver.take<std::uint32_t>(n);
  m.starts = carver.take<std::int32_t>(max_rows() + 1);
  for (auto& order : m.order) order = carver.take<std::int32_t>(n);
  m.chunk_counts = carver.take<std::uint32_t>(chunks * device::kOrderKeys);
  m.row_base = carver.take<std::int32_t>(plan_.batch_size + 1);
  const std::size_t zero_from = carver.used();
  m.counters = carver.take<device::CloudCounters>(1);
  m.scan_states = carver.take<std::uint64_t>(pieces(n, device::kVoxelTile) + 1);
  for (std::int32_t p = 0; p < passes(); ++p) {
    m.group_counts[p] =
        carver.take<std::uint32_t>(pieces(chunks, device::kChunksPerGroup) * device::kOrderKeys);
  }
  m.zero_bytes = carver.used() - zero_from;
  return m;
}

device::CloudArgs CudaVoxelizer::cloud_args(const PointsView& cloud, std::int32_t batch,
                                            std::int64_t first_point, const VoxelizeOutputs& out,
                                            const Memory& memory) const noexcept {
  device::CloudArgs a;
  a.grid = grid_;
  a.points = cloud.data;
  a.half = cloud.dtype == DType::kFloat16;
  a.stride = row_stride(cloud);
  a.columns = plan_.columns;
  a.n = static_cast<std::int32_t>(cloud.num_points);
  a.batch = batch;
  a.max_voxels = plan_.grid.max_voxels;
  a.max_points = plan_.grid.max_points_per_voxel;
  a.table_bits = table_bits(cloud.num_points);
  a.slot_cells = memory.slot_cells;
  a.slot_first = memory.slot_first;
  a.slot_rows = memory.slot_rows;
  a.point_slots = memory.point_slots;
  a.point_keys = memory.point_keys;
  a.scan_states = memory.scan_states;
  a.order = memory.order[passes() % 2];
  a.starts = memory.starts;
  a.counters = memory.counters;
  a.row_base = memory.row_base;
  a.indices = out.indices;
  a.features = out.features;
  a.feature_stride = out.stride;
  a.num_voxels = out.num_voxels;
  a.counts = out.counts == nullptr ? nullptr : out.counts + batch;
  if (!out.extras.point_voxel_id.empty()) a.point_voxel_id = out.extras.point_voxel_id.data() + first_point;
  if (!out.extras.points_per_voxel.empty()) a.points_per_voxel = out.extras.points_per_voxel.data();
  if (!out.extras.voxels.empty()) a.voxels = out.extras.voxels.data();
  return a;
}

// Stable counting passes over the rows' digits; dropped points, all ones, come last.
void CudaVoxelizer::order_points(const device::CloudArgs& args, const Memory& memory,
                                 const Exec& exec) const noexcept {
  for (std::int32_t p = 0; p < passes(); ++p) {
    device::OrderArgs order;
    order.num_passes = 1;
    device::OrderPass& pass = order.passes[0];
    pass.count = &memory.counters->num_points;
    pass.capacity = args.n;
    pass.mask = memory.point_keys;
    pass.shift = p * kDigitBits;
    pass.order_in = p == 0 ? nullptr : memory.order[p % 2];
    pass.order_out = memory.order[(p + 1) % 2];
    pass.chunk_counts = memory.chunk_counts;
    pass.group_counts = memory.group_counts[p];
    device::sm80_order_count(order, exec);
    device::sm80_order_scatter(order, exec);
  }
}

Status CudaVoxelizer::run(Context& context, std::span<const PointsView> clouds, const VoxelizeOutputs& out,
                          Workspace workspace) const noexcept {
  Carver carver(workspace);
  const Memory memory = carve(carver);
  Context::Impl& impl = context.impl();
  const Exec exec{impl.stream, impl.num_sms, &impl.launch_error};
  const auto fill = [&](void* to, int value, std::size_t bytes) {
    const std::int32_t error = bytes > 0 ? cuda::memset_async(to, value, bytes, impl.stream) : 0;
    if (error != 0 && impl.launch_error == 0) impl.launch_error = error;
  };
  fill(memory.row_base, 0, sizeof(std::int32_t) * static_cast<std::size_t>(plan_.batch_size + 1));
  if (out.counts != nullptr) fill(out.counts, 0, clouds.size() * sizeof(VoxelizeCounts));
  if (clouds.empty()) fill(out.num_voxels, 0, sizeof(std::int32_t));
  std::int64_t first_point = 0;
  for (std::size_t b = 0; b < clouds.size(); ++b) {
    const PointsView cloud = in_simplest_form(clouds[b]);
    const bool in_records = !cloud.fields.empty();
    const PointRecords records = in_records ? make_records(cloud) : PointRecords{};
    const PointRecords* const how = in_records ? &records : nullptr;
    const device::CloudArgs args = cloud_args(cloud, static_cast<std::int32_t>(b), first_point, out, memory);
    const std::size_t slots = std::size_t{1} << args.table_bits;
    fill(memory.counters, 0, memory.zero_bytes);
    fill(memory.slot_cells, 0xFF, slots * sizeof(std::uint64_t));
    fill(memory.slot_first, 0xFF, slots * sizeof(std::uint32_t));
    device::sm80_voxel_insert(args, how, exec);
    device::sm80_voxel_number(args, exec);
    device::sm80_voxel_keys(args, exec);
    order_points(args, memory, exec);
    device::sm80_voxel_means(args, how, exec);
    first_point += clouds[b].num_points;
  }
  if (impl.launch_error != 0) return {.code = ErrorCode::kDevice, .value = impl.launch_error};
  return {};
}

}  // namespace

std::unique_ptr<VoxelizerBackend> make_cuda_voxelizer(Context&, const VoxelizePlan& plan) {
  return std::make_unique<CudaVoxelizer>(plan);
}

}  // namespace voxgemm
