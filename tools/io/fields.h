// Points whose file names and types the values of a point: .pcd, .ply, structured .npy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/io/array.h"
#include "tools/io/points.h"

namespace voxgemm::tools {

/// One named value (or several) of a point.
struct FileField {
  std::string name;
  std::optional<Element> element;  ///< absent: bytes that nobody reads
  std::int64_t size = 0;           ///< bytes of one value
  std::int64_t count = 1;          ///< values a point; only single values become columns
  std::int64_t offset = 0;         ///< bytes from the start of a point
};

/// The fields that become columns, by index, in file order: of those with names for the same letter (any
/// case, without the "scalar_" that CloudCompare puts before) the most usual name. 'r' beside 'g' or 'b' is
/// red, no ring. Throws kIo when x, y or z is not there.
std::vector<std::size_t> column_fields(const std::filesystem::path& file, std::span<const FileField> fields);

/// The columns of `values` [n][chosen.size()], which are as stored. Times become seconds:
///   t, offset_time   whole numbers are nanoseconds, others seconds
///   dt, time         seconds; the unit of whole numbers is not known
///   timestamp        since 1970 in s, ms, us or ns (which, the newest tells: 1e9 to 3e9 times the unit), or
///                    float below 1e9 in seconds; age before the newest
/// What cannot be told is PointCloud::age_fault.
PointCloud cloud_of_fields(std::span<const FileField> fields, std::span<const std::size_t> chosen,
                           std::vector<double> values);

/// Where the values of `num_points` little-endian points lie: a point after the other, `point_bytes` apart,
/// or all values of a field before the next field's.
struct PointBytes {
  const std::byte* data = nullptr;
  std::int64_t num_points = 0;
  std::int64_t point_bytes = 0;
  bool by_field = false;
};
PointCloud read_fields(const std::filesystem::path& file, std::span<const FileField> fields,
                       const PointBytes& points);

/// A .npy file as stored, in C order: elements of one type (one field without a name), or structured.
struct NpyFile {
  bool structured = false;
  std::vector<FileField> fields;
  std::int64_t item_bytes = 0;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;  ///< product of shape items
};
/// Throws kIo.
NpyFile parse_npy(const std::filesystem::path& file, std::vector<std::byte> bytes);

}  // namespace voxgemm::tools
