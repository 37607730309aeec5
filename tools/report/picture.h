// Bird's-eye picture: the points of a sweep beside the voxels made of them, coloured by height.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "tools/io/png.h"
#include "tools/io/points.h"
#include "voxgemm/voxelize.h"

namespace voxgemm::tools {

/// What the picture shows. x points up, y to the left.
struct PictureOptions {
  VoxelGrid grid{};
  std::int32_t panel = 860;  ///< pixels of the longer side of one panel
  std::string points_title;
  std::string voxels_title;
};

/// indices [n][4] int32 (b,z,y,x) of the grid. The picture holds one panel when both are not given.
Image draw_birds_eye(const PointCloud& cloud, std::span<const std::int32_t> indices,
                     const PictureOptions& options);

/// Colour of a height between 0 (lowest) and 1: dark blue, green, yellow, red.
Rgb height_colour(float t);

}  // namespace voxgemm::tools
