// Proves: collect_profile() after a run gives, step by step, the rows and pairs that the naive network
// counts; a StepTimer as listener times every step and only those that ran; wrong sizes are refused.
#include "voxgemm/profile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/engine/engine_runner.h"
#include "tests/engine/naive_network.h"
#include "tests/engine/test_networks.h"
#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"

namespace voxgemm::test {
namespace {

/// Counts of a step against those of the naive network; returns whether it reads a map.
bool expect_counts(const Network::Impl& net, const NaiveSites& sites, const StepInfo& info,
                   const StepProfile& got) {
  const auto map = std::find_if(net.maps.begin(), net.maps.end(),
                                [&](const MapNode& m) { return m.first_layer == info.pairs; });
  if (info.pairs.empty() || map == net.maps.end()) return false;
  const auto rows = [&](std::int32_t set) {
    return static_cast<std::int32_t>(sites.sites[static_cast<std::size_t>(set)].size());
  };
  const bool inverse = info.kind == "inverse_conv";
  EXPECT_EQ(got.n_in, rows(inverse ? map->out_sites : map->in_sites)) << info.name;
  EXPECT_EQ(got.n_out, rows(inverse ? map->in_sites : map->out_sites)) << info.name;
  EXPECT_EQ(got.pairs,
            static_cast<std::int64_t>(sites.pairs[static_cast<std::size_t>(map - net.maps.begin())].size()))
      << info.name;
  return true;
}

TEST(Profile, CollectedCountsEqualThoseOfTheNaiveNetwork) {
  Context context({.threads = 2});
  for (TestNetwork& t : all_test_networks()) {
    EngineRunner runner(context, EngineRunner::build(context, t.net, {}, {.precision = Precision::kFloat32}));
    const Engine& engine = runner.engine();
    const std::size_t steps = engine.steps().size();
    for (const std::int32_t n : {0, 1, 300}) {
      SCOPED_TRACE(std::string(t.name) + ", " + std::to_string(n) + " rows");
      const Frame frame = random_frame(t.shape, t.batch_size, t.channels, n, 5);
      std::vector<RunOutput> outputs = runner.fresh_outputs();
      StepTimer timer(context, steps);
      EXPECT_TRUE(std::isnan(timer.microseconds(0)));
      ASSERT_TRUE(
          engine.enqueue(context, runner.view_of(frame), runner.bindings(outputs), runner.workspace(), &timer)
              .ok());
      std::vector<StepProfile> got(steps);
      engine.collect_profile(context, runner.workspace(), &timer, got);
      const NaiveSites sites = naive_sites(t.net.impl(), frame);
      std::size_t layers = 0;
      for (std::size_t s = 0; s < steps; ++s) {
        layers += expect_counts(t.net.impl(), sites, engine.steps()[s], got[s]) ? 1 : 0;
        EXPECT_GE(got[s].microseconds, 0.0);
      }
      EXPECT_GT(layers, 0U);
      std::int64_t pairs = 0;
      for (const auto& map : sites.pairs) pairs += static_cast<std::int64_t>(map.size());
      EXPECT_EQ(got[0].pairs, pairs);
    }
  }
}

TEST(Profile, WrongSizesAreRefused) {
  Context context({.threads = 1});
  TestNetwork t = residual_unet();
  EngineRunner runner(context, EngineRunner::build(context, t.net, {}, {.precision = Precision::kFloat32}));
  const std::size_t steps = runner.engine().steps().size();
  std::vector<StepProfile> profile(steps);
  StepTimer other(context, steps + 1);
  const auto code_of = [&](Workspace workspace, const StepTimer* timer, std::span<StepProfile> into) {
    try {
      runner.engine().collect_profile(context, workspace, timer, into);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kOk;
  };
  runner.run(random_frame(t.shape, t.batch_size, t.channels, 10, 1));
  EXPECT_EQ(code_of(runner.workspace(), nullptr, profile), ErrorCode::kOk);
  EXPECT_EQ(profile[0].microseconds, 0.0);
  EXPECT_EQ(code_of(runner.workspace(), &other, profile), ErrorCode::kShape);
  EXPECT_EQ(code_of(runner.workspace(), nullptr, std::span(profile).first(1)), ErrorCode::kShape);
  EXPECT_EQ(code_of(runner.workspace().first(16), nullptr, profile), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace voxgemm::test
