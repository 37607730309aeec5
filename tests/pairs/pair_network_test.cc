// Proves: a cascade of levels equals the maps built one by one; all structures give the same bytes; so do 1,
// 2, 5 and 16 threads; rows put in key order give the maps of a sorted input; the workspace is zero again
// after a run, also after bad input; runs with growing and shrinking counts do not disturb each other;
// capacity overflow is reported and the rest of the network stays right.
#include "pairs/pair_network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <memory>
#include <string>

#include "kernels/coord_index/coord_index.h"
#include "kernels/pair_blocks/pair_blocks.h"
#include "kernels/pairs/pairs.h"
#include "pairs/cpu/backend.h"
#include "tests/pairs/brute_force.h"
#include "tests/pairs/pair_fixture.h"
#include "tests/support/scenes.h"

namespace voxgemm {
namespace {

using test::Scene;
using namespace pair_tests;  // NOLINT: the plan and the workspace that these tests share

TEST(PairNetwork, CascadeEqualsMapsOneByOne) {
  Fixture f(make_plan(), kBitmaps, 1);
  const Scene scene = lidar(1500, 1);  // more than one window of blocks
  ASSERT_TRUE(f.run(scene).ok());
  for (std::size_t m = 0; m < f.plan.maps.size(); ++m) {
    const MapPlan& map = f.plan.maps[m];
    const LevelView in = f.backend->level_view(map.in_level, f.workspace());
    const IndicePairsView got = f.backend->map_view(static_cast<std::int32_t>(m), f.workspace());
    Scene level{"level", f.plan.levels[static_cast<std::size_t>(map.in_level)].shape, 2,
                std::vector<std::int32_t>(in.indices, in.indices + in.n * 4)};
    const IndicePairs want = build_indice_pairs(f.context, level.view(), map.geometry);
    ASSERT_EQ(got.num_out, want.num_out());
    EXPECT_EQ(f.backend->num_pairs(static_cast<std::int32_t>(m), f.workspace()), want.num_pairs());
    test::expect_blocks(got);
    for (std::int32_t k = 0; k < got.kv; ++k) {
      for (std::int32_t i = 0; i < got.num_out; ++i) {
        ASSERT_EQ(got.pair_fwd[k * got.pair_stride + i],
                  want.view().pair_fwd[k * want.view().pair_stride + i]);
      }
    }
  }
}

TEST(PairNetwork, CascadeEqualsBruteForce) {
  Fixture f(make_plan(), kBitmaps, 1);
  Scene scene = lidar(60, 2);
  ASSERT_TRUE(f.run(scene).ok());
  for (std::int32_t m : {0, 1}) {
    test::expect_map(f.backend->map_view(m, f.workspace()),
                     test::brute_force(scene, f.plan.maps[static_cast<std::size_t>(m)].geometry),
                     f.backend->num_pairs(m, f.workspace()));
  }
}

TEST(PairNetwork, StructuresAndThreadsGiveTheSameBytes) {
  for (const Scene& scene :
       {lidar(1200, 3), test::canonical(lidar(1200, 4)), test::random_scene(kShape, 2, 0.02, 5),
        test::empty_scene(kShape), test::single_scene(kShape)}) {
    SCOPED_TRACE(scene.name);
    Fixture truth(make_plan(), kBitmaps, 1);
    ASSERT_TRUE(truth.run(scene).ok());
    const auto want = snapshot(truth);
    for (const IndexLimits& limits : kStructures) {
      for (std::int32_t threads : {1, 2, 5, 16}) {
        Fixture f(make_plan(), limits, threads);
        ASSERT_TRUE(f.run(scene).ok());
        ASSERT_EQ(snapshot(f), want) << threads << " threads, " << f.backend->describe_level(0);
      }
    }
  }
}

// Names of the rows that this machine runs.
std::vector<std::string> rows() {
  Context context({.threads = 1});
  std::vector<std::string> names;
  for (const PairsKernel& row : pairs_kernels()) {
    if (context.supports(row.isa)) names.emplace_back(row.name);
  }
  for (const CoordIndexKernel& row : coord_index_kernels()) {
    if (context.supports(row.isa)) names.emplace_back(row.name);
  }
  for (const PairBlocksKernel& row : pair_blocks_kernels()) {
    if (context.supports(row.isa)) names.emplace_back(row.name);
  }
  return names;
}

TEST(PairNetwork, RowsGiveTheSameBytes) {
  for (const Scene& scene : {lidar(1200, 6), test::canonical(lidar(1200, 7))}) {
    Fixture truth(make_plan(), kBitmaps, 1, "scalar");
    ASSERT_TRUE(truth.run(scene).ok());
    const auto want = snapshot(truth);
    for (const std::string& row : rows()) {
      for (const IndexLimits& limits : kStructures) {
        for (std::int32_t threads : {1, 2}) {
          Fixture f(make_plan(), limits, threads, row);
          ASSERT_TRUE(f.run(scene).ok());
          ASSERT_EQ(snapshot(f), want) << row << ", " << f.backend->describe_level(0);
        }
      }
    }
  }
}

TEST(PairNetwork, RowsByKeyAreThoseOfASortedInput) {
  constexpr std::int32_t kSmall = 12000;
  PairPlan by_key = make_plan(kSmall);
  by_key.levels[0].rows = InputRows::kByKey;
  for (const Scene& scene : {lidar(400, 21), test::random_scene(kShape, 2, 0.004, 22)}) {
    const Scene sorted = test::canonical(scene);
    Fixture truth(make_plan(kSmall), kBitmaps, 1, "scalar");
    ASSERT_TRUE(truth.run(sorted).ok());
    const auto want = snapshot(truth);
    for (const std::string& row : rows()) {
      for (const IndexLimits& limits : kStructures) {
        for (std::int32_t threads : {1, 3}) {
          Fixture f(by_key, limits, threads, row);
          ASSERT_TRUE(f.run(scene).ok());
          ASSERT_EQ(snapshot(f), want) << row << ", " << f.backend->describe_level(0);
          const LevelView level = f.backend->level_view(0, f.workspace());
          ASSERT_NE(level.places, nullptr);
          for (std::int32_t i = 0; i < scene.n(); ++i) {
            ASSERT_EQ(std::memcmp(level.indices + 4 * level.places[i], scene.indices.data() + 4 * i, 16), 0);
          }
          ASSERT_TRUE(f.run(sorted).ok());
          ASSERT_EQ(snapshot(f), want) << row << ", sorted, " << f.backend->describe_level(0);
          EXPECT_EQ(f.backend->level_view(0, f.workspace()).places, nullptr);
        }
      }
    }
  }
}

// Rubbish around and in the unused part of the workspace is never read, and bits of a bitmap are zero after a
// run.
TEST(PairNetwork, WorkspaceIsZeroAgain) {
  Fixture f(make_plan(), kBitmaps, 1);
  const std::vector<std::byte> before = f.bytes;
  Scene bad = lidar(700, 8);
  bad.indices[4 * 300] = 7;
  EXPECT_EQ(f.run(bad).code, ErrorCode::kOutOfRange);
  ASSERT_TRUE(f.run(lidar(700, 9)).ok());
  // What prepare() zeroed (and did not write otherwise) is zero; a second prepare() would change nothing of
  // it.
  const std::vector<std::byte> after = f.bytes;
  ASSERT_TRUE(f.backend->prepare(f.context, f.stamp(), f.workspace()).ok());
  std::size_t zeroed = 0;
  std::size_t dirty = 0;
  for (std::size_t i = 0; i < after.size(); ++i) {
    if (before[i] != std::byte{0} || f.bytes[i] != std::byte{0}) continue;
    ++zeroed;
    if (after[i] != std::byte{0}) ++dirty;
  }
  EXPECT_GT(zeroed, 10000U);  // the bitmaps
  // Only the levels' counters, a few words each, may differ.
  EXPECT_LT(dirty, 64 * f.plan.levels.size());
}

TEST(PairNetwork, RunsDoNotDisturbEachOther) {
  for (const IndexLimits& limits : kStructures) {
    Fixture f(make_plan(), limits, 2);
    std::uint64_t seed = 10;
    for (std::int32_t voxels : {50, 1500, 0, 1, 700, 1500, 3}) {
      Scene scene = voxels == 0 ? test::empty_scene(kShape) : lidar(voxels, ++seed);
      ASSERT_TRUE(f.run(scene).ok());
      Fixture fresh(make_plan(), limits, 1);
      ASSERT_TRUE(fresh.run(scene).ok());
      ASSERT_EQ(snapshot(f), snapshot(fresh)) << voxels;
    }
  }
}

TEST(PairNetwork, BadInputIsNamedAndLeavesTheWorkspaceClean) {
  for (const IndexLimits& limits : kStructures) {
    Fixture f(make_plan(), limits, 1);
    const Scene good = lidar(800, 20);
    ASSERT_TRUE(f.run(good).ok());
    const auto want = snapshot(f);
    for (bool sorted : {false, true}) {
      const Scene base = sorted ? test::canonical(good) : good;
      Scene duplicate = base;
      std::copy_n(duplicate.indices.begin() + 4 * 100, 4, duplicate.indices.begin() + 4 * 200);
      std::copy_n(duplicate.indices.begin() + 4 * 90, 4, duplicate.indices.begin() + 4 * 300);
      Status status = f.run(duplicate);
      EXPECT_EQ(status.code, ErrorCode::kDuplicate);
      EXPECT_EQ(status.value, 200);
      EXPECT_EQ(f.backend->map_view(0, f.workspace()).num_out, 0);
      Scene outside = base;
      outside.indices[4 * 150 + 3] = kShape[2];
      outside.indices[4 * 350 + 1] = -1;
      status = f.run(outside);
      EXPECT_EQ(status.code, ErrorCode::kOutOfRange);
      EXPECT_EQ(status.value, 150);
      // both: the earlier row is named
      outside = duplicate;
      outside.indices[4 * 250 + 1] = kShape[0];
      EXPECT_EQ(f.run(outside).code, ErrorCode::kDuplicate);
      outside.indices[4 * 50 + 1] = kShape[0];
      status = f.run(outside);
      EXPECT_EQ(status.code, ErrorCode::kOutOfRange);
      EXPECT_EQ(status.value, 50);
    }
    ASSERT_TRUE(f.run(good).ok());
    EXPECT_EQ(snapshot(f), want);
  }
}

TEST(PairNetwork, TooManyRowsAreRefused) {
  Fixture f(make_plan(100), kBitmaps, 1);
  const Scene scene = lidar(400, 21);
  const Status status = f.run(scene);
  EXPECT_EQ(status.code, ErrorCode::kCapacity);
  EXPECT_EQ(status.value, scene.n());
  EXPECT_EQ(status.limit, 100);
  EXPECT_EQ(f.backend->level_view(0, f.workspace()).n, 0);
}

TEST(PairNetwork, OverflowKeepsTheSmallestKeysInAllStructures) {
  const Scene scene = lidar(40, 22);
  PairPlan plan = make_plan(scene.n());
  plan.levels[1].capacity = 100;
  plan.maps[1].options.out_capacity = 100;
  std::vector<std::int64_t> want;
  for (const IndexLimits& limits : kStructures) {
    Fixture f(plan, limits, 1);
    const Status status = f.run(scene);
    EXPECT_EQ(status.code, ErrorCode::kCapacity);
    EXPECT_EQ(status.step, 1);
    EXPECT_EQ(status.limit, 100);
    const test::BruteMap all = test::brute_force(scene, strided());
    EXPECT_EQ(status.value, all.num_out);
    EXPECT_EQ(f.backend->level_view(1, f.workspace()).wanted, all.num_out);
    test::expect_map(f.backend->map_view(1, f.workspace()), test::brute_force(scene, strided(), 100),
                     f.backend->num_pairs(1, f.workspace()));
    if (want.empty()) want = snapshot(f);
    EXPECT_EQ(snapshot(f), want);
    EXPECT_EQ(f.run(scene).value, all.num_out);  // and again: nothing was left behind
    EXPECT_EQ(snapshot(f), want);
  }
}

TEST(PairNetwork, FacadePlansAndRefuses) {
  Context context({.threads = 1});
  PairNetwork network(context);
  network.add_input(kShape, 2, kCapacity);
  EXPECT_THROW(network.add_input(kShape, 2, kCapacity), Error);
  EXPECT_THROW(network.add_map(0, strided(), {}), Error);  // no capacity
  EXPECT_THROW(network.add_map(1, subm3(), {}), Error);
  EXPECT_THROW(network.add_map(0, subm3(), {.mask_splits = 5}), Error);
  EXPECT_THROW(network.add_map(0, subm3(), {.tile_rows = 65537}), Error);
  const std::int32_t a = network.add_map(0, subm3(), {.forms = 0});
  const std::int32_t b = network.add_map(0, strided(), {.forms = 0, .out_capacity = 5000});
  network.require_forms(a, kTilePairs);
  EXPECT_EQ(network.level_of_output(a), 0);
  EXPECT_EQ(network.level_of_output(b), 1);
  EXPECT_EQ(network.level_shape(1), (Dims{6, 20, 35}));
  EXPECT_EQ(network.level_capacity(1), 5000);
  network.finalize();
  EXPECT_THROW(network.require_forms(a, kPairTable), Error);
  Buffer buffer(context, network.workspace_bytes());
  const Workspace workspace{buffer.data(), buffer.bytes()};
  ASSERT_TRUE(network.prepare(context, workspace).ok());
  const Scene scene = lidar(10, 30);
  ASSERT_TRUE(network.run(context, scene.indices.data(), scene.n(), nullptr, workspace).ok());
  EXPECT_NE(network.map_view(a, workspace).tiles.start, nullptr);
  EXPECT_EQ(network.map_view(b, workspace).tiles.start, nullptr);
  EXPECT_GT(network.level_view(1, workspace).n, 0);
  EXPECT_EQ(network.run(context, scene.indices.data(), scene.n(), nullptr, workspace.first(64)).code,
            ErrorCode::kInvalidArgument);
}

TEST(PairNetwork, KeysBeyond63BitsAreRefused) {
  Context context({.threads = 1});
  PairNetwork network(context);
  const std::int32_t most = std::numeric_limits<std::int32_t>::max();
  EXPECT_THROW(network.add_input({most, most, most}, 1, 10), Error);
  network.add_input({most, most}, 2, 10);
  network.add_map(0, {.kind = ConvKind::kSubm, .kernel_size = {3, 3}}, {.forms = kPairTable});
  network.finalize();
  Buffer buffer(context, network.workspace_bytes());
  const Workspace workspace{buffer.data(), buffer.bytes()};
  ASSERT_TRUE(network.prepare(context, workspace).ok());
  const std::int32_t indices[]{1, most - 1, most - 1, 0, 0, 0, 1, most - 1, most - 2, 1, most - 2, 0};
  ASSERT_TRUE(network.run(context, indices, 4, nullptr, workspace).ok());
  const IndicePairsView v = network.map_view(0, workspace);
  EXPECT_EQ(network.num_pairs(0, workspace), 6);
  EXPECT_EQ(v.pair_fwd[3 * v.pair_stride + 0], 2);
  EXPECT_EQ(v.pair_fwd[5 * v.pair_stride + 2], 0);
}

}  // namespace
}  // namespace voxgemm
