// Proves: the simulator is reproducible, its geometry is exact where it can be computed by hand, and its
// sweeps have the density of real ones. Voxel and pair statistics are compared in street_statistics_test.cc.
#include "tools/sim/simulator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tests/tools/temporary_folder.h"
#include "tools/sim/raycast.h"
#include "voxgemm/error.h"

namespace voxgemm::tools {
namespace {

using ::testing::HasSubstr;

Scene flat_scene() {
  Scene scene;
  scene.slope_y = 0.0F;
  scene.road_left = 1000.0F;  // one endless road
  scene.road_right = -1000.0F;
  return scene;
}

/// Highest point of a scene's ground under the sensor is not zero because of the road's crown.
float level(const Scene& scene, float x, float y) { return scene.ground(x, y); }

TEST(RayGrid, HitsGroundAndBodiesWhereTheyAre) {
  Scene scene = flat_scene();
  Body box;
  box.centre = {20.0F, 0.0F, 2.0F};
  box.size = {1.0F, 3.0F, 1.0F};
  scene.bodies.push_back(box);
  Body pole;
  pole.shape = Shape::kCylinder;
  pole.centre = {0.0F, 10.0F, 1.0F};
  pole.size = {0.5F, 0.5F, 5.0F};
  scene.bodies.push_back(pole);
  const RayGrid grid(scene, 0.0F, {}, 60.0F);
  Random random(1);
  const Vec3 eye{0.0F, 0.0F, 2.0F};
  EXPECT_NEAR(grid.cast({eye, {1, 0, 0}}, 50, random).range, 19.0F, 1e-3F);
  EXPECT_NEAR(grid.cast({eye, {0, 1, 0}}, 50, random).range, 9.5F, 1e-3F);
  EXPECT_EQ(grid.cast({eye, {0, -1, 0}}, 50, random).range, 0.0F);
  const float drop = 2.0F - level(scene, -2.0F, 0.0F);
  EXPECT_NEAR(grid.cast({eye, {-0.70710678F, 0, -0.70710678F}}, 50, random).range, drop * 1.4142135F, 0.05F);
  EXPECT_EQ(grid.cast({eye, {1, 0, 0}}, 15, random).range, 0.0F) << "beyond max_range";
}

TEST(RayGrid, NearerBodiesHideFartherOnes) {
  Scene scene = flat_scene();
  for (const float x : {30.0F, 12.0F, 21.0F}) {
    Body box;
    box.centre = {x, 0.0F, 2.0F};
    box.size = {0.5F, 5.0F, 2.0F};
    box.reflectivity = x / 100.0F;
    scene.bodies.push_back(box);
  }
  const RayGrid grid(scene, 0.0F, {}, 60.0F);
  Random random(1);
  const Hit hit = grid.cast({{0.0F, 0.3F, 2.0F}, {1, 0, 0}}, 50, random);
  EXPECT_NEAR(hit.range, 11.5F, 1e-3F);
  EXPECT_FLOAT_EQ(hit.reflectivity, 0.12F);
}

TEST(RayGrid, BodiesMoveWithTime) {
  Scene scene = flat_scene();
  Body box;
  box.centre = {20.0F, 0.0F, 2.0F};
  box.size = {1.0F, 3.0F, 1.0F};
  box.speed = 10.0F;
  scene.bodies.push_back(box);
  const RayGrid grid(scene, -0.5F, {}, 60.0F);
  Random random(1);
  EXPECT_NEAR(grid.cast({{0, 0, 2}, {1, 0, 0}}, 50, random).range, 14.0F, 1e-3F);
}

TEST(Simulator, SameSeedGivesTheSamePoints) {
  const SimulateOptions options{.beams = 32, .sweeps = 2, .seed = 11};
  const PointCloud a = simulate(options);
  EXPECT_EQ(a.values, simulate(options).values);
  EXPECT_NE(a.values, simulate({.beams = 32, .sweeps = 2, .seed = 12}).values);
}

// Numbers from GCC on x86: a compiler that draws the arguments of a call in another order would move the
// trees. Rounding differs with the sines of the C library at most.
TEST(Scene, EveryCompilerBuildsTheSameStreet) {
  const Scene scene = make_street(11);
  double centres = 0.0;
  double sizes = 0.0;
  double others = 0.0;
  for (const Body& body : scene.bodies) {
    centres += std::abs(body.centre.x) + 2.0 * std::abs(body.centre.y) + 3.0 * body.centre.z;
    sizes += body.size.x + 2.0 * body.size.y + 3.0 * body.size.z;
    others += body.density + 2.0 * body.reflectivity + 3.0 * body.shine + 4.0 * body.speed;
  }
  EXPECT_EQ(scene.bodies.size(), 859U);
  EXPECT_NEAR(centres, 70562.172, 0.05);
  EXPECT_NEAR(sizes, 4851.577, 0.05);
  EXPECT_NEAR(others, 2564.891, 0.05);
  Random random(11);
  EXPECT_FLOAT_EQ(random.normal(), 0.139793709F);
  EXPECT_FLOAT_EQ(random.normal(), -0.927704036F);
}

TEST(Simulator, EverySensorGivesPlausibleSweeps) {
  for (const std::int32_t beams : {32, 64, 128}) {
    const SensorModel sensor = sensor_model(beams);
    ASSERT_EQ(static_cast<std::int32_t>(sensor.elevation.size()), beams);
    EXPECT_TRUE(std::is_sorted(sensor.elevation.rbegin(), sensor.elevation.rend())) << beams;
    const PointCloud cloud = simulate({.beams = beams, .sweeps = 1, .seed = 3});
    const auto rays = static_cast<std::int64_t>(beams) * sensor.columns;
    EXPECT_GT(cloud.num_points(), rays / 2) << beams;
    EXPECT_LT(cloud.num_points(), rays) << beams;
    for (std::size_t i = 0; i < cloud.values.size(); i += 5) {
      const float range = std::hypot(cloud.values[i], cloud.values[i + 1], cloud.values[i + 2]);
      ASSERT_TRUE(std::isfinite(range));
      ASSERT_LT(range, sensor.max_range + 1.0F);
      ASSERT_GT(cloud.values[i + 2], -12.0F);
      ASSERT_GE(cloud.values[i + 3], 0.0F);
      ASSERT_LE(cloud.values[i + 3], sensor.intensity_scale);
    }
  }
}

TEST(Simulator, SweepsCarryTheirAge) {
  const PointCloud cloud = simulate({.beams = 32, .sweeps = 4, .seed = 5});
  std::set<float> ages;
  for (std::size_t i = 4; i < cloud.values.size(); i += 5) ages.insert(cloud.values[i]);
  ASSERT_EQ(ages.size(), 4U);
  EXPECT_FLOAT_EQ(*ages.begin(), 0.0F);
  EXPECT_NEAR(*ages.rbegin(), 0.15F, 1e-5F);
}

TEST(Simulator, WrongOptionsNameTheirBounds) {
  EXPECT_THAT(test::error_of([] { simulate({.beams = 16}); }), HasSubstr("--beams 16: 32, 64 or 128"));
  EXPECT_THAT(test::error_of([] { simulate({.sweeps = 11}); }), HasSubstr("--sweeps 11: 1 to 10"));
  EXPECT_THAT(test::error_of([] { simulate({.speed = -1.0F}); }), HasSubstr("--speed -1"));
}

}  // namespace
}  // namespace voxgemm::tools
