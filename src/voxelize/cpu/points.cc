#include "voxelize/cpu/points.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/kernel_table.h"
#include "kernels/quantize/quantize.h"

namespace voxgemm {
namespace {

// Copies rows of a constant number of columns where that is worth it: a call for twenty bytes costs as much.
template <std::int32_t kColumns, typename T>
void take_rows(const T* from, std::int64_t stride, std::span<const std::int32_t> list, T* to) {
  for (const std::int32_t i : list) {
    std::memcpy(to, from + i * stride, sizeof(T) * kColumns);
    to += kColumns;
  }
}

template <typename T>
void take_rows(const T* from, std::int64_t stride, std::span<const std::int32_t> list, std::int32_t columns,
               T* to) {
  if (columns == 4) return take_rows<4>(from, stride, list, to);
  if (columns == 5) return take_rows<5>(from, stride, list, to);
  for (const std::int32_t i : list) to = std::copy_n(from + i * stride, columns, to);
}

}  // namespace

void CpuPoints::widen(const Half* in, std::int64_t stride, std::int64_t n, float* out) const noexcept {
  const QuantizeArgs args{.op = QuantizeOp::kConvert,
                          .in_dtype = DType::kFloat16,
                          .out_dtype = DType::kFloat32,
                          .in = in,
                          .in_stride = stride,
                          .out = out,
                          .out_stride = cloud_.columns,
                          .channels = cloud_.columns,
                          .rows = static_cast<std::int32_t>(n)};
  pick_kernel(context_, quantize_kernels())->run(args, {0, args.rows}, {});
}

FloatPoints CpuPoints::range(RowRange range, const PointBlock& block) const noexcept {
  if (!cloud_.fields.empty()) {
    read_records(records_, range, block.floats);
    return {block.floats, cloud_.columns};
  }
  const std::int64_t stride = row_stride(cloud_);
  if (cloud_.dtype == DType::kFloat32) {
    return {static_cast<const float*>(cloud_.data) + range.begin * stride, stride};
  }
  widen(static_cast<const Half*>(cloud_.data) + range.begin * stride, stride, range.end - range.begin,
        block.floats);
  return {block.floats, cloud_.columns};
}

FloatPoints CpuPoints::listed(std::span<const std::int32_t> list, const PointBlock& block) const noexcept {
  const std::int64_t stride = row_stride(cloud_);
  if (!cloud_.fields.empty()) {
    read_records(records_, list, block.floats);
  } else if (cloud_.dtype == DType::kFloat32) {
    take_rows(static_cast<const float*>(cloud_.data), stride, list, cloud_.columns, block.floats);
  } else {
    take_rows(static_cast<const Half*>(cloud_.data), stride, list, cloud_.columns, block.halves);
    widen(block.halves, cloud_.columns, static_cast<std::int64_t>(list.size()), block.floats);
  }
  return {block.floats, cloud_.columns};
}

void CpuPoints::find_cells(const FloatPoints& points, std::int64_t n, std::uint64_t* cells) const noexcept {
  pick_kernel(context_, voxel_cells_kernels())
      ->run({grid_, points.data, points.stride, cloud_.columns, cells}, {0, n}, {});
}

void count_points(const std::uint64_t* cells, std::int64_t n, std::int64_t dropped,
                  VoxelizeCounts& counts) noexcept {
  const std::int64_t broken = dropped == 0 ? 0 : std::count(cells, cells + n, kCellNotFinite);
  counts.points += n;
  counts.not_finite += broken;
  counts.out_of_range += dropped - broken;
}

void write_point_rows(const VoxelRows& rows, std::span<const std::int32_t> row, std::int32_t* to) noexcept {
  const auto limit = static_cast<std::uint32_t>(rows.max_voxels);
  for (const std::int32_t r : row) {
    *to++ = static_cast<std::uint32_t>(r) < limit ? rows.row_base + r : kNoRow;
  }
}

std::int32_t cell_table_bits(std::int64_t n) noexcept {
  const auto wanted = static_cast<std::uint64_t>(n + n / 2);
  return std::max<std::int32_t>(kMinCellTableBits, static_cast<std::int32_t>(std::bit_width(wanted)));
}

}  // namespace voxgemm
