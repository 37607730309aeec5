#include "tools/report/columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "tools/report/table.h"

namespace voxgemm::tools {
namespace {

/// Joins text(0), text(1), ... of `count` columns.
template <typename Text>
std::string listed(std::size_t count, Text text) {
  std::string out;
  for (std::size_t c = 0; c < std::min(count, kColumnsInText); ++c) out += (c == 0 ? "" : ", ") + text(c);
  if (count > kColumnsInText) out += fmt::format(" and {} more", count - kColumnsInText);
  return out;
}

}  // namespace

std::vector<ColumnRange> column_ranges(std::span<const std::string> names, std::span<const float> values) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<ColumnRange> ranges;
  for (const std::string& name : names) {
    ranges.push_back({.name = name, .least = kInfinity, .greatest = -kInfinity});
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    ColumnRange& range = ranges[i % ranges.size()];
    if (!std::isfinite(values[i])) {
      ++range.not_finite;
      continue;
    }
    ++range.finite;
    range.least = std::min(range.least, values[i]);
    range.greatest = std::max(range.greatest, values[i]);
  }
  for (ColumnRange& range : ranges) {
    if (range.finite == 0) range.least = range.greatest = 0.0F;
    range.least += 0.0F;  // -0 is written as 0
    range.greatest += 0.0F;
  }
  return ranges;
}

std::string ranges_text(std::span<const ColumnRange> ranges) {
  return listed(ranges.size(), [&](std::size_t c) {
    const ColumnRange& range = ranges[c];
    if (range.finite == 0) return fmt::format("{} none finite", range.name);
    std::string text = fmt::format("{} {:.4g} to {:.4g}", range.name, range.least, range.greatest);
    if (range.not_finite > 0) text += fmt::format(" ({} not finite)", grouped(range.not_finite));
    return text;
  });
}

std::string channels_text(std::span<const std::string> names, std::span<const double> sqnr_db) {
  return listed(std::min(names.size(), sqnr_db.size()), [&](std::size_t c) {
    return std::isinf(sqnr_db[c]) ? fmt::format("{} exact", names[c])
                                  : fmt::format("{} {:.1f}", names[c], sqnr_db[c]);
  });
}

nlohmann::json ranges_json(std::span<const ColumnRange> ranges) {
  nlohmann::json list = nlohmann::json::array();
  for (const ColumnRange& range : ranges) {
    nlohmann::json entry{
        {"name", range.name}, {"min", nullptr}, {"max", nullptr}, {"not_finite", range.not_finite}};
    if (range.finite > 0) {
      entry["min"] = range.least;
      entry["max"] = range.greatest;
    }
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace voxgemm::tools
