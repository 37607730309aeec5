#include "tools/sim/simulator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tools/sim/random.h"
#include "tools/sim/raycast.h"
#include "tools/sim/scene.h"
#include "voxgemm/error.h"

namespace voxgemm::tools {
namespace {

constexpr float kDegrees = 0.017453293F;
constexpr float kTurnRate = 0.03F;  // radians a second: the street bends a little under the ego vehicle
// The roof below the sensor stops the steepest beams before and behind: drop below the sensor, half length
// and half width in metres.
constexpr Vec3 kRoof{0.60F, 0.40F, 0.27F};

struct Pose {
  float x = 0.0F;
  float y = 0.0F;
  float yaw = 0.0F;
};

/// Ego pose at time t <= 0; at t = 0 it is the origin.
Pose pose_at(float t, float speed) { return {speed * t, 0.5F * speed * kTurnRate * t * t, kTurnRate * t}; }

bool hits_roof(Vec3 direction) {
  if (direction.z > -0.05F) return false;
  const float t = kRoof.z / -direction.z;
  return std::abs(t * direction.x) < kRoof.x && std::abs(t * direction.y) < kRoof.y;
}

/// True when a return of this strength is received: the signal falls with the square of the range, and what
/// is needed varies from firing to firing.
bool received(const SensorModel& sensor, const Hit& hit, Random& random) {
  if (random.chance(hit.shine)) return false;
  const float spread = 30.0F / std::max(hit.range, 5.0F);
  const float signal = sensor.sensitivity * hit.reflectivity * std::sqrt(hit.cos_incidence) * spread * spread;
  return signal > 0.008F * (0.3F + 1.4F * random.uniform()) && !random.chance(0.01F);
}

struct Sweep {
  float age = 0.0F;
  float start = 0.0F;  // azimuth of the first column
  std::uint64_t seed = 0;
};

void cast_column(const SensorModel& sensor, const SimulateOptions& options, const Scene& scene,
                 const RayGrid& grid, const Sweep& sweep, std::int32_t column, std::vector<float>& out) {
  const float turn = static_cast<float>(column) / static_cast<float>(sensor.columns);
  const Pose pose = pose_at(-sweep.age - sensor.period * (1.0F - turn), options.speed);
  const float azimuth = sweep.start - 6.2831853F * turn;  // clockwise, as real sensors turn
  const float base = scene.ground(0.0F, 0.0F) + sensor.height;
  Ray ray;
  ray.origin = {pose.x, pose.y, scene.ground(pose.x, pose.y) + sensor.height};
  for (std::size_t beam = 0; beam < sensor.elevation.size(); ++beam) {
    Random random(mix(sweep.seed ^ (static_cast<std::uint64_t>(column) << 16U) ^ beam));
    const float up = sensor.elevation[beam] * kDegrees;
    const Vec3 beside{std::cos(up) * std::cos(azimuth), std::cos(up) * std::sin(azimuth), std::sin(up)};
    if (hits_roof(beside)) continue;
    const float heading = azimuth + pose.yaw;
    ray.direction = {std::cos(up) * std::cos(heading), std::cos(up) * std::sin(heading), std::sin(up)};
    const Hit hit = grid.cast(ray, sensor.max_range, random);
    if (hit.range <= 0.0F || !received(sensor, hit, random)) continue;
    const float range = hit.range + sensor.range_noise * random.normal();
    Vec3 p = ray.origin + range * ray.direction;
    p.z += hit.roughness * random.normal();
    const float brightness =
        hit.reflectivity * std::sqrt(std::sqrt(hit.cos_incidence)) * random.uniform(0.85F, 1.15F);
    const float levels = sensor.intensity_scale > 1.0F ? sensor.intensity_scale : 100.0F;
    const float step = sensor.intensity_scale / levels;
    out.insert(out.end(),
               {p.x, p.y, p.z - base, step * std::round(levels * std::min(brightness, 1.0F)), sweep.age});
  }
}

}  // namespace

SensorModel sensor_model(std::int32_t beams) {
  SensorModel sensor;
  if (beams == 32) {
    for (int i = 0; i < 32; ++i) sensor.elevation.push_back(10.67F - 1.3333F * static_cast<float>(i));
    return sensor;
  }
  sensor.period = 0.1F;
  sensor.max_range = 120.0F;
  if (beams == 64) {
    for (int i = 0; i < 32; ++i) sensor.elevation.push_back(2.0F - 0.3333F * static_cast<float>(i));
    for (int i = 0; i < 32; ++i) sensor.elevation.push_back(-8.83F - 0.5F * static_cast<float>(i));
    sensor.columns = 2083;
    sensor.height = 1.73F;
    sensor.range_noise = 0.015F;
    sensor.intensity_scale = 1.0F;
    return sensor;
  }
  if (beams != 128) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("--beams {}: 32, 64 or 128", beams));
  }
  // Spacing grows from 0.11 degrees at the horizon to 0.45 at both ends: the upper 48 beams reach +14.7, the
  // lower 80 reach -24.6.
  for (int i = 0; i < 128; ++i) {
    const float s = static_cast<float>(48 - i) / (i <= 48 ? 48.0F : 79.0F);
    sensor.elevation.push_back(i <= 48 ? 5.3F * s + 9.4F * s * s : 8.7F * s - 15.9F * s * s);
  }
  sensor.columns = 1800;
  sensor.height = 2.0F;
  sensor.range_noise = 0.015F;
  sensor.sensitivity = 2.0F;
  return sensor;
}

PointCloud simulate(const SimulateOptions& options, const Progress& progress) {
  if (options.sweeps < 1 || options.sweeps > 10) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("--sweeps {}: 1 to 10", options.sweeps));
  }
  if (!(options.speed >= 0.0F && options.speed <= 40.0F)) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("--speed {}: 0 to 40 m/s", options.speed));
  }
  const SensorModel sensor = sensor_model(options.beams);
  const Scene scene = make_street(options.seed);
  PointCloud cloud;
  for (std::int32_t s = 0; s < options.sweeps; ++s) {
    Sweep sweep;
    sweep.age = sensor.period * static_cast<float>(s);
    sweep.seed = mix(options.seed * 1000003U + static_cast<std::uint64_t>(s));
    sweep.start = Random(sweep.seed).uniform(-3.1415927F, 3.1415927F);
    const Pose pose = pose_at(-sweep.age, options.speed);
    const RayGrid grid(scene, -sweep.age, {pose.x, pose.y, 0.0F}, sensor.max_range + 5.0F);
    for (std::int32_t column = 0; column < sensor.columns; ++column) {
      cast_column(sensor, options, scene, grid, sweep, column, cloud.values);
    }
    if (progress) progress(static_cast<double>(s + 1) / options.sweeps);
  }
  return cloud;
}

}  // namespace voxgemm::tools
