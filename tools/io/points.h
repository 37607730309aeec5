// Point clouds: .bin, .npy, .pcd, .ply in; .bin and .npy out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/io/array.h"

namespace voxgemm::tools {

/// Points as float32 rows. `columns` names them by letter: x y z position in metres, i intensity, t age of
/// the sweep in seconds, r ring; '_' is a column that nobody reads.
struct PointCloud {
  std::string columns = "xyzit";
  std::vector<float> values;  ///< [num_points][columns.size()]
  bool assumed = false;       ///< neither the file nor an option names the columns
  std::string age_field;      ///< name of column t in the file, where it has one
  std::string age_fault;      ///< why column t holds no seconds, see check_ages(); empty: nothing is known
  std::vector<std::string> notes;  ///< what reading assumed, a phrase each

  [[nodiscard]] std::int64_t num_points() const {
    return columns.empty() ? 0 : static_cast<std::int64_t>(values.size() / columns.size());
  }
};

/// How to read a file that does not describe itself.
struct PointsFormat {
  std::string columns;        ///< .bin and .npy; empty = by element count of the row (.npy) or `usual` (.bin)
  std::string dtype = "f32";  ///< .bin: "f32" or "f16"
  std::string format;         ///< one of points_formats(); empty = the extension of the file
  std::string usual = "xyzit";  ///< columns of a .bin that nobody names
};

/// "bin", "npy", "pcd", "ply": extensions too, in any case.
std::vector<std::string> points_formats();

/// Reads a file, or standard input when it is "-". Throws kIo, kNotFound, UsageError (column letters, dtype,
/// standard input without a format). Points that are not finite are kept: the voxeliser drops and counts
/// them.
PointCloud read_points(const std::filesystem::path& file, const PointsFormat& format);
/// Fields x, y, z, intensity, time, ring of
///   .pcd  ASCII, binary, binary_compressed
///   .ply  ASCII, binary of both byte orders: properties of element "vertex"
/// Others are skipped. `file` is what messages name. Throw kIo.
PointCloud read_pcd(const std::filesystem::path& file, std::span<const std::byte> bytes);
PointCloud read_ply(const std::filesystem::path& file, std::span<const std::byte> bytes);

/// Throws UsageError naming the option unless write_points() knows the extension.
void check_points_output(std::string_view option, const std::filesystem::path& file);
/// Writes .bin or .npy, little-endian, by extension, in `dtype` "f32" or "f16". Throws kIo.
void write_points(const std::filesystem::path& file, const PointCloud& cloud, std::string_view dtype);

/// Columns in the order asked for; a column that the cloud lacks is filled with zeros. Such columns, and
/// those that are left out, are noted.
PointCloud select_columns(const PointCloud& cloud, std::string_view columns);

/// Throws kInvalidArgument, naming column t, unless it can hold the ages of accumulated sweeps: seconds
/// within 10 either way, and no whole numbers beyond 1 alone (rings). Taken for ages, rings, nanoseconds or
/// times of day would also take the whole int8 range of the input. Values that are not finite are passed.
void check_ages(std::string_view source, const PointCloud& cloud);

/// Throws kInvalidArgument naming the column and the point when `columns` were assumed and column i holds a
/// negative value: that is how coordinates look when rows are read with a column too many or too few.
void check_assumed(std::string_view source, const PointCloud& cloud);

/// Throws kInvalidArgument unless x, y and z occur and no letter but '_' occurs twice.
void check_columns(std::string_view columns);

}  // namespace voxgemm::tools
