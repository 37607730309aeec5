// The world that the simulated LiDAR sees: a street with relief, and bodies of four shapes.
#pragma once

#include <cstdint>
#include <vector>

namespace voxgemm::tools {

struct Vec3 {
  float x = 0.0F;
  float y = 0.0F;
  float z = 0.0F;
  friend constexpr Vec3 operator+(Vec3 a, Vec3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
  friend constexpr Vec3 operator-(Vec3 a, Vec3 b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
  friend constexpr Vec3 operator*(float s, Vec3 v) { return {s * v.x, s * v.y, s * v.z}; }
};

enum class Shape : std::uint8_t {
  kBox,       ///< half extents `size`, turned by (cos_yaw, sin_yaw) about z
  kCylinder,  ///< upright, radius size.x, half height size.z
  kFoliage,   ///< ellipsoid with half axes (size.x, size.x, size.z) that a ray enters at `density` a metre
};

struct Body {
  Shape shape = Shape::kBox;
  Vec3 centre{};
  Vec3 size{};
  float cos_yaw = 1.0F;
  float sin_yaw = 0.0F;
  float density = 0.0F;       ///< kFoliage: expected hits per metre inside
  float reflectivity = 0.3F;  ///< 0..1
  float shine = 0.0F;         ///< probability that a beam is lost on it (glass, black paint)
  float speed = 0.0F;         ///< metres a second along its own x axis
};

/// Street along x (ego drives in +x, its lane centre at y = 0), z up, road surface near z = 0.
struct Scene {
  std::vector<Body> bodies;
  float road_left = 9.0F;  ///< y of the left kerb
  float road_right = -5.6F;
  float sidewalk = 3.0F;  ///< width
  float slope_y = 0.01F;  ///< terrain beside the street rises or falls away
  float wave[4]{};        ///< amplitudes (m) of the relief's four waves
  float phase[4]{};
  float cross_x = 40.0F;  ///< centre of a crossing street
  float cross_half = 7.5F;

  [[nodiscard]] float ground(float x, float y) const;
  /// Lane markings, asphalt, paving, grass.
  [[nodiscard]] float ground_reflectivity(float x, float y) const;
  /// Deviation (m) of the surface about ground(): asphalt is smooth, grass is not.
  [[nodiscard]] float ground_roughness(float x, float y) const;
};

/// A procedural scene: buildings, parked and moving cars, vans, trees, hedges, poles, signs, pedestrians.
Scene make_street(std::uint64_t seed);

}  // namespace voxgemm::tools
