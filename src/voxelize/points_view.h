// What a cloud of points must be, and where its bytes lie.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/voxelize/voxelize.h"
#include "voxgemm/error.h"
#include "voxgemm/voxelize.h"

namespace voxgemm {

/// Elements between rows.
constexpr std::int64_t row_stride(const PointsView& cloud) {
  return cloud.stride == 0 ? cloud.columns : cloud.stride;
}

/// What Voxelizer::run() says of a cloud. Whoever passes has strides, steps and counts whose products fit
/// int64.
Status check_points(const PointsView& cloud, std::int32_t columns, std::int64_t max_points) noexcept;

/// Of a cloud that has been checked: from its first byte to the last that is read.
std::size_t bytes_of(const PointsView& cloud) noexcept;

/// Records that are float32 rows as rows; every other cloud as it is. It has been checked.
PointsView in_simplest_form(const PointsView& cloud) noexcept;

/// A cloud of records, checked, as kernels take it.
PointRecords make_records(const PointsView& cloud) noexcept;

}  // namespace voxgemm
