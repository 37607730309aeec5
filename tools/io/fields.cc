#include "tools/io/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

namespace voxgemm::tools {
namespace {

struct KnownName {
  std::string_view name;
  char column;
};

// For each column the most usual name first.
constexpr std::array<KnownName, 14> kNames{{{"x", 'x'},
                                            {"y", 'y'},
                                            {"z", 'z'},
                                            {"intensity", 'i'},
                                            {"i", 'i'},
                                            {"reflectivity", 'i'},
                                            {"t", 't'},
                                            {"dt", 't'},
                                            {"time", 't'},
                                            {"offset_time", 't'},
                                            {"timestamp", 't'},
                                            {"ring", 'r'},
                                            {"r", 'r'},
                                            {"laser", 'r'}}};

/// As it stands in kNames.
std::string known_name(const FileField& field) {
  constexpr std::string_view kPrefix = "scalar_";
  const std::string name = lower_case(field.name);
  return name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name;
}

char column_of(const FileField& field) {
  const std::string name = known_name(field);
  const auto known =
      std::find_if(kNames.begin(), kNames.end(), [&](const KnownName& k) { return k.name == name; });
  return known == kNames.end() ? '_' : known->column;
}

/// Whether nobody would ask where the column comes from: the first of its names.
bool is_usual(const FileField& field, char column) {
  const auto first =
      std::find_if(kNames.begin(), kNames.end(), [&](const KnownName& k) { return k.column == column; });
  return lower_case(field.name) == first->name;
}

bool is_whole(Element element) {
  return element != Element::kF16 && element != Element::kF32 && element != Element::kF64;
}

struct TimeUnit {
  std::string_view name;
  double seconds;
};

/// Unit of a time whose newest value is `newest`; nothing when it cannot be told.
std::optional<TimeUnit> unit_of_timestamp(double newest, bool whole) {
  for (const TimeUnit unit : {TimeUnit{"s", 1.0}, {"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}}) {
    const double seconds = newest * unit.seconds;
    if (seconds >= 1e9 && seconds < 3e9) return unit;  // 2001 to 2065
  }
  if (!whole && std::abs(newest) < 1e9) return TimeUnit{"s", 1.0};
  return std::nullopt;
}

/// One column of the rows of `values`.
struct ColumnOf {
  std::vector<double>& values;
  std::size_t first = 0;
  std::size_t step = 1;

  template <typename Use>
  void each(Use use) const {
    for (std::size_t i = first; i < values.size(); i += step) use(values[i]);
  }
};

/// Absolute times -> ages before the newest. Done in float64: float32 keeps times since 1970 to 128 s only.
void make_relative(const FileField& field, const ColumnOf& times, PointCloud& cloud) {
  double newest = -std::numeric_limits<double>::infinity();
  times.each([&](double time) { newest = std::isfinite(time) ? std::max(newest, time) : newest; });
  if (!std::isfinite(newest)) return;
  const std::optional<TimeUnit> unit = unit_of_timestamp(newest, is_whole(*field.element));
  if (!unit) {
    cloud.age_fault = fmt::format("the unit of {} is not known", newest);
    return;
  }
  if (*field.element == Element::kF32 && newest > 65536.0) {  // steps of 1/128
    cloud.age_fault = fmt::format("float32 cannot hold {} to a hundredth", newest);
    return;
  }
  times.each([&](double& time) { time = (newest - time) * unit->seconds; });
  cloud.notes.push_back(
      fmt::format("t is field '{}' in {}, as age before the newest point", field.name, unit->name));
}

void make_ages(const FileField& field, const ColumnOf& times, PointCloud& cloud) {
  cloud.age_field = field.name;
  const std::string name = known_name(field);
  if (name == "timestamp") return make_relative(field, times, cloud);
  const bool whole = is_whole(*field.element);
  if (whole && name != "t" && name != "offset_time") {
    cloud.age_fault = fmt::format("the unit of {} is not known", element_name(*field.element));
    return;
  }
  if (whole) times.each([](double& time) { time *= 1e-9; });
  cloud.notes.push_back(fmt::format("t is field '{}' in {}", field.name, whole ? "ns" : "s"));
}

}  // namespace

std::vector<std::size_t> column_fields(const std::filesystem::path& file, std::span<const FileField> fields) {
  std::vector<std::size_t> chosen;
  std::string columns;
  const bool coloured = std::any_of(fields.begin(), fields.end(), [](const FileField& f) {
    const std::string name = known_name(f);
    return name == "g" || name == "b";
  });
  for (const KnownName& known : kNames) {
    if (coloured && known.name == "r") continue;
    if (columns.find(known.column) != std::string::npos) continue;
    const auto field = std::find_if(fields.begin(), fields.end(), [&](const FileField& f) {
      return f.element && f.count == 1 && known_name(f) == known.name;
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

PointCloud cloud_of_fields(std::span<const FileField> fields, std::span<const std::size_t> chosen,
                           std::vector<double> values) {
  PointCloud cloud;
  cloud.columns.clear();
  for (const std::size_t f : chosen) {
    const char column = column_of(fields[f]);
    if (column != 't' && !is_usual(fields[f], column)) {
      cloud.notes.push_back(fmt::format("{} is field '{}'", column, fields[f].name));
    }
    if (column == 't') make_ages(fields[f], {values, cloud.columns.size(), chosen.size()}, cloud);
    cloud.columns += column;
  }
  cloud.values.resize(values.size());
  std::transform(values.begin(), values.end(), cloud.values.begin(),
                 [](double value) { return static_cast<float>(value); });
  return cloud;
}

PointCloud read_fields(const std::filesystem::path& file, std::span<const FileField> fields,
                       const PointBytes& points) {
  const std::vector<std::size_t> chosen = column_fields(file, fields);
  std::vector<double> values;
  values.reserve(static_cast<std::size_t>(points.num_points) * chosen.size());
  for (std::int64_t p = 0; p < points.num_points; ++p) {
    for (const std::size_t f : chosen) {
      const FileField& field = fields[f];
      const std::int64_t at = points.by_field ? points.num_points * field.offset + p * field.size
                                              : p * points.point_bytes + field.offset;
      values.push_back(value_at(points.data + at, *field.element));
    }
  }
  return cloud_of_fields(fields, chosen, std::move(values));
}

}  // namespace voxgemm::tools
