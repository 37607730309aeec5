// Borrowed points, as they come from a sensor or a file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "voxgemm/types.h"

namespace voxgemm {

/// Type of one stored value of a point. The numbers are those of sensor_msgs/PointField.
enum class PointType : std::uint8_t {
  kInt8 = 1,
  kUint8 = 2,
  kInt16 = 3,
  kUint16 = 4,
  kInt32 = 5,
  kUint32 = 6,
  kFloat32 = 7,
  kFloat64 = 8
};

/// Bytes of one value; 0 for a number that is no type.
constexpr std::int64_t size_of(PointType type) {
  constexpr std::array<std::int64_t, 9> kBytes{0, 1, 1, 2, 2, 4, 4, 4, 8};
  const auto number = static_cast<std::size_t>(type);
  return number < kBytes.size() ? kBytes[number] : 0;
}

/// Where a record holds one column, and what the column is in it:
///   column = float32((float64(value) - zero) * scale), each step rounded to nearest even
/// so that times since 1970 become ages, and 0..255 intensities 0..1, with nothing rewritten. A value that
/// float32 cannot hold is infinite, which drops the point.
struct PointField {
  std::int64_t offset = 0;  ///< bytes from the start of a record, at any alignment
  PointType type = PointType::kFloat32;
  double zero = 0.0;
  double scale = 1.0;
};

/// Most fields of a cloud of records.
inline constexpr std::int32_t kMaxPointFields = 32;

/// Borrowed points, columns x,y,z first, then any others, in one of two forms:
///   rows     row-major float32 or float16, aligned to their type
///   records  `step` bytes apart, little-endian: column c is fields[c] of its record. So lies the data of a
///            sensor_msgs/PointCloud2 (step = point_step). Nothing is copied or rewritten but a block of
///            points at a time, in cache; records that are float32 rows are read in place.
struct PointsView {
  const void* data = nullptr;
  DType dtype = DType::kFloat32;  ///< of rows
  std::int64_t num_points = 0;
  std::int32_t columns = 4;
  std::int64_t stride = 0;               ///< elements between rows; 0 = columns. Records: 0
  std::span<const PointField> fields{};  ///< [columns], in host memory, read during the call; empty: rows
  std::int64_t step = 0;                 ///< bytes between records, below 2^31. Rows: 0
};

}  // namespace voxgemm
