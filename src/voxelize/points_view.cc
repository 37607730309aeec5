#include "voxelize/points_view.h"

#include <cmath>
#include <cstdint>
#include <limits>

namespace voxgemm {
namespace {

constexpr std::int64_t kMaxPitch = std::numeric_limits<std::int32_t>::max();  // bytes between points

Status check_rows(const PointsView& cloud) noexcept {
  constexpr const char* kStride = "row stride of a cloud";
  if (cloud.dtype != DType::kFloat32 && cloud.dtype != DType::kFloat16) {
    return {.code = ErrorCode::kDType,
            .value = static_cast<std::int64_t>(cloud.dtype),
            .what = "type of a cloud"};
  }
  const auto size = static_cast<std::int64_t>(size_of(cloud.dtype));
  if (row_stride(cloud) < cloud.columns) {
    return {.code = ErrorCode::kShape, .value = cloud.stride, .limit = cloud.columns, .what = kStride};
  }
  if (row_stride(cloud) > kMaxPitch / size) {
    return {.code = ErrorCode::kShape, .value = cloud.stride, .limit = kMaxPitch / size, .what = kStride};
  }
  if (cloud.step != 0) {
    return {
        .code = ErrorCode::kInvalidArgument, .value = cloud.step, .what = "step of a cloud without fields"};
  }
  const auto beyond = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(cloud.data) %
                                                static_cast<std::uintptr_t>(size));
  if (beyond != 0) {
    return {.code = ErrorCode::kInvalidArgument,
            .value = beyond,
            .limit = size,
            .what = "bytes by which the rows of a cloud are misaligned (records may be)"};
  }
  return {};
}

Status check_records(const PointsView& cloud) noexcept {
  constexpr std::int64_t kMostFields = kMaxPointFields;
  const auto fields = static_cast<std::int64_t>(cloud.fields.size());
  if (fields != cloud.columns || fields > kMostFields) {
    return {.code = ErrorCode::kShape,
            .value = fields,
            .limit = cloud.columns > kMostFields ? kMostFields : cloud.columns,
            .what = "fields of a cloud"};
  }
  if (cloud.stride != 0) {
    return {.code = ErrorCode::kInvalidArgument,
            .value = cloud.stride,
            .what = "row stride of a cloud with fields"};
  }
  if (cloud.step < 1 || cloud.step > kMaxPitch) {
    return {.code = ErrorCode::kShape,
            .value = cloud.step,
            .limit = cloud.step < 1 ? 1 : kMaxPitch,
            .what = "step of a cloud"};
  }
  for (const PointField& field : cloud.fields) {
    const std::int64_t size = size_of(field.type);
    if (size == 0) {
      return {.code = ErrorCode::kInvalidArgument,
              .value = static_cast<std::int64_t>(field.type),
              .limit = static_cast<std::int64_t>(PointType::kFloat64),
              .what = "type of a field of a cloud"};
    }
    if (field.offset < 0 || field.offset > cloud.step - size) {
      return {.code = ErrorCode::kShape,
              .value = field.offset,
              .limit = cloud.step - size,
              .what = "offset of a field of a cloud"};
    }
    if (!std::isfinite(field.zero) || !std::isfinite(field.scale)) {
      return {.code = ErrorCode::kInvalidArgument,
              .what = "zero and scale of a field of a cloud must be finite"};
    }
  }
  return {};
}

/// Whether a column is its value as it is. (A zero of -0 changes the sign of -0.)
bool is_plain(const PointField& field) noexcept {
  return field.zero == 0.0 && !std::signbit(field.zero) && field.scale == 1.0;
}

bool is_aligned(const void* data, std::int64_t size) noexcept {
  return reinterpret_cast<std::uintptr_t>(data) % static_cast<std::uintptr_t>(size) == 0;
}

}  // namespace

Status check_points(const PointsView& cloud, std::int32_t columns, std::int64_t max_points) noexcept {
  constexpr const char* kPoints = "num_points of a cloud";
  if (cloud.num_points < 0) {
    return {.code = ErrorCode::kInvalidArgument, .value = cloud.num_points, .what = kPoints};
  }
  if (cloud.num_points > max_points) {
    return {.code = ErrorCode::kShape, .value = cloud.num_points, .limit = max_points, .what = kPoints};
  }
  if (cloud.columns != columns) {
    return {
        .code = ErrorCode::kShape, .value = cloud.columns, .limit = columns, .what = "columns of a cloud"};
  }
  const Status status = cloud.fields.empty() ? check_rows(cloud) : check_records(cloud);
  if (!status.ok()) return status;
  if (cloud.data == nullptr && cloud.num_points > 0) {
    return {.code = ErrorCode::kInvalidArgument, .what = "the points of a cloud are null"};
  }
  return {};
}

std::size_t bytes_of(const PointsView& cloud) noexcept {
  if (cloud.num_points == 0) return 0;
  const auto size = static_cast<std::int64_t>(size_of(cloud.dtype));
  std::int64_t pitch = row_stride(cloud) * size;
  std::int64_t last = cloud.columns * size;
  if (!cloud.fields.empty()) {
    pitch = cloud.step;
    last = 0;
    for (const PointField& field : cloud.fields) {
      const std::int64_t end = field.offset + size_of(field.type);
      last = end > last ? end : last;
    }
  }
  return static_cast<std::size_t>((cloud.num_points - 1) * pitch + last);
}

PointsView in_simplest_form(const PointsView& cloud) noexcept {
  constexpr std::int64_t kSize = sizeof(float);
  if (cloud.fields.empty()) return cloud;
  const std::int64_t first = cloud.fields[0].offset;
  const auto* data = static_cast<const std::byte*>(cloud.data) + (cloud.data == nullptr ? 0 : first);
  bool rows = cloud.step % kSize == 0 && is_aligned(data, kSize);
  for (std::size_t c = 0; rows && c < cloud.fields.size(); ++c) {
    const PointField& field = cloud.fields[c];
    rows = field.type == PointType::kFloat32 && is_plain(field) &&
           field.offset == first + static_cast<std::int64_t>(c) * kSize;
  }
  if (!rows) return cloud;
  return {data, DType::kFloat32, cloud.num_points, cloud.columns, cloud.step / kSize};
}

PointRecords make_records(const PointsView& cloud) noexcept {
  PointRecords records;
  records.data = static_cast<const std::byte*>(cloud.data);
  records.step = cloud.step;
  records.columns = cloud.columns;
  for (std::size_t c = 0; c < cloud.fields.size(); ++c) {
    const PointField& field = cloud.fields[c];
    const std::int64_t size = size_of(field.type);
    records.fields[c] = {
        .zero = field.zero,
        .scale = field.scale,
        .offset = static_cast<std::int32_t>(field.offset),
        .type = field.type,
        .plain = is_plain(field),
        .aligned = cloud.step % size == 0 && field.offset % size == 0 && is_aligned(cloud.data, size)};
  }
  return records;
}

}  // namespace voxgemm
