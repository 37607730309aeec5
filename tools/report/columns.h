// What the input holds, column by column: wrong units and wrong columns show in their ranges.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

namespace voxgemm::tools {

/// Finite values of one column.
struct ColumnRange {
  std::string name;
  float least = 0.0F;
  float greatest = 0.0F;
  std::int64_t finite = 0;
  std::int64_t not_finite = 0;
};

/// Of the rows of `values`, names.size() values each.
std::vector<ColumnRange> column_ranges(std::span<const std::string> names, std::span<const float> values);

/// Most columns that text tells of; JSON has all.
constexpr std::size_t kColumnsInText = 16;

/// "x -53.9 to 53.9, i 0 to 255 (2 not finite), t none finite".
std::string ranges_text(std::span<const ColumnRange> ranges);

/// "x 51.2, i 0.0, t exact": SQNR in dB of each channel, named.
std::string channels_text(std::span<const std::string> names, std::span<const double> sqnr_db);

nlohmann::json ranges_json(std::span<const ColumnRange> ranges);

}  // namespace voxgemm::tools
