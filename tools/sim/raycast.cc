#include "tools/sim/raycast.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

namespace voxgemm::tools {
namespace {

constexpr float kCell = 2.0F;  // metres
constexpr float kFar = std::numeric_limits<float>::max();

/// Range and cosine of the nearest face of a box; range kFar when missed.
std::pair<float, float> hit_box(const Ray& ray, const Body& body) {
  const Vec3 d = ray.origin - body.centre;
  const Vec3 o{d.x * body.cos_yaw + d.y * body.sin_yaw, d.y * body.cos_yaw - d.x * body.sin_yaw, d.z};
  const Vec3& r = ray.direction;
  const Vec3 v{r.x * body.cos_yaw + r.y * body.sin_yaw, r.y * body.cos_yaw - r.x * body.sin_yaw, r.z};
  float near = -kFar;
  float far = kFar;
  float cosine = 0.0F;
  for (const auto& [start, step, half] :
       {std::array{o.x, v.x, body.size.x}, std::array{o.y, v.y, body.size.y},
        std::array{o.z, v.z, body.size.z}}) {
    if (std::abs(step) < 1e-9F) {
      if (std::abs(start) > half) return {kFar, 0.0F};
      continue;
    }
    const float a = (-half - start) / step;
    const float b = (half - start) / step;
    if (std::min(a, b) > near) {
      near = std::min(a, b);
      cosine = std::abs(step);
    }
    far = std::min(far, std::max(a, b));
  }
  if (near > far || near <= 0.0F) return {kFar, 0.0F};
  return {near, cosine};
}

std::pair<float, float> hit_cylinder(const Ray& ray, const Body& body) {
  const Vec3 o = ray.origin - body.centre;
  const Vec3& v = ray.direction;
  const float a = v.x * v.x + v.y * v.y;
  const float b = o.x * v.x + o.y * v.y;
  const float c = o.x * o.x + o.y * o.y - body.size.x * body.size.x;
  const float root = b * b - a * c;
  if (a < 1e-9F || root < 0.0F) return {kFar, 0.0F};
  const float t = (-b - std::sqrt(root)) / a;
  if (t <= 0.0F || std::abs(o.z + t * v.z) > body.size.z) return {kFar, 0.0F};
  return {t, std::sqrt(root) / body.size.x};
}

/// Where an ellipsoid of leaves stops the beam: exponential in the length travelled inside.
float hit_foliage(const Ray& ray, const Body& body, Random& random) {
  const Vec3 scale{1.0F / body.size.x, 1.0F / body.size.y, 1.0F / body.size.z};
  const Vec3 d = ray.origin - body.centre;
  const Vec3 o{d.x * scale.x, d.y * scale.y, d.z * scale.z};
  const Vec3 v{ray.direction.x * scale.x, ray.direction.y * scale.y, ray.direction.z * scale.z};
  const float a = v.x * v.x + v.y * v.y + v.z * v.z;
  const float b = o.x * v.x + o.y * v.y + o.z * v.z;
  const float c = o.x * o.x + o.y * o.y + o.z * o.z - 1.0F;
  const float root = b * b - a * c;
  if (root <= 0.0F) return kFar;
  const float enter = (-b - std::sqrt(root)) / a;
  const float leave = (-b + std::sqrt(root)) / a;
  const float depth = -std::log(1.0F - random.uniform()) / body.density;
  const float t = std::max(enter, 0.0F) + depth;
  return enter > 0.0F && t < leave ? t : kFar;
}

}  // namespace

RayGrid::RayGrid(const Scene& scene, float time, Vec3 centre, float reach)
    : scene_(scene), bodies_(scene.bodies), min_x_(centre.x - reach), min_y_(centre.y - reach) {
  cells_ = static_cast<std::int32_t>(std::ceil(2.0F * reach / kCell));
  lists_.resize(static_cast<std::size_t>(cells_) * static_cast<std::size_t>(cells_));
  for (std::uint32_t b = 0; b < bodies_.size(); ++b) {
    Body& body = bodies_[b];
    body.centre.x += time * body.speed * body.cos_yaw;
    body.centre.y += time * body.speed * body.sin_yaw;
    insert(b);
  }
}

void RayGrid::insert(std::uint32_t index) {
  const Body& body = bodies_[index];
  float half_x = body.size.x;
  float half_y = body.size.y;
  if (body.shape == Shape::kBox) {
    half_x = std::abs(body.cos_yaw) * body.size.x + std::abs(body.sin_yaw) * body.size.y;
    half_y = std::abs(body.sin_yaw) * body.size.x + std::abs(body.cos_yaw) * body.size.y;
  }
  const auto cell = [&](float v, float low) {
    return std::clamp(static_cast<std::int32_t>(std::floor((v - low) / kCell)), -1, cells_);
  };
  const std::int32_t x1 = std::min(cell(body.centre.x + half_x, min_x_), cells_ - 1);
  const std::int32_t y1 = std::min(cell(body.centre.y + half_y, min_y_), cells_ - 1);
  for (std::int32_t y = std::max(cell(body.centre.y - half_y, min_y_), 0); y <= y1; ++y) {
    for (std::int32_t x = std::max(cell(body.centre.x - half_x, min_x_), 0); x <= x1; ++x) {
      lists_[static_cast<std::size_t>(y) * static_cast<std::size_t>(cells_) + static_cast<std::size_t>(x)]
          .push_back(index);
    }
  }
}

Hit RayGrid::ground_hit(const Ray& ray, float near, float far) const {
  for (int i = 0; i < 12; ++i) {  // bisection to well below the sensor's noise
    const float middle = 0.5F * (near + far);
    const Vec3 p = ray.origin + middle * ray.direction;
    (p.z > scene_.ground(p.x, p.y) ? near : far) = middle;
  }
  const Vec3 p = ray.origin + far * ray.direction;
  Hit hit;
  hit.range = far;
  hit.cos_incidence = std::max(0.005F, -ray.direction.z);
  hit.reflectivity = scene_.ground_reflectivity(p.x, p.y);
  hit.roughness = scene_.ground_roughness(p.x, p.y);
  return hit;
}

Hit RayGrid::cast(const Ray& ray, float max_range, Random& random) const {
  const float flat = std::max(1e-6F, std::hypot(ray.direction.x, ray.direction.y));
  const std::uint64_t leaf_seed = random.next();  // a crown answers the same in every cell that it touches
  // Walk from cell to cell; a body is looked at in each cell that it touches, which is cheap and correct as
  // long as a hit counts only once the ray has reached it.
  auto x = static_cast<std::int32_t>(std::floor((ray.origin.x - min_x_) / kCell));
  auto y = static_cast<std::int32_t>(std::floor((ray.origin.y - min_y_) / kCell));
  const std::int32_t step_x = ray.direction.x > 0 ? 1 : -1;
  const std::int32_t step_y = ray.direction.y > 0 ? 1 : -1;
  const float delta_x = std::abs(ray.direction.x) > 1e-9F ? kCell / std::abs(ray.direction.x) : kFar;
  const float delta_y = std::abs(ray.direction.y) > 1e-9F ? kCell / std::abs(ray.direction.y) : kFar;
  const auto first = [&](float origin, float low, std::int32_t cell, std::int32_t step, float direction) {
    if (std::abs(direction) <= 1e-9F) return kFar;
    const float edge = low + kCell * static_cast<float>(cell + (step > 0 ? 1 : 0));
    return (edge - origin) / direction;
  };
  float next_x = first(ray.origin.x, min_x_, x, step_x, ray.direction.x);
  float next_y = first(ray.origin.y, min_y_, y, step_y, ray.direction.y);
  float near = 0.0F;
  Hit best;
  best.range = kFar;
  while (x >= 0 && y >= 0 && x < cells_ && y < cells_ && near < max_range && near * flat < max_range) {
    const float far = std::min({next_x, next_y, max_range});
    for (std::uint32_t index : lists_[static_cast<std::size_t>(y) * static_cast<std::size_t>(cells_) +
                                      static_cast<std::size_t>(x)]) {
      const Body& body = bodies_[index];
      std::pair<float, float> found{kFar, 0.7F};
      if (body.shape == Shape::kBox) found = hit_box(ray, body);
      if (body.shape == Shape::kCylinder) found = hit_cylinder(ray, body);
      if (body.shape == Shape::kFoliage) {
        Random leaves(mix(leaf_seed ^ index));
        found.first = hit_foliage(ray, body, leaves);
      }
      if (found.first < best.range) {
        best = {found.first, found.second, body.reflectivity, 0.0F, body.shine};
      }
    }
    const Vec3 end = ray.origin + std::min(far, best.range) * ray.direction;
    if (end.z < scene_.ground(end.x, end.y)) {
      const Hit ground = ground_hit(ray, near, std::min(far, best.range));
      if (ground.range < best.range) return ground;
    }
    if (best.range <= far) return best;
    near = far;
    if (next_x < next_y) {
      x += step_x;
      next_x += delta_x;
    } else {
      y += step_y;
      next_y += delta_y;
    }
  }
  return {};
}

}  // namespace voxgemm::tools
