// Voxelisation on CUDA in steps that all lie on the device; the same numbers and the same bits as the CPU's:
//
//   insert   each point finds the slot of its cell in an open-addressing table; a slot keeps its first point
//   number   first points are counted in point order: that is the voxel's row
//   (order)  points are brought, stably, into row order by counting passes over the rows
//   mean     one thread a voxel and column sums the first max_points points in point order
#pragma once

#include <cstdint>

#include "kernels/kernel.h"
#include "kernels/voxelize/voxelize.h"
#include "voxgemm/voxelize.h"

namespace voxgemm::device {

inline constexpr std::int32_t kVoxelTile = 1024;  // points of one tile of the numbering scan
inline constexpr std::int32_t kDroppedRow = -1;

/// Counters of one cloud; zero when it starts.
struct CloudCounters {
  unsigned long long not_finite = 0;
  unsigned long long out_of_range = 0;
  unsigned long long voxel_overflow = 0;
  unsigned long long point_overflow = 0;
  std::int32_t wanted = 0;
  std::int32_t rows = 0;
  std::int32_t num_points = 0;  // what the counting passes read
};

/// Device memory and problem of one cloud.
struct CloudArgs {
  CellGrid grid{};
  const void* points = nullptr;  // [n][stride]
  bool half = false;             // float16, else float32
  std::int64_t stride = 0;
  std::int32_t columns = 4;
  std::int32_t n = 0;
  std::int32_t batch = 0;
  std::int32_t max_voxels = 0;
  std::int32_t max_points = 0;
  std::int32_t table_bits = 4;          // slots = 1 << table_bits, more than n
  std::uint64_t* slot_cells = nullptr;  // all ones = free
  std::uint32_t* slot_first = nullptr;  // first point; all ones at the start
  std::int32_t* slot_rows = nullptr;
  std::int32_t* point_slots = nullptr;   // [n], -1 = dropped
  std::uint32_t* point_keys = nullptr;   // [n] row, or all ones
  std::uint64_t* scan_states = nullptr;  // [tiles], zero
  const std::int32_t* order = nullptr;   // [n] points by row, for the mean
  std::int32_t* starts = nullptr;        // [max rows + 1] where a row's points begin in order
  CloudCounters* counters = nullptr;
  std::int32_t* row_base = nullptr;  // rows of earlier clouds; [batch], one more is written
  std::int32_t* indices = nullptr;   // [rows of the batch][4]
  float* features = nullptr;         // [rows of the batch][feature_stride]
  std::int64_t feature_stride = 0;
  std::int32_t* num_voxels = nullptr;
  VoxelizeCounts* counts = nullptr;          // of this cloud, or null
  std::int32_t* point_voxel_id = nullptr;    // [n], or null
  std::int32_t* points_per_voxel = nullptr;  // [rows of the batch], or null
  float* voxels = nullptr;                   // [rows of the batch][max_points][columns], or null
};

/// Where the points of a cloud are records, `records` says how they lie and CloudArgs::points nothing; null:
/// rows. It travels beside CloudArgs because it is large, and few clouds need it.
void sm80_voxel_insert(const CloudArgs&, const PointRecords* records, Exec) noexcept;
/// Also writes row_base[batch + 1], num_voxels and the indices.
void sm80_voxel_number(const CloudArgs&, Exec) noexcept;
void sm80_voxel_keys(const CloudArgs&, Exec) noexcept;
/// Two launches: where rows begin, then the means, extras and counts.
void sm80_voxel_means(const CloudArgs&, const PointRecords* records, Exec) noexcept;

}  // namespace voxgemm::device
