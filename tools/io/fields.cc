#include "tools/io/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace voxgemm::tools {
namespace {

struct KnownName {
  std::string_view name;
  char column;
};

// For each column the most usual name first.
constexpr std::array<KnownName, 13> kNames{{{"x", 'x'},
                                            {"y", 'y'},
                                            {"z", 'z'},
                                            {"intensity", 'i'},
                                            {"i", 'i'},
                                            {"reflectivity", 'i'},
                                            {"t", 't'},
                                            {"dt", 't'},
                                            {"time", 't'},
                                            {"timestamp", 't'},
                                            {"ring", 'r'},
                                            {"r", 'r'},
                                            {"laser", 'r'}}};

char column_of(const PointField& field) {
  const std::string name = lower_case(field.name);
  const auto known =
      std::find_if(kNames.begin(), kNames.end(), [&](const KnownName& k) { return k.name == name; });
  return known == kNames.end() ? '_' : known->column;
}

}  // namespace

std::vector<std::size_t> column_fields(const std::filesystem::path& file,
                                       std::span<const PointField> fields) {
  std::vector<std::size_t> chosen;
  std::string columns;
  for (const KnownName& known : kNames) {
    if (columns.find(known.column) != std::string::npos) continue;
    const auto field = std::find_if(fields.begin(), fields.end(), [&](const PointField& f) {
      return f.element && f.count == 1 && lower_case(f.name) == known.name;
    });
    if (field == fields.end()) continue;
    columns += known.column;
    chosen.push_back(static_cast<std::size_t>(field - fields.begin()));
  }
  for (const char column : {'x', 'y', 'z'}) {
    if (columns.find(column) == std::string::npos) fail_io(file, fmt::format("no field '{}'", column));
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

PointCloud cloud_of_fields(std::span<const PointField> fields, std::span<const std::size_t> chosen,
                           const std::vector<double>& values) {
  PointCloud cloud;
  cloud.columns.clear();
  for (const std::size_t f : chosen) cloud.columns += column_of(fields[f]);
  cloud.values.resize(values.size());
  std::transform(values.begin(), values.end(), cloud.values.begin(),
                 [](double value) { return static_cast<float>(value); });
  return cloud;
}

PointCloud read_fields(const std::filesystem::path& file, std::span<const PointField> fields,
                       const PointBytes& points) {
  const std::vector<std::size_t> chosen = column_fields(file, fields);
  std::vector<double> values;
  values.reserve(static_cast<std::size_t>(points.num_points) * chosen.size());
  for (std::int64_t p = 0; p < points.num_points; ++p) {
    for (const std::size_t f : chosen) {
      const PointField& field = fields[f];
      const std::int64_t at = points.by_field ? points.num_points * field.offset + p * field.size
                                              : p * points.point_bytes + field.offset;
      values.push_back(value_at(points.data + at, *field.element));
    }
  }
  return cloud_of_fields(fields, chosen, values);
}

}  // namespace voxgemm::tools
