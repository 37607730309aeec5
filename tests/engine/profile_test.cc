// Proves: collect_profile() after a run gives, step by step, the rows and pairs that a profiling enqueue
// counts itself; a StepTimer as observer times every step and only those that ran; wrong sizes are refused.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/engine/engine_runner.h"
#include "tests/engine/test_networks.h"

namespace voxgemm::test {
namespace {

TEST(Profile, CollectedCountsEqualThoseOfAProfilingEnqueue) {
  Context context({.threads = 2});
  for (TestNetwork& t : all_test_networks()) {
    const EngineOptions options{.precision = Precision::kFloat32, .profile = true};
    EngineRunner runner(context, EngineRunner::build(context, t.net, {}, options));
    const Engine& engine = runner.engine();
    const std::size_t steps = engine.steps().size();
    for (const std::int32_t n : {0, 1, 300}) {
      const Frame frame = random_frame(t.shape, t.batch_size, t.channels, n, 5);
      std::vector<RunOutput> outputs = runner.fresh_outputs();
      std::vector<StepProfile> want(steps);
      StepTimer timer(context, steps);
      EXPECT_TRUE(std::isnan(timer.microseconds(0)));
      ASSERT_TRUE(engine
                      .enqueue(context, runner.view_of(frame), runner.bindings(outputs), runner.workspace(),
                               want, &timer)
                      .ok());
      std::vector<StepProfile> got(steps);
      engine.collect_profile(context, runner.workspace(), &timer, got);
      std::int64_t pairs = 0;
      for (std::size_t s = 0; s < steps; ++s) {
        EXPECT_EQ(got[s].n_in, want[s].n_in) << t.name << " step " << s << " n " << n;
        EXPECT_EQ(got[s].n_out, want[s].n_out) << t.name << " step " << s << " n " << n;
        EXPECT_EQ(got[s].pairs, want[s].pairs) << t.name << " step " << s << " n " << n;
        // The timer's marks enclose the engine's own clock.
        EXPECT_GE(got[s].microseconds, want[s].microseconds) << t.name << " step " << s;
        pairs += got[s].pairs;
      }
      EXPECT_EQ(pairs > 0, n > 0);
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
