// What is done to points between their file and the voxeliser.
#pragma once

#include <cstdint>

#include "tools/io/points.h"

namespace voxgemm::tools {

/// Divides column i by `scale`, the sensor's full scale; 0: by 255 when a value is above 1.5, else not at
/// all. Networks get 0..1, which also keeps one bright sign from taking the whole int8 range of the input. A
/// division is noted. Returns the greatest finite intensity after it; 0 without column i or values above 0.
float scale_intensity(PointCloud& cloud, float scale);

/// Drops the points with x^2 + y^2 + z^2 < distance^2 (float32) and returns how many: lost returns, which
/// sensors put at their origin, and returns of the vehicle. Others keep their order; points of which x, y or
/// z is not finite are kept, for the voxeliser to count.
std::int64_t drop_near(PointCloud& cloud, float distance);

/// Points at (0, 0, 0) exactly.
std::int64_t points_at_origin(const PointCloud& cloud);

}  // namespace voxgemm::tools
