#include "kernels/convert.cuh"
#include "kernels/launch.cuh"
#include "kernels/look_back.cuh"
#include "kernels/voxelize/sm80.h"

namespace voxgemm::device {
namespace {

constexpr int kThreads = 256;
constexpr std::uint32_t kAll = 0xFFFFFFFFU;
constexpr std::uint64_t kFree = ~std::uint64_t{0};
constexpr int kAhead = 4;  // points of a voxel that are fetched together
constexpr float kLargest = 3.40282347e38F;

// How a kernel reads points: at(i) finds point i, column(point, c) is one value of it.
template <typename T>
struct Rows {
  const T* data;
  std::int64_t stride;

  __device__ const T* at(std::int64_t i) const { return data + i * stride; }
  __device__ static float column(const T* point, std::int32_t c) { return load_float(point[c]); }
};

// A value at any alignment.
template <typename T>
__device__ T load_value(const std::byte* at, bool aligned) {
  if (aligned) return *reinterpret_cast<const T*>(at);
  T value;
  const auto* from = reinterpret_cast<const unsigned char*>(at);
  auto* to = reinterpret_cast<unsigned char*>(&value);
#pragma unroll
  for (unsigned b = 0; b < sizeof(T); ++b) to[b] = from[b];
  return value;
}

struct Records {
  PointRecords records;

  __device__ const std::byte* at(std::int64_t i) const { return records.data + i * records.step; }

  template <typename T>
  __device__ static float value(const PointRecords::Field& field, const std::byte* at) {
    const T v = load_value<T>(at, field.aligned);
    if (field.plain) return static_cast<float>(v);
    return __double2float_rn(__dmul_rn(__dsub_rn(static_cast<double>(v), field.zero), field.scale));
  }

  __device__ float column(const std::byte* point, std::int32_t c) const {
    const PointRecords::Field& field = records.fields[c];
    const std::byte* at = point + field.offset;
    switch (field.type) {
      case PointType::kInt8:
        return value<std::int8_t>(field, at);
      case PointType::kUint8:
        return value<std::uint8_t>(field, at);
      case PointType::kInt16:
        return value<std::int16_t>(field, at);
      case PointType::kUint16:
        return value<std::uint16_t>(field, at);
      case PointType::kInt32:
        return value<std::int32_t>(field, at);
      case PointType::kUint32:
        return value<std::uint32_t>(field, at);
      case PointType::kFloat32:
        return value<float>(field, at);
      case PointType::kFloat64:
        return value<double>(field, at);
    }
    return 0.0F;
  }
};

template <typename Points>
__device__ std::uint64_t cell_of(const CloudArgs& a, const Points& points, std::int64_t i) {
  const auto* point = points.at(i);
  bool finite = true;
  for (std::int32_t c = 0; c < a.columns; ++c) finite &= fabsf(points.column(point, c)) <= kLargest;
  if (!finite) return kCellNotFinite;
  std::uint64_t at[3];
#pragma unroll
  for (int axis = 0; axis < 3; ++axis) {
    const float c =
        floorf(__fdiv_rn(__fsub_rn(points.column(point, axis), a.grid.min[axis]), a.grid.size[axis]));
    if (!(c >= 0.0F && c < static_cast<float>(a.grid.cells[axis]))) return kCellOutside;
    at[axis] = static_cast<std::uint64_t>(c);
  }
  return at[2] << a.grid.z_shift | at[1] << a.grid.y_shift | at[0];
}

__device__ std::int32_t slot_of(const CloudArgs& a, std::uint64_t cell) {
  auto* cells = reinterpret_cast<unsigned long long*>(a.slot_cells);
  const std::uint32_t mask = (1U << a.table_bits) - 1U;
  auto at = static_cast<std::uint32_t>(cell * 0x9E3779B97F4A7C15ULL >> (64 - a.table_bits));
  for (;; at = (at + 1) & mask) {
    unsigned long long seen = __ldcg(cells + at);
    if (seen == kFree) seen = atomicCAS(cells + at, kFree, cell);
    if (seen == kFree || seen == cell) return static_cast<std::int32_t>(at);
  }
}

__device__ void add_votes(bool vote, unsigned long long* counter) {
  const std::uint32_t votes = __ballot_sync(kAll, vote);
  if (votes != 0 && (threadIdx.x & 31) == 0)
    atomicAdd(counter, static_cast<unsigned long long>(__popc(votes)));
}

template <typename Points>
__global__ void __launch_bounds__(kThreads)
    insert_kernel(const CloudArgs a, const __grid_constant__ Points points) {
  if (blockIdx.x == 0 && threadIdx.x == 0) a.counters->num_points = a.n;
  for (std::int32_t base = blockIdx.x * kThreads; base < a.n; base += gridDim.x * kThreads) {
    const std::int32_t i = base + static_cast<std::int32_t>(threadIdx.x);
    const bool valid = i < a.n;
    const std::uint64_t cell = valid ? cell_of(a, points, i) : 0;
    add_votes(valid && cell == kCellNotFinite, &a.counters->not_finite);
    add_votes(valid && cell == kCellOutside, &a.counters->out_of_range);
    if (!valid) continue;
    std::int32_t slot = -1;
    if (cell < kCellOutside) {
      slot = slot_of(a, cell);
      if (__ldcg(a.slot_first + slot) > static_cast<std::uint32_t>(i)) {
        atomicMin(a.slot_first + slot, static_cast<std::uint32_t>(i));
      }
    }
    a.point_slots[i] = slot;
  }
}

__device__ void open_voxel(const CloudArgs& a, std::int32_t row, std::uint64_t cell) {
  const std::uint64_t y_mask = (std::uint64_t{1} << (a.grid.z_shift - a.grid.y_shift)) - 1;
  const std::uint64_t x_mask = (std::uint64_t{1} << a.grid.y_shift) - 1;
  std::int32_t* index = a.indices + 4 * static_cast<std::int64_t>(row);
  index[0] = a.batch;
  index[1] = static_cast<std::int32_t>(cell >> a.grid.z_shift);
  index[2] = static_cast<std::int32_t>(cell >> a.grid.y_shift & y_mask);
  index[3] = static_cast<std::int32_t>(cell & x_mask);
}

__global__ void __launch_bounds__(kVoxelTile) number_kernel(const CloudArgs a, std::int32_t tiles) {
  __shared__ std::uint32_t warp_sums[32];
  __shared__ std::uint64_t tile_sums[32];
  const int t = static_cast<int>(threadIdx.x);
  const int lane = t & 31;
  const auto tile = static_cast<std::int32_t>(blockIdx.x);
  const std::int32_t i = tile * kVoxelTile + t;
  const std::int32_t slot = i < a.n ? a.point_slots[i] : -1;
  const bool first = slot >= 0 && a.slot_first[slot] == static_cast<std::uint32_t>(i);
  const std::uint32_t votes = __ballot_sync(kAll, first);
  if (lane == 0) warp_sums[t >> 5] = static_cast<std::uint32_t>(__popc(votes));
  __syncthreads();
  std::uint32_t warps_before = 0;
  std::uint32_t total = 0;
#pragma unroll
  for (int w = 0; w < 32; ++w) {
    if (w < t >> 5) warps_before += warp_sums[w];
    total += warp_sums[w];
  }
  const auto before_tile = static_cast<std::uint32_t>(sums_before(a.scan_states, tile, total, tile_sums));
  if (t == 0 && tile == tiles - 1) {
    const auto wanted = static_cast<std::int32_t>(before_tile + total);
    a.counters->wanted = wanted;
    a.counters->rows = min(wanted, a.max_voxels);
    a.row_base[a.batch + 1] = a.row_base[a.batch] + a.counters->rows;
    *a.num_voxels = a.row_base[a.batch + 1];
  }
  if (!first) return;
  const auto row =
      static_cast<std::int32_t>(before_tile + warps_before + __popc(votes & ((1U << lane) - 1U)));
  a.slot_rows[slot] = row < a.max_voxels ? row : kDroppedRow;
  if (row < a.max_voxels) open_voxel(a, a.row_base[a.batch] + row, a.slot_cells[slot]);
}

__global__ void __launch_bounds__(kThreads) keys_kernel(const CloudArgs a) {
  const std::int32_t row_base = a.row_base[a.batch];
  for (std::int32_t base = blockIdx.x * kThreads; base < a.n; base += gridDim.x * kThreads) {
    const std::int32_t i = base + static_cast<std::int32_t>(threadIdx.x);
    const std::int32_t slot = i < a.n ? a.point_slots[i] : -1;
    const std::int32_t row = slot >= 0 ? a.slot_rows[slot] : kDroppedRow;
    add_votes(slot >= 0 && row < 0, &a.counters->voxel_overflow);
    if (i >= a.n) continue;
    a.point_keys[i] = static_cast<std::uint32_t>(row);
    if (a.point_voxel_id != nullptr) a.point_voxel_id[i] = row < 0 ? -1 : row_base + row;
  }
}

__global__ void __launch_bounds__(kThreads) starts_kernel(const CloudArgs a) {
  for (std::int32_t p = blockIdx.x * kThreads + threadIdx.x; p < a.n; p += gridDim.x * kThreads) {
    const auto row = static_cast<std::int32_t>(a.point_keys[a.order[p]]);
    const auto last = p > 0 ? static_cast<std::int32_t>(a.point_keys[a.order[p - 1]]) : -1;
    if (row >= 0 && (p == 0 || row != last)) a.starts[row] = p;
    if (row < 0 && p > 0 && last >= 0) a.starts[last + 1] = p;
    if (row >= 0 && p == a.n - 1) a.starts[row + 1] = a.n;
  }
}

__device__ void write_counts(const CloudArgs& a) {
  const CloudCounters& c = *a.counters;
  a.counts->points = a.n;
  a.counts->not_finite = static_cast<std::int64_t>(c.not_finite);
  a.counts->out_of_range = static_cast<std::int64_t>(c.out_of_range);
  a.counts->voxel_overflow = static_cast<std::int64_t>(c.voxel_overflow);
  a.counts->voxels = c.rows;
  a.counts->voxels_wanted = c.wanted;
}

// Lanes along the columns, rows along y.
template <typename Points>
__global__ void __launch_bounds__(kThreads)
    means_kernel(const CloudArgs a, const __grid_constant__ Points points) {
  if (blockIdx.x == 0 && threadIdx.x == 0 && threadIdx.y == 0 && a.counts != nullptr) write_counts(a);
  const std::int32_t row_base = a.row_base[a.batch];
  for (std::int32_t row = blockIdx.x * blockDim.y + threadIdx.y; row < a.counters->rows;
       row += gridDim.x * blockDim.y) {
    const std::int32_t begin = a.starts[row];
    const std::int32_t found = a.starts[row + 1] - begin;
    const std::int32_t kept = min(found, a.max_points);
    const std::int64_t to = row_base + row;
    if (threadIdx.x == 0) {
      if (a.points_per_voxel != nullptr) a.points_per_voxel[to] = kept;
      if (a.counts != nullptr && found > kept) {
        atomicAdd(reinterpret_cast<unsigned long long*>(&a.counts->point_overflow),
                  static_cast<unsigned long long>(found - kept));
      }
    }
    for (auto c = static_cast<std::int32_t>(threadIdx.x); c < a.columns; c += blockDim.x) {
      float sum = 0.0F;
      for (std::int32_t p = 0; p < kept; p += kAhead) {
        float x[kAhead];
#pragma unroll
        for (int q = 0; q < kAhead; ++q) {  // loads side by side, sums in order
          x[q] = points.column(points.at(a.order[begin + min(p + q, kept - 1)]), c);
        }
#pragma unroll
        for (int q = 0; q < kAhead; ++q) {
          if (p + q < kept) sum = p + q == 0 ? x[q] : __fadd_rn(sum, x[q]);
        }
      }
      a.features[to * a.feature_stride + c] = __fdiv_rn(sum, static_cast<float>(kept));
      if (a.voxels == nullptr) continue;
      float* padded = a.voxels + to * a.max_points * a.columns + c;
      for (std::int32_t p = 0; p < a.max_points; ++p) {
        padded[static_cast<std::int64_t>(p) * a.columns] =
            p < kept ? points.column(points.at(a.order[begin + p]), c) : 0.0F;
      }
    }
  }
}

// Calls fn with what reads the points of the cloud.
template <typename Fn>
void with_points(const CloudArgs& a, const PointRecords* records, Fn fn) {
  if (records != nullptr) return fn(Records{*records});
  if (a.half) return fn(Rows<Half>{static_cast<const Half*>(a.points), a.stride});
  return fn(Rows<float>{static_cast<const float*>(a.points), a.stride});
}

}  // namespace

void sm80_voxel_insert(const CloudArgs& a, const PointRecords* records, Exec exec) noexcept {
  const unsigned grid = grid_for(a.n, kThreads, exec, 8);
  with_points(a, records,
              [&](auto points) { insert_kernel<<<grid, kThreads, 0, stream_of(exec)>>>(a, points); });
  note_launch(exec);
}

void sm80_voxel_number(const CloudArgs& a, Exec exec) noexcept {
  const std::int32_t tiles = a.n > 0 ? (a.n - 1) / kVoxelTile + 1 : 1;
  number_kernel<<<static_cast<unsigned>(tiles), kVoxelTile, 0, stream_of(exec)>>>(a, tiles);
  note_launch(exec);
}

void sm80_voxel_keys(const CloudArgs& a, Exec exec) noexcept {
  keys_kernel<<<grid_for(a.n, kThreads, exec, 8), kThreads, 0, stream_of(exec)>>>(a);
  note_launch(exec);
}

void sm80_voxel_means(const CloudArgs& a, const PointRecords* records, Exec exec) noexcept {
  starts_kernel<<<grid_for(a.n, kThreads, exec, 8), kThreads, 0, stream_of(exec)>>>(a);
  unsigned lanes = 1;
  while (lanes < static_cast<unsigned>(a.columns) && lanes < 32) lanes *= 2;
  const dim3 block(lanes, kThreads / lanes);
  const unsigned grid =
      grid_for(a.n < a.max_voxels ? a.n : a.max_voxels, static_cast<std::int32_t>(block.y), exec, 8);
  with_points(a, records, [&](auto points) { means_kernel<<<grid, block, 0, stream_of(exec)>>>(a, points); });
  note_launch(exec);
}

}  // namespace voxgemm::device
