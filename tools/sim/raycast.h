// Ray casting against a Scene through a uniform 2-D grid.
#pragma once

#include <cstdint>
#include <vector>

#include "tools/sim/random.h"
#include "tools/sim/scene.h"

namespace voxgemm::tools {

struct Ray {
  Vec3 origin{};
  Vec3 direction{};  ///< unit length
};

struct Hit {
  float range = 0.0F;  ///< metres; 0 = nothing hit
  float cos_incidence = 1.0F;
  float reflectivity = 0.0F;
  float roughness = 0.0F;  ///< metres of extra range deviation
  float shine = 0.0F;
};

/// Bodies of a scene at one instant, sorted into square cells around a centre. Holds a reference to the
/// scene.
class RayGrid {
 public:
  RayGrid(const Scene& scene, float time, Vec3 centre, float reach);
  /// First surface within max_range. `random` decides where foliage stops the beam.
  [[nodiscard]] Hit cast(const Ray& ray, float max_range, Random& random) const;

 private:
  void insert(std::uint32_t body);
  [[nodiscard]] Hit ground_hit(const Ray& ray, float near, float far) const;

  const Scene& scene_;
  std::vector<Body> bodies_;
  float min_x_ = 0.0F;
  float min_y_ = 0.0F;
  std::int32_t cells_ = 0;  // along each side
  std::vector<std::vector<std::uint32_t>> lists_;
};

}  // namespace voxgemm::tools
