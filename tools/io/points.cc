#include "tools/io/points.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "tools/io/fields.h"
#include "tools/io/output.h"
#include "tools/usage_error.h"
#include "voxgemm/error.h"
#include "voxgemm/types.h"

namespace voxgemm::tools {
namespace {

std::string default_columns(const std::filesystem::path& file, std::int64_t count) {
  switch (count) {
    case 3:
      return "xyz";
    case 4:
      return "xyzi";
    case 5:
      return "xyzit";
    default:
      fail_io(file, fmt::format("rows of {} values: say what they are with --columns", count));
  }
}

/// Hint at the usual columns whose rows fill `bytes` exactly; empty when none do.
std::string fitting_columns(std::size_t bytes, std::size_t item) {
  std::string hint;
  for (const std::string_view columns : {"xyzi", "xyzit", "xyz"}) {
    if (bytes % (item * columns.size()) != 0) continue;
    hint += hint.empty() ? "; --columns that fit: " : ", ";
    hint += columns;
  }
  return hint;
}

using Bytes = std::vector<std::byte>;

PointCloud read_bin(const std::filesystem::path& file, Bytes bytes, const PointsFormat& format) {
  PointCloud cloud;
  cloud.assumed = format.columns.empty();
  cloud.columns = cloud.assumed ? format.usual : format.columns;
  if (cloud.assumed) cloud.notes.push_back(fmt::format("columns are {}, as usual", cloud.columns));
  const std::size_t item = format.dtype == "f16" ? 2 : 4;
  const std::size_t row = item * cloud.columns.size();
  if (bytes.size() % row != 0) {
    fail_io(file,
            fmt::format("{} bytes are no whole number of {}-byte rows ({} columns '{}' of {}): give the "
                        "right --columns and --dtype, or the file is truncated{}",
                        bytes.size(), row, cloud.columns.size(), cloud.columns, format.dtype,
                        fitting_columns(bytes.size(), item)));
  }
  cloud.values.resize(bytes.size() / item);
  if (item == 4) {
    if (!bytes.empty()) std::memcpy(cloud.values.data(), bytes.data(), bytes.size());
  } else {
    for (std::size_t i = 0; i < cloud.values.size(); ++i) {
      Half half;
      std::memcpy(&half, bytes.data() + 2 * i, 2);
      cloud.values[i] = to_float(half);
    }
  }
  return cloud;
}

/// For files that name their columns.
void refuse_columns(const std::filesystem::path& file, const PointsFormat& format) {
  if (format.columns.empty()) return;
  throw UsageError(fmt::format("--columns '{}': {} names its columns itself", format.columns, file.string()));
}

PointCloud read_npy_points(const std::filesystem::path& file, Bytes bytes, const PointsFormat& format) {
  NpyFile npy = parse_npy(file, std::move(bytes));
  if (npy.structured) {
    refuse_columns(file, format);
    std::int64_t points = 1;
    for (const std::int64_t extent : npy.shape) points *= extent;
    return read_fields(file, npy.fields, {npy.bytes.data(), points, npy.item_bytes, false});
  }
  const Array array{*npy.fields[0].element, std::move(npy.shape), std::move(npy.bytes)};
  if (array.shape.size() != 2) {
    fail_io(file, fmt::format("shape {}: points are a matrix [n][columns]", array.shape_text()));
  }
  PointCloud cloud;
  cloud.assumed = format.columns.empty();
  cloud.columns = cloud.assumed ? default_columns(file, array.shape[1]) : format.columns;
  if (cloud.assumed) cloud.notes.push_back(fmt::format("columns are {}, by their number", cloud.columns));
  if (static_cast<std::int64_t>(cloud.columns.size()) != array.shape[1]) {
    fail_io(file, fmt::format("--columns '{}' names {} columns, the file has {}", cloud.columns,
                              cloud.columns.size(), array.shape[1]));
  }
  cloud.values = array.to_float();
  return cloud;
}

std::string extension_of(const std::filesystem::path& file) { return lower_case(file.extension().string()); }

PointCloud read_pcd_points(const std::filesystem::path& file, Bytes bytes, const PointsFormat&) {
  return read_pcd(file, bytes);
}

PointCloud read_ply_points(const std::filesystem::path& file, Bytes bytes, const PointsFormat&) {
  return read_ply(file, bytes);
}

struct Reader {
  std::string_view format;
  bool names_columns;  // always: --columns makes no sense then
  PointCloud (*read)(const std::filesystem::path& file, Bytes bytes, const PointsFormat& format);
};

constexpr std::array<Reader, 4> kReaders{{{"bin", false, read_bin},
                                          {"npy", false, read_npy_points},
                                          {"pcd", true, read_pcd_points},
                                          {"ply", true, read_ply_points}}};

/// By name, or by the extension of the file when that is empty.
const Reader& reader_of(const std::filesystem::path& file, std::string_view format) {
  const std::string extension = extension_of(file);
  const auto reader = std::find_if(kReaders.begin(), kReaders.end(), [&](const Reader& r) {
    return format.empty() ? extension == fmt::format(".{}", r.format) : format == r.format;
  });
  if (reader != kReaders.end()) return *reader;
  const std::string known =
      fmt::format("points are read from {}; --format says which", fmt::join(points_formats(), ", "));
  if (!format.empty()) throw UsageError(fmt::format("--format {}: {}", format, known));
  fail_io(file, fmt::format("unknown extension '{}': {}", extension, known));
}

bool is_written(const std::filesystem::path& file) {
  return extension_of(file) == ".bin" || extension_of(file) == ".npy";
}

std::string unknown_output(const std::filesystem::path& file) {
  return fmt::format("unknown extension '{}': points are written as .bin or .npy", file.extension().string());
}

}  // namespace

std::vector<std::string> points_formats() {
  std::vector<std::string> names;
  for (const Reader& reader : kReaders) names.emplace_back(reader.format);
  return names;
}

void check_columns(std::string_view columns) {
  for (const char letter : columns) {
    if (std::string_view("xyzitr_").find(letter) == std::string_view::npos) {
      throw UsageError(fmt::format("--columns '{}': '{}' is none of x y z i t r _", columns, letter));
    }
    if (letter != '_' && std::count(columns.begin(), columns.end(), letter) > 1) {
      throw UsageError(fmt::format("--columns '{}': '{}' occurs twice", columns, letter));
    }
  }
  for (const char letter : {'x', 'y', 'z'}) {
    if (columns.find(letter) == std::string_view::npos) {
      throw UsageError(fmt::format("--columns '{}' lacks '{}'", columns, letter));
    }
  }
}

void check_ages(std::string_view source, const PointCloud& cloud) {
  constexpr float kLimit = 10.0F;  // seconds; sweeps of half a second or so are accumulated
  const std::size_t at = cloud.columns.find('t');
  if (at == std::string::npos) return;
  const auto fail = [&](const std::string& reason) {
    const bool named = !cloud.age_field.empty();
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: column 't'{} holds no ages in seconds: {}{}", source,
                    named ? fmt::format(" (field '{}')", cloud.age_field) : "", reason,
                    named ? "" : "; say with --columns what the columns are, e.g. xyzi, xyzir, xyzi_"));
  };
  if (!cloud.age_fault.empty()) fail(cloud.age_fault);
  float highest = 0.0F;
  bool whole = true;
  for (std::size_t i = at; i < cloud.values.size(); i += cloud.columns.size()) {
    const float age = cloud.values[i];
    if (!std::isfinite(age)) continue;
    if (std::abs(age) > kLimit) {
      fail(fmt::format("{} at point {}, limit {}", age, i / cloud.columns.size(), kLimit));
    }
    highest = std::max(highest, std::abs(age));
    whole = whole && age == std::floor(age);
  }
  if (whole && highest > 1.0F) fail(fmt::format("whole numbers up to {}, as of rings", highest));
}

void check_assumed(std::string_view source, const PointCloud& cloud) {
  const std::size_t at = cloud.columns.find('i');
  if (!cloud.assumed || at == std::string::npos) return;
  for (std::size_t i = at; i < cloud.values.size(); i += cloud.columns.size()) {
    if (!(cloud.values[i] < 0.0F)) continue;
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: column 'i' holds no intensities: {} at point {}; the columns were taken for "
                            "{}: say with --columns what they are",
                            source, cloud.values[i], i / cloud.columns.size(), cloud.columns));
  }
}

PointCloud read_points(const std::filesystem::path& file, const PointsFormat& format) {
  if (!format.columns.empty()) check_columns(format.columns);
  if (format.dtype != "f32" && format.dtype != "f16") {
    throw UsageError(fmt::format("--dtype {}: f32 or f16", format.dtype));
  }
  const bool standard_input = file == "-";
  if (standard_input && format.format.empty()) {
    throw UsageError(fmt::format("points from standard input: say with --format what they are: {}",
                                 fmt::join(points_formats(), ", ")));
  }
  const std::filesystem::path name = standard_input ? kStandardInput : file;
  const Reader& reader = reader_of(name, format.format);
  if (reader.names_columns) refuse_columns(name, format);
  return reader.read(name, standard_input ? read_standard_input() : read_file(file), format);
}

void check_points_output(std::string_view option, const std::filesystem::path& file) {
  if (is_written(file)) return;
  throw UsageError(fmt::format("{} {}: {}", option, file.string(), unknown_output(file)));
}

void write_points(const std::filesystem::path& file, const PointCloud& cloud, std::string_view dtype) {
  if (!is_written(file)) fail_io(file, unknown_output(file));
  Array array;
  array.shape = {cloud.num_points(), static_cast<std::int64_t>(cloud.columns.size())};
  if (dtype == "f16") {
    array.element = Element::kF16;
    std::vector<Half> halves(cloud.values.size());
    std::transform(cloud.values.begin(), cloud.values.end(), halves.begin(), to_half);
    array.bytes.resize(halves.size() * sizeof(Half));
    if (!halves.empty()) std::memcpy(array.bytes.data(), halves.data(), array.bytes.size());
  } else {
    array.bytes.resize(cloud.values.size() * sizeof(float));
    if (!cloud.values.empty()) std::memcpy(array.bytes.data(), cloud.values.data(), array.bytes.size());
  }
  if (extension_of(file) == ".npy") return write_npy(file, array);
  write_file(file, array.bytes.data(), array.bytes.size());
}

PointCloud select_columns(const PointCloud& cloud, std::string_view columns) {
  PointCloud out;
  out.columns = columns;
  out.assumed = cloud.assumed;
  out.age_field = cloud.age_field;
  out.age_fault = cloud.age_fault;
  out.notes = cloud.notes;
  for (const char column : cloud.columns) {
    if (column == '_' || columns.find(column) != std::string_view::npos) continue;
    out.notes.push_back(fmt::format("{} is not read", column));
  }
  const auto n = static_cast<std::size_t>(cloud.num_points());
  out.values.assign(n * columns.size(), 0.0F);
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const std::size_t from = cloud.columns.find(columns[c]);
    if (from == std::string::npos) {
      out.notes.push_back(fmt::format("{} is not there: zeros", columns[c]));
      continue;
    }
    for (std::size_t i = 0; i < n; ++i) {
      out.values[i * columns.size() + c] = cloud.values[i * cloud.columns.size() + from];
    }
  }
  return out;
}

}  // namespace voxgemm::tools
