#include "tools/report/picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace voxgemm::tools {
namespace {

constexpr Rgb kBackground{12, 14, 22};
constexpr Rgb kPanel{18, 21, 32};
constexpr Rgb kRing{44, 50, 70};
constexpr Rgb kInk{214, 220, 236};
constexpr std::int32_t kMargin = 14;
constexpr std::int32_t kTitle = 34;

/// Heights (m, about the sensor) at the two ends of the colour scale.
constexpr float kLow = -2.6F;
constexpr float kHigh = 2.4F;

/// One panel: metres to pixels, and the highest thing seen at each pixel.
class Panel {
 public:
  Panel(Image& image, std::int32_t left, std::int32_t width, std::int32_t height, const VoxelGrid& grid,
        float scale)
      : image_(image),
        left_(left),
        width_(width),
        height_(height),
        grid_(grid),
        scale_(scale),
        top_(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), -1e9F) {
    image_.fill(left_, kTitle, width_, height_, kPanel);
    rings();
  }

  /// Paints a square of `side` pixels with its corner at metres (x, y); higher things cover lower ones.
  void paint(float x, float y, float z, std::int32_t side, Rgb colour) {
    const auto u0 = static_cast<std::int32_t>(std::floor((grid_.max_xyz[1] - y) * scale_));
    const auto v0 = static_cast<std::int32_t>(std::floor((grid_.max_xyz[0] - x) * scale_));
    for (std::int32_t v = std::max(v0, 0); v < std::min(v0 + side, height_); ++v) {
      for (std::int32_t u = std::max(u0, 0); u < std::min(u0 + side, width_); ++u) {
        float& top = top_[static_cast<std::size_t>(v) * static_cast<std::size_t>(width_) +
                          static_cast<std::size_t>(u)];
        if (z < top) continue;
        top = z;
        image_.set(left_ + u, kTitle + v, colour);
      }
    }
  }

 private:
  void rings() {
    const float reach = std::hypot(std::max(grid_.max_xyz[0], -grid_.min_xyz[0]),
                                   std::max(grid_.max_xyz[1], -grid_.min_xyz[1]));
    for (float radius = 10.0F; radius < reach; radius += 10.0F) {
      const int dots = static_cast<int>(radius * scale_ * 6.3F);
      for (int i = 0; i < dots; ++i) {
        const float angle = 6.2831853F * static_cast<float>(i) / static_cast<float>(dots);
        const auto u = static_cast<std::int32_t>((grid_.max_xyz[1] - radius * std::sin(angle)) * scale_);
        const auto v = static_cast<std::int32_t>((grid_.max_xyz[0] - radius * std::cos(angle)) * scale_);
        if (u >= 0 && v >= 0 && u < width_ && v < height_) image_.set(left_ + u, kTitle + v, kRing);
      }
    }
  }

  Image& image_;
  std::int32_t left_;
  std::int32_t width_;
  std::int32_t height_;
  const VoxelGrid& grid_;
  float scale_;
  std::vector<float> top_;
};

float height_fraction(float z) { return std::clamp((z - kLow) / (kHigh - kLow), 0.0F, 1.0F); }

void legend(Image& image, std::int32_t y) {
  constexpr std::int32_t kWidth = 240;
  for (std::int32_t i = 0; i < kWidth; ++i) {
    image.fill(kMargin + i, y, 1, 10, height_colour(static_cast<float>(i) / (kWidth - 1)));
  }
  image.text(kMargin + kWidth + 10, y - 1,
             fmt::format("height {:.1f} to {:.1f} m, rings every 10 m", kLow, kHigh), kInk, 1);
}

}  // namespace

Rgb height_colour(float t) {
  constexpr std::array<std::array<float, 3>, 6> kStops{
      {{58, 64, 160}, {40, 130, 210}, {48, 196, 170}, {164, 224, 84}, {250, 190, 56}, {226, 64, 44}}};
  const float at = std::clamp(t, 0.0F, 1.0F) * (kStops.size() - 1);
  const auto i = std::min(static_cast<std::size_t>(at), kStops.size() - 2);
  const float f = at - static_cast<float>(i);
  Rgb colour{};
  for (std::size_t c = 0; c < 3; ++c) {
    colour[c] = static_cast<std::uint8_t>(std::lround(kStops[i][c] + f * (kStops[i + 1][c] - kStops[i][c])));
  }
  return colour;
}

Image draw_birds_eye(const PointCloud& cloud, std::span<const std::int32_t> indices,
                     const PictureOptions& options) {
  const VoxelGrid& grid = options.grid;
  const float extent_x = grid.max_xyz[0] - grid.min_xyz[0];
  const float extent_y = grid.max_xyz[1] - grid.min_xyz[1];
  const float scale = static_cast<float>(options.panel) / std::max(extent_x, extent_y);
  const auto width = static_cast<std::int32_t>(std::lround(extent_y * scale));
  const auto height = static_cast<std::int32_t>(std::lround(extent_x * scale));
  const bool with_points = cloud.num_points() > 0;
  const bool with_voxels = !indices.empty();
  const std::int32_t panels = with_points && with_voxels ? 2 : 1;
  Image image(panels * width + (panels + 1) * kMargin, height + kTitle + kMargin + 22, kBackground);
  std::int32_t left = kMargin;
  if (with_points || !with_voxels) {
    Panel panel(image, left, width, height, grid, scale);
    const std::size_t columns = cloud.columns.size();
    const std::size_t cx = cloud.columns.find('x');
    const std::size_t cy = cloud.columns.find('y');
    const std::size_t cz = cloud.columns.find('z');
    for (std::size_t i = 0; i + columns <= cloud.values.size(); i += columns) {
      const float x = cloud.values[i + cx];
      const float y = cloud.values[i + cy];
      const float z = cloud.values[i + cz];
      const bool inside =
          x >= grid.min_xyz[0] && x < grid.max_xyz[0] && y >= grid.min_xyz[1] && y < grid.max_xyz[1];
      if (inside && std::isfinite(z)) panel.paint(x, y, z, 1, height_colour(height_fraction(z)));
    }
    image.text(left, 10, options.points_title, kInk);
    left += width + kMargin;
  }
  if (with_voxels) {
    Panel panel(image, left, width, height, grid, scale);
    const auto side = std::max(2, static_cast<std::int32_t>(std::lround(grid.voxel_size_xyz[0] * scale)));
    for (std::size_t i = 0; i + 4 <= indices.size(); i += 4) {
      const float z = grid.min_xyz[2] + (static_cast<float>(indices[i + 1]) + 0.5F) * grid.voxel_size_xyz[2];
      const float y = grid.min_xyz[1] + static_cast<float>(indices[i + 2] + 1) * grid.voxel_size_xyz[1];
      const float x = grid.min_xyz[0] + static_cast<float>(indices[i + 3] + 1) * grid.voxel_size_xyz[0];
      panel.paint(x, y, z, side, height_colour(height_fraction(z)));
    }
    image.text(left, 10, options.voxels_title, kInk);
  }
  legend(image, height + kTitle + kMargin);
  return image;
}

}  // namespace voxgemm::tools
