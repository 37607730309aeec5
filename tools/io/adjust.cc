#include "tools/io/adjust.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string>

namespace voxgemm::tools {
namespace {

/// Greatest finite value of a column; 0 when none is above.
float greatest(const PointCloud& cloud, std::size_t column) {
  float most = 0.0F;
  for (std::size_t i = column; i < cloud.values.size(); i += cloud.columns.size()) {
    if (std::isfinite(cloud.values[i])) most = std::max(most, cloud.values[i]);
  }
  return most;
}

/// x^2 + y^2 + z^2 of each point in turn, with its first value.
template <typename Use>
void each_square(const PointCloud& cloud, Use use) {
  std::array<std::size_t, 3> at{};
  for (std::size_t a = 0; a < 3; ++a) at[a] = cloud.columns.find("xyz"[a]);
  for (std::size_t i = 0; i < cloud.values.size(); i += cloud.columns.size()) {
    float square = 0.0F;
    for (const std::size_t column : at) square += cloud.values[i + column] * cloud.values[i + column];
    use(i, square);
  }
}

}  // namespace

float scale_intensity(PointCloud& cloud, float scale) {
  constexpr float kMostOfOne = 1.5F;  // above it values are no part of 1
  const std::size_t at = cloud.columns.find('i');
  if (at == std::string::npos) return 0.0F;
  if (scale == 0.0F) scale = greatest(cloud, at) > kMostOfOne ? 255.0F : 1.0F;
  if (scale != 1.0F) {
    for (std::size_t i = at; i < cloud.values.size(); i += cloud.columns.size()) cloud.values[i] /= scale;
    cloud.notes.push_back(fmt::format("i is divided by {}", scale));
  }
  return greatest(cloud, at);
}

std::int64_t drop_near(PointCloud& cloud, float distance) {
  const std::size_t width = cloud.columns.size();
  std::size_t kept = 0;
  each_square(cloud, [&](std::size_t point, float square) {
    if (square < distance * distance) return;
    std::copy_n(cloud.values.begin() + static_cast<std::ptrdiff_t>(point), width,
                cloud.values.begin() + static_cast<std::ptrdiff_t>(kept));
    kept += width;
  });
  const std::size_t dropped = (cloud.values.size() - kept) / width;
  cloud.values.resize(kept);
  return static_cast<std::int64_t>(dropped);
}

std::int64_t points_at_origin(const PointCloud& cloud) {
  std::int64_t count = 0;
  each_square(cloud, [&](std::size_t, float square) { count += square == 0.0F ? 1 : 0; });
  return count;
}

}  // namespace voxgemm::tools
