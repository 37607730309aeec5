// Spinning LiDAR: sensor models and accumulated sweeps.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "tools/io/points.h"

namespace voxgemm::tools {

/// A spinning sensor. Angles in degrees above the horizon, top beam first.
struct SensorModel {
  std::vector<float> elevation;
  std::int32_t columns = 1084;  ///< firings a revolution
  float period = 0.05F;         ///< seconds a revolution
  float height = 1.84F;         ///< metres above the road
  float max_range = 100.0F;
  float range_noise = 0.02F;       ///< deviation, metres
  float sensitivity = 1.0F;        ///< scales the signal that a return must exceed
  float intensity_scale = 255.0F;  ///< intensity of a perfect reflector
};

/// 32: 1.33 degrees apart, 20 Hz, 1084 columns; 64: two blocks, 10 Hz, 2083 columns; 128: finer near the
/// horizon, 10 Hz, 1800 columns. Throws kInvalidArgument for other counts.
SensorModel sensor_model(std::int32_t beams);

struct SimulateOptions {
  std::int32_t beams = 32;
  std::int32_t sweeps = 10;  ///< 1..10 accumulated revolutions
  std::uint64_t seed = 1;
  float speed = 4.0F;  ///< of the ego vehicle, metres a second
};

/// Called with the fraction done, 0..1.
using Progress = std::function<void(double)>;

/// Columns xyzit in the frame of the sensor at the newest sweep (x forward, y left, z up): position,
/// intensity, age of the sweep in seconds. The same points for the same options, whatever the machine's load.
/// Throws kInvalidArgument naming the option and its bounds.
PointCloud simulate(const SimulateOptions& options, const Progress& progress = {});

}  // namespace voxgemm::tools
