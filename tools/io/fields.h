// Points whose file names and types the values of a point: .pcd, structured .npy.
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
struct PointField {
  std::string name;
  std::optional<Element> element;  ///< absent: bytes that nobody reads
  std::int64_t size = 0;           ///< bytes of one value
  std::int64_t count = 1;          ///< values a point; only single values become columns
  std::int64_t offset = 0;         ///< bytes from the start of a point
};

/// The fields that become columns, by index, in file order: of those with names for the same letter (any
/// case) the most usual name. Throws kIo when x, y or z is not there.
std::vector<std::size_t> column_fields(const std::filesystem::path& file, std::span<const PointField> fields);

/// The columns of `values` [n][chosen.size()], as stored.
PointCloud cloud_of_fields(std::span<const PointField> fields, std::span<const std::size_t> chosen,
                           const std::vector<double>& values);

/// Where the values of `num_points` little-endian points lie: a point after the other, `point_bytes` apart,
/// or all values of a field before the next field's.
struct PointBytes {
  const std::byte* data = nullptr;
  std::int64_t num_points = 0;
  std::int64_t point_bytes = 0;
  bool by_field = false;
};
PointCloud read_fields(const std::filesystem::path& file, std::span<const PointField> fields,
                       const PointBytes& points);

/// A .npy file as stored, in C order: elements of one type (one field without a name), or structured.
struct NpyFile {
  bool structured = false;
  std::vector<PointField> fields;
  std::int64_t item_bytes = 0;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;  ///< product of shape items
};
/// Throws kIo, kNotFound.
NpyFile read_npy_file(const std::filesystem::path& file);

}  // namespace voxgemm::tools
