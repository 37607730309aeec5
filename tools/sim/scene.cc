#include "tools/sim/scene.h"

#include <algorithm>
#include <cmath>

#include "tools/sim/random.h"

namespace voxgemm::tools {
namespace {

constexpr float kReach = 115.0F;  // bodies stand within this distance along the street

bool on_cross_street(const Scene& scene, float x, float margin = 0.0F) {
  return std::abs(x - scene.cross_x) < scene.cross_half + margin;
}

bool on_road(const Scene& scene, float x, float y) {
  return (y > scene.road_right && y < scene.road_left) || on_cross_street(scene, x);
}

/// Adds bodies to a scene; positions are given relative to the ground below them.
class Builder {
 public:
  Builder(Scene& scene, std::uint64_t seed) : scene_(scene), random_(seed) {}

  void street();

 private:
  Body& box(float x, float y, float z, Vec3 half, float yaw, float reflectivity) {
    Body body;
    body.centre = {x, y, scene_.ground(x, y) + z};
    body.size = half;
    body.cos_yaw = std::cos(yaw);
    body.sin_yaw = std::sin(yaw);
    body.reflectivity = reflectivity;
    scene_.bodies.push_back(body);
    return scene_.bodies.back();
  }
  void cylinder(float x, float y, float z0, float z1, float radius, float reflectivity) {
    Body body;
    body.shape = Shape::kCylinder;
    body.centre = {x, y, scene_.ground(x, y) + 0.5F * (z0 + z1)};
    body.size = {radius, radius, 0.5F * (z1 - z0)};
    body.reflectivity = reflectivity;
    scene_.bodies.push_back(body);
  }
  void foliage(float x, float y, float z, float radius, float half_height, float density) {
    Body body;
    body.shape = Shape::kFoliage;
    body.centre = {x, y, scene_.ground(x, y) + z};
    body.size = {radius, radius, half_height};
    body.density = density;
    body.reflectivity = random_.uniform(0.2F, 0.5F);
    scene_.bodies.push_back(body);
  }
  void building(float x, float y_front, float width, float side);
  void car(float x, float y, float yaw, float speed);
  void van(float x, float y, float yaw, float speed);
  void tree(float x, float y);
  void pedestrian(float x, float y);
  void front_line(float side);
  void sidewalk_furniture(float side);
  void parked(float side);
  void traffic();

  Scene& scene_;
  Random random_;  // at most one draw an expression: the order of two is the compiler's choice
};

void Builder::building(float x, float y_front, float width, float side) {
  const float depth = random_.uniform(8.0F, 14.0F);
  const float height = random_.uniform(3.5F, 13.0F);
  const float shade = random_.uniform(0.15F, 0.5F);
  box(x, y_front + side * depth / 2, height / 2 - 1.0F, {width / 2, depth / 2, height / 2 + 1.0F}, 0.0F,
      shade);
  // Bays, porches and ledges break the flat front.
  for (float at = -width / 2 + 1.5F; at < width / 2 - 1.5F; at += random_.uniform(2.5F, 4.5F)) {
    const float out = random_.uniform(0.15F, 0.9F);
    const float top = random_.uniform(1.0F, height);
    const float bay_shade = random_.uniform(0.1F, 0.7F);
    const float half = random_.uniform(0.2F, 1.1F);
    Body& bay = box(x + at, y_front - side * out / 2, top / 2 - 0.5F, {half, out / 2, top / 2 + 0.5F}, 0.0F,
                    bay_shade);
    bay.shine = random_.chance(0.3F) ? 0.5F : 0.0F;
  }
}

void Builder::car(float x, float y, float yaw, float speed) {
  const float length = random_.uniform(1.9F, 2.4F);
  const float width = random_.uniform(0.82F, 0.95F);
  const float paint = random_.uniform(0.05F, 0.8F);
  const float dark = random_.uniform(0.0F, 0.25F);
  Body& body = box(x, y, 0.6F, {length, width, 0.38F}, yaw, paint);
  body.shine = dark;
  body.speed = speed;
  Body& cabin = box(x - 0.15F * std::cos(yaw), y - 0.15F * std::sin(yaw), 1.2F,
                    {0.55F * length, 0.88F * width, 0.3F}, yaw, 0.6F * paint);
  cabin.shine = 0.45F;  // glass
  cabin.speed = speed;
  for (const float end : {-0.62F, 0.62F}) {
    for (const float flank : {-0.85F, 0.85F}) {
      const float forward = end * length;
      const float left = flank * width;
      Body& wheel =
          box(x + forward * std::cos(yaw) - left * std::sin(yaw),
              y + forward * std::sin(yaw) + left * std::cos(yaw), 0.3F, {0.3F, 0.1F, 0.3F}, yaw, 0.08F);
      wheel.speed = speed;
    }
  }
}

void Builder::van(float x, float y, float yaw, float speed) {
  const float length = random_.uniform(2.6F, 5.5F);
  const float height = random_.uniform(1.0F, 1.6F);
  const float paint = random_.uniform(0.2F, 0.8F);
  const float width = random_.uniform(0.95F, 1.25F);
  Body& body = box(x, y, 0.45F + height, {length, width, height}, yaw, paint);
  body.shine = 0.05F;
  body.speed = speed;
}

void Builder::tree(float x, float y) {
  const float trunk = random_.uniform(1.8F, 3.5F);
  const float crown = random_.uniform(1.2F, 3.2F);
  cylinder(x, y, -0.3F, trunk + crown, random_.uniform(0.08F, 0.28F), 0.3F);
  const int lobes = 2 + static_cast<int>(random_.uniform() * 4.0F);
  for (int i = 0; i < lobes; ++i) {
    const float spread = 0.6F * crown;
    const float density = random_.uniform(0.25F, 0.9F);
    const float half_height = crown * random_.uniform(0.4F, 0.8F);
    const float radius = crown * random_.uniform(0.5F, 0.9F);
    const float z = trunk + random_.uniform(0.4F, 1.2F) * crown;
    const float beside = random_.uniform(-spread, spread);
    const float along = random_.uniform(-spread, spread);
    foliage(x + along, y + beside, z, radius, half_height, density);
  }
}

void Builder::pedestrian(float x, float y) {
  const float height = random_.uniform(1.5F, 1.9F);
  cylinder(x - 0.1F, y, 0.0F, 0.48F * height, 0.09F, 0.2F);
  cylinder(x + 0.1F, y, 0.0F, 0.48F * height, 0.09F, 0.2F);
  cylinder(x, y, 0.48F * height, 0.84F * height, 0.24F, random_.uniform(0.1F, 0.8F));
  cylinder(x, y, 0.87F * height, height, 0.11F, 0.45F);
}

void Builder::front_line(float side) {
  const float kerb = side > 0 ? scene_.road_left : -scene_.road_right;
  for (float x = -kReach; x < kReach;) {
    const float width = random_.uniform(9.0F, 24.0F);
    const float middle = x + width / 2;
    x += width + random_.uniform(0.5F, 7.0F);
    if (on_cross_street(scene_, middle, width / 2 + 2.0F)) continue;
    const float set_back = kerb + scene_.sidewalk + random_.uniform(1.0F, 14.0F);
    if (random_.chance(0.55F)) {
      building(middle, side * set_back, width, side);
      if (random_.chance(0.5F)) {  // a fence or low wall before it
        box(middle, side * (kerb + scene_.sidewalk + 0.3F), 0.5F,
            {width / 2, 0.08F, random_.uniform(0.4F, 0.8F)}, 0.0F, 0.35F);
      }
    } else {  // a garden: trees, bushes, a house behind
      for (float at = -width / 2; at < width / 2; at += random_.uniform(3.0F, 6.0F)) {
        tree(middle + at, side * (kerb + scene_.sidewalk + random_.uniform(1.0F, 16.0F)));
      }
      building(middle, side * (set_back + random_.uniform(14.0F, 26.0F)), width, side);
    }
    for (int i = 0; i < 5; ++i) {
      const float density = random_.uniform(2.0F, 6.0F);
      const float half_height = random_.uniform(0.4F, 1.0F);
      const float radius = random_.uniform(0.4F, 1.3F);
      const float y = side * random_.uniform(kerb + scene_.sidewalk + 0.6F, set_back + 1.0F);
      const float along = random_.uniform(-width / 2, width / 2);
      foliage(middle + along, y, 0.4F, radius, half_height, density);
    }
  }
}

void Builder::sidewalk_furniture(float side) {
  const float kerb = side > 0 ? scene_.road_left : -scene_.road_right;
  for (float x = -kReach; x < kReach; x += random_.uniform(7.0F, 16.0F)) {
    if (on_cross_street(scene_, x, 1.0F)) continue;
    const float y = side * (kerb + random_.uniform(0.5F, 0.9F));
    const float pick = random_.uniform();
    if (pick < 0.40F) {
      tree(x, y);
    } else if (pick < 0.60F) {  // lamp
      cylinder(x, y, 0.0F, 7.0F, 0.09F, 0.5F);
    } else if (pick < 0.75F) {  // traffic sign
      cylinder(x, y, 0.0F, 2.4F, 0.035F, 0.4F);
      box(x, y, 2.2F, {0.03F, 0.35F, 0.35F}, 0.0F, 1.0F);
    } else if (pick < 0.9F) {  // hydrant, box
      box(x, y, 0.5F, {0.25F, 0.25F, 0.5F}, random_.uniform(0.0F, 1.5F), 0.5F);
    }
  }
  for (int i = 0; i < 14; ++i) {
    const float y = side * (kerb + random_.uniform(0.6F, scene_.sidewalk - 0.4F));
    pedestrian(random_.uniform(-50.0F, 50.0F), y);
  }
}

void Builder::parked(float side) {
  const float y = side > 0 ? scene_.road_left - 1.05F : scene_.road_right + 1.05F;
  for (float x = -90.0F; x < 90.0F; x += random_.uniform(5.3F, 6.5F)) {
    if (on_cross_street(scene_, x, 6.0F) || random_.chance(0.45F)) continue;
    const float yaw = random_.uniform(-0.05F, 0.05F) + (side > 0 ? 3.14159265F : 0.0F);
    if (random_.chance(0.15F)) {
      van(x, y, yaw, 0.0F);
    } else {
      car(x, y, yaw, 0.0F);
    }
  }
}

void Builder::traffic() {
  const float oncoming = 3.6F;
  for (float x = -80.0F + random_.uniform(0.0F, 10.0F); x < 100.0F; x += random_.uniform(14.0F, 34.0F)) {
    if (random_.chance(0.25F)) {
      van(x, oncoming, 3.14159265F, random_.uniform(3.0F, 9.0F));
    } else {
      car(x, oncoming, 3.14159265F, random_.uniform(3.0F, 9.0F));
    }
  }
  for (const float x : {-14.0F, 11.0F, 27.0F, 63.0F}) {
    const float speed = random_.uniform(3.0F, 8.0F);
    car(x + random_.uniform(-2.0F, 2.0F), 0.0F, 0.0F, speed);
  }
  for (const float y : {-16.0F, 14.0F, 29.0F, -38.0F}) {
    car(scene_.cross_x + (y > 0 ? -2.0F : 2.0F), y, y > 0 ? -1.5708F : 1.5708F, 0.0F);
  }
}

void Builder::street() {
  for (int i = 0; i < 4; ++i) {
    scene_.wave[i] = random_.uniform(0.5F, 1.0F) * (i < 2 ? 0.25F : 0.05F);
    scene_.phase[i] = random_.uniform(0.0F, 6.2831853F);
  }
  scene_.slope_y = random_.uniform(-0.03F, 0.03F);
  scene_.cross_x = random_.uniform(24.0F, 48.0F);
  for (const float side : {1.0F, -1.0F}) {
    front_line(side);
    sidewalk_furniture(side);
    parked(side);
  }
  traffic();
}

}  // namespace

float Scene::ground(float x, float y) const {
  float z = wave[0] * std::sin(x * 0.035F + phase[0]) +
            wave[1] * std::sin(y * 0.045F + x * 0.01F + phase[1]) + wave[2] * std::sin(x * 0.21F + phase[2]) +
            wave[3] * std::sin(y * 0.27F + x * 0.09F + phase[3]);
  z -= 0.02F * std::abs(std::clamp(y, road_right, road_left) - 0.5F * (road_left + road_right));  // crown
  const float beside = y > road_left ? y - road_left : y < road_right ? road_right - y : 0.0F;
  if (beside > 0.0F && !on_cross_street(*this, x)) z += 0.14F;  // kerb
  return z + slope_y * (y > 0.0F ? beside : -beside);
}

float Scene::ground_reflectivity(float x, float y) const {
  if (on_road(*this, x, y)) {
    const bool dash = std::abs(y - 1.8F) < 0.07F && std::fmod(x + 300.0F, 6.0F) < 3.0F;
    const bool edge = std::abs(y + 1.8F) < 0.07F;
    const bool crossing =
        std::abs(std::abs(x - cross_x) - cross_half - 1.5F) < 1.0F && std::fmod(y + 300.0F, 1.0F) < 0.5F;
    return (dash || edge || crossing) && !on_cross_street(*this, x) ? 0.65F : 0.12F;
  }
  const bool paved = y < road_left + sidewalk && y > road_right - sidewalk;
  return paved ? 0.28F : 0.35F;
}

float Scene::ground_roughness(float x, float y) const {
  if (on_road(*this, x, y)) return 0.006F;
  const bool paved = y < road_left + sidewalk && y > road_right - sidewalk;
  return paved ? 0.01F : 0.05F;
}

Scene make_street(std::uint64_t seed) {
  Scene scene;
  Builder(scene, mix(seed)).street();
  return scene;
}

}  // namespace voxgemm::tools
