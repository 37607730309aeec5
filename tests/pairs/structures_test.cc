// Proves: bitmaps, ranked words and sorted words give the same sites and maps for grids of 1 to 4 axes,
// batches, shapes far smaller or larger than a slab of the index, grids beyond any bitmap, and capacities
// that run out of sites or of words; on 1 to 7 threads.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "tests/pairs/brute_force.h"
#include "tests/pairs/pair_fixture.h"

namespace voxgemm {
namespace {

using test::Scene;
using namespace pair_tests;  // NOLINT: the plan and the workspace that these tests share

// More sites than the capacity where the words of all of them still fit, and where they do not.
TEST(PairStructures, OverflowOfWordsAndOfSites) {
  const Scene scene = lidar(300, 23);
  for (std::int32_t capacity : {1, 7, 400, 900}) {
    PairPlan plan = make_plan(scene.n());
    for (std::size_t l = 1; l < plan.levels.size(); ++l) plan.levels[l].capacity = capacity;
    for (MapPlan& map : plan.maps) {
      if (map.out_level != map.in_level) map.options.out_capacity = capacity;
    }
    Fixture truth(plan, kBitmaps, 1);
    const Status want_status = truth.run(scene);
    EXPECT_EQ(want_status.code, ErrorCode::kCapacity);
    const auto want = snapshot(truth);
    for (const IndexLimits& limits : kStructures) {
      for (std::int32_t threads : {1, 4}) {
        Fixture f(plan, limits, threads);
        for (int again = 0; again < 2; ++again) {
          const Status status = f.run(scene);
          EXPECT_EQ(status.code, want_status.code);
          EXPECT_EQ(status.step, want_status.step);
          EXPECT_EQ(status.value, want_status.value);
          ASSERT_EQ(snapshot(f), want) << capacity << ", " << f.backend->describe_level(0);
        }
      }
    }
  }
}

// Grids of one to four axes, batches, and shapes whose lines, planes and items are far smaller or larger than
// a slab of the index.
TEST(PairStructures, ShapesGiveTheSameBytesInAllStructures) {
  struct Case {
    Dims shape;
    std::int32_t batch;
    Dims kernel, stride, dilation;
  };
  const Case cases[] = {{{200000}, 3, {3}, {2}, {1}},
                        {{100}, 900, {5}, {3}, {2}},
                        {{900, 700}, 2, {3, 3}, {2, 2}, {1, 1}},
                        {{3, 100000}, 2, {3, 5}, {1, 4}, {1, 30}},
                        {{7, 3, 4}, 500, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}},
                        {{40, 500, 900}, 1, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}},
                        {{500, 600, 9}, 2, {3, 1, 3}, {2, 1, 2}, {1, 1, 2}},
                        {{60, 50, 4, 5}, 3, {3, 3, 1, 2}, {2, 2, 1, 2}, {1, 1, 1, 1}},
                        {{3, 9, 130, 150}, 2, {1, 3, 3, 3}, {1, 2, 2, 2}, {1, 1, 1, 1}}};
  std::uint64_t seed = 100;
  for (const Case& c : cases) {
    const Scene scene = test::random_scene(c.shape, c.batch,
                                           500.0 / static_cast<double>(c.batch * c.shape.product()), ++seed);
    SCOPED_TRACE(to_string(c.shape));
    PairPlan plan;
    const std::int32_t capacity = scene.n() * 220;
    plan.levels.push_back({c.shape, c.batch, scene.n(), -1});
    ConvGeometry down{
        .kind = ConvKind::kRegular, .kernel_size = c.kernel, .stride = c.stride, .dilation = c.dilation};
    down.padding = Dims::filled(c.shape.ndim, 1);
    down = down.normalized(c.shape.ndim);
    const ConvGeometry up =
        ConvGeometry{.kind = ConvKind::kTransposed, .kernel_size = c.kernel, .stride = c.stride}.normalized(
            c.shape.ndim);
    plan.levels.push_back({down.out_shape(c.shape), c.batch, capacity, 0});
    plan.levels.push_back({up.out_shape(plan.levels[1].shape), c.batch, capacity, 1});
    const PairOptions options{.forms = kPairTable | kTilePairs, .out_capacity = capacity};
    plan.maps = {{down, 0, 1, options}, {up, 1, 2, options}};
    std::vector<std::vector<std::int32_t>> want;
    for (const IndexLimits& limits : kStructures) {
      for (std::int32_t threads : {1, 3}) {
        Fixture f(plan, limits, threads);
        ASSERT_TRUE(f.run(scene).ok());
        std::vector<std::vector<std::int32_t>> got;
        for (std::int32_t m : {0, 1}) {
          const IndicePairsView v = f.backend->map_view(m, f.workspace());
          got.emplace_back(v.out_indices, v.out_indices + std::int64_t{v.num_out} * (1 + c.shape.ndim));
          for (std::int32_t k = 0; k < v.kv; ++k)
            got.emplace_back(v.pair_fwd + k * v.pair_stride, v.pair_fwd + k * v.pair_stride + v.num_out);
          got.emplace_back(v.tiles.in_rows, v.tiles.in_rows + f.backend->num_pairs(m, f.workspace()));
        }
        if (want.empty()) {
          want = got;
          if (c.batch * c.shape.product() < 100000) {  // the truth looks at every cell
            test::expect_map(f.backend->map_view(0, f.workspace()), test::brute_force(scene, down),
                             f.backend->num_pairs(0, f.workspace()));
          }
        }
        ASSERT_EQ(got, want) << threads << " threads, " << f.backend->describe_level(0);
      }
    }
  }
}

// A grid that no bitmap holds, sites near all its corners and in clusters.
TEST(PairStructures, ScatteredSitesOfALargeGrid) {
  const Dims shape{60, 12000, 9000};
  Scene scene = test::random_scene({20, 30, 40}, 2, 0.01, 31);
  scene.shape = shape;
  for (std::int32_t i = 0; i < scene.n(); ++i) {  // eight clusters, one at each corner
    std::int32_t* site = scene.indices.data() + 4 * i;
    for (std::int32_t a = 0; a < 3; ++a) {
      if ((i >> a) % 2 != 0) site[1 + a] += shape[a] - Dims{20, 30, 40}[a];
    }
  }
  PairPlan plan = make_plan(scene.n());
  const auto resize = [&](std::size_t l) {
    const MapPlan& map = plan.maps[static_cast<std::size_t>(plan.levels[l].made_by)];
    plan.levels[l].shape = map.geometry.out_shape(plan.levels[static_cast<std::size_t>(map.in_level)].shape);
    plan.levels[l].capacity *= 80;
  };
  plan.levels[0].shape = shape;
  for (std::size_t l = 1; l < plan.levels.size(); ++l) resize(l);
  for (MapPlan& map : plan.maps)
    map.options.out_capacity = plan.levels[static_cast<std::size_t>(map.out_level)].capacity;
  Fixture sorted(plan, kSortedWords, 1);
  ASSERT_TRUE(sorted.run(scene).ok());
  const auto want = snapshot(sorted);
  for (std::int32_t threads : {1, 2, 7}) {
    Fixture f(plan, IndexLimits{}, threads);
    EXPECT_NE(f.backend->describe_level(0).find("ranked words"), std::string::npos)
        << f.backend->describe_level(0);
    ASSERT_TRUE(f.run(scene).ok());
    ASSERT_EQ(snapshot(f), want) << threads;
  }
}

}  // namespace
}  // namespace voxgemm
