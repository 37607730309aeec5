// Proves what one engine does with frames of any size and order on one workspace: the order of the rows
// inside does not show outside, rows beyond the count are neither read nor written, padding is inert, earlier
// frames leave no trace, overflow and bad input are reported and contained.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "tests/engine/engine_runner.h"
#include "tests/engine/naive_network.h"
#include "tests/engine/test_networks.h"
#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"
#include "voxgemm/profile.h"

namespace voxgemm::test {
namespace {

struct Bench {
  Context context{{.threads = 1}};
  TestNetwork t = residual_unet();
  Frame calibration = random_frame(t.shape, t.batch_size, t.channels, 400, 99);
  ScaleTable scales = calibrate_min_max(context, t.net, {&calibration, 1});
  EngineRunner runner{context, EngineRunner::build(context, t.net, scales)};

  Frame frame(std::int32_t n, std::uint32_t seed) const {
    return random_frame(t.shape, t.batch_size, t.channels, n, seed);
  }
};

void expect_same(const RunResult& a, const RunResult& b, const std::string& what) {
  EXPECT_EQ(a.status.code, b.status.code) << what;
  ASSERT_EQ(a.outputs.size(), b.outputs.size());
  for (std::size_t i = 0; i < a.outputs.size(); ++i) {
    EXPECT_EQ(a.outputs[i].num_voxels, b.outputs[i].num_voxels) << what;
    EXPECT_TRUE(a.outputs[i].features == b.outputs[i].features) << what << " output " << i;
    EXPECT_TRUE(a.outputs[i].indices == b.outputs[i].indices) << what << " output " << i;
  }
}

bool all_sentinel(const RunOutput& output, std::size_t from) {
  return std::all_of(output.features.begin() + static_cast<std::ptrdiff_t>(from), output.features.end(),
                     [](std::byte b) { return b == static_cast<std::byte>(kSentinel); });
}

TEST(EngineFrames, PaddedEqualsUnpaddedWhateverThePaddingHolds) {
  Bench s;
  for (const std::int32_t n : {0, 1, 7, 130, 600}) {
    const Frame frame = s.frame(n, 20 + static_cast<std::uint32_t>(n));
    const RunResult alone = s.runner.run_unpadded(frame);
    ASSERT_TRUE(alone.status.ok()) << n << ": " << to_string(alone.status);
    for (const Padding padding : {Padding::kZero, Padding::kSevenF, Padding::kNaN}) {
      expect_same(alone, s.runner.run(frame, padding), "n = " + std::to_string(n));
    }
  }
}

TEST(EngineFrames, RowsBeyondTheCountKeepTheirBytes) {
  Bench s;
  for (const std::int32_t n : {0, 1, 7, 200}) {
    const RunResult got = s.runner.run(s.frame(n, 30 + static_cast<std::uint32_t>(n)));
    const RunOutput& head = got.outputs[0];
    ASSERT_EQ(head.num_voxels, n);
    EXPECT_TRUE(all_sentinel(head, static_cast<std::size_t>(n) * 8 * sizeof(float)));
    EXPECT_TRUE(
        std::all_of(head.indices.begin() + n * 4, head.indices.end(), [](int i) { return i == -77; }));
  }
}

TEST(EngineFrames, EmptyFrameGivesADenseArrayOfZeros) {
  Bench s;
  const RunResult got = s.runner.run(s.frame(0, 1));
  ASSERT_TRUE(got.status.ok());
  EXPECT_EQ(got.outputs[0].num_voxels, 0);
  for (const std::byte b : got.outputs[1].features) ASSERT_EQ(b, std::byte{0});
}

TEST(EngineFrames, GrowingAndShrinkingFramesLeaveNoTrace) {
  Bench s;
  for (const std::int32_t n : {3, 600, 5, 0, 411, 1, 600, 2, 77}) {
    const Frame frame = s.frame(n, 40 + static_cast<std::uint32_t>(n));
    EngineRunner fresh(s.context, EngineRunner::build(s.context, s.t.net, s.scales));
    expect_same(fresh.run(frame), s.runner.run(frame), "n = " + std::to_string(n));
  }
}

TEST(EngineFrames, InputOrderOnlyPermutesSubmanifoldRows) {
  Bench s;
  const Frame frame = s.frame(150, 50);
  Frame reversed;
  reversed.num_voxels = frame.num_voxels;
  for (std::int32_t i = frame.num_voxels - 1; i >= 0; --i) {
    reversed.indices.insert(reversed.indices.end(), frame.indices.begin() + i * 4,
                            frame.indices.begin() + i * 4 + 4);
    reversed.features.insert(reversed.features.end(), frame.features.begin() + i * 5,
                             frame.features.begin() + i * 5 + 5);
  }
  const RunResult a = s.runner.run(frame);
  const RunResult b = s.runner.run(reversed);
  EXPECT_TRUE(a.outputs[1].features == b.outputs[1].features) << "the dense output does not know the order";
  for (std::int32_t i = 0; i < 150; ++i) {
    EXPECT_EQ(std::memcmp(a.outputs[0].as<float>() + i * 8, b.outputs[0].as<float>() + (149 - i) * 8, 32), 0);
  }
}

// An engine that keeps all values works in the caller's order, others in key order.
TEST(EngineFrames, OrderInsideDoesNotShowOutside) {
  Context context({.threads = 1});
  std::vector<TestNetwork> networks = all_test_networks();
  TestNetwork averaged{"averaged", {}, {9, 14, 13}, 2, 5};
  const Value in = averaged.net.input("in", averaged.shape, 2, 5, 600);
  const Value a = averaged.net.conv(in, random_conv("a", {ConvKind::kSubm, {3, 3, 3}}, 5, 12, 31));
  averaged.net.output(averaged.net.global_pool(a, PoolKind::kAverage, "mean"), "mean");
  networks.push_back(std::move(averaged));
  for (TestNetwork& t : networks) {
    const Frame frame = random_frame(t.shape, t.batch_size, t.channels, 310, 51);
    const ScaleTable scales = calibrate_min_max(context, t.net, {&frame, 1});
    for (const Precision precision : {Precision::kInt8, Precision::kFloat32}) {
      EngineOptions options;
      options.precision = precision;
      EngineRunner by_key(context, EngineRunner::build(context, t.net, scales, options));
      options.keep_all_values = true;
      EngineRunner as_given(context, EngineRunner::build(context, t.net, scales, options));
      expect_same(as_given.run(frame), by_key.run(frame), t.name);
    }
  }
}

TEST(EngineFrames, OverflowKeepsTheSmallestKeysAndNamesTheStep) {
  Bench s;
  const Frame frame = s.frame(500, 60);
  const std::size_t wanted = naive_sites(s.t.net.impl(), frame).sites[1].size();
  const auto limit = static_cast<std::int32_t>(wanted) - 25;
  s.t.net.set_capacity("down", limit);
  EngineRunner small(s.context, EngineRunner::build(s.context, s.t.net, s.scales));
  const RunResult got = small.run(frame);
  EXPECT_EQ(got.status.code, ErrorCode::kCapacity);
  EXPECT_EQ(got.status.value, static_cast<std::int64_t>(wanted));
  EXPECT_EQ(got.status.limit, limit);
  ASSERT_GE(got.status.step, 0);
  EXPECT_EQ(small.engine().steps()[static_cast<std::size_t>(got.status.step)].name, "down");
  EXPECT_EQ(got.outputs[0].num_voxels, 500) << "the frame still runs to its end";
  expect_same(got, small.run(frame), "twice");
  const Frame little = s.frame(20, 61);
  expect_same(s.runner.run(little).outputs.size() == 2 ? s.runner.run(little) : got, small.run(little),
              "a frame that fits, after one that did not");
}

void expect_untouched(const RunResult& got) {
  for (const RunOutput& output : got.outputs) {
    EXPECT_TRUE(all_sentinel(output, 0));
    EXPECT_EQ(output.num_voxels, -1);
  }
}

TEST(EngineFrames, CountsOutsideTheCapacityTouchNothing) {
  Bench s;
  const Frame frame = s.frame(600, 70);
  SparseTensorView view = s.runner.view_of(frame);
  view.num_voxels = -1;
  RunResult got = s.runner.run_view(view);
  EXPECT_EQ(got.status.code, ErrorCode::kInvalidArgument);
  expect_untouched(got);
  view.num_voxels = 601;
  got = s.runner.run_view(view);
  EXPECT_EQ(got.status.code, ErrorCode::kCapacity);
  EXPECT_EQ(got.status.value, 601);
  EXPECT_EQ(got.status.limit, 600);
  expect_untouched(got);
}

TEST(EngineFrames, BadCoordinatesAreReportedWithTheirRow) {
  Bench s;
  Frame frame = s.frame(90, 80);
  frame.indices[33 * 4 + 2] = 14;  // y, of [9, 14, 13]
  RunResult got = s.runner.run(frame);
  EXPECT_EQ(got.status.code, ErrorCode::kOutOfRange);
  EXPECT_EQ(got.status.value, 33);
  expect_untouched(got);
  frame = s.frame(90, 80);
  std::copy_n(frame.indices.begin() + 12 * 4, 4, frame.indices.begin() + 57 * 4);
  got = s.runner.run(frame);
  EXPECT_EQ(got.status.code, ErrorCode::kDuplicate);
  EXPECT_EQ(got.status.value, 57);
  expect_untouched(got);
  const Frame good = s.frame(90, 81);
  EngineRunner fresh(s.context, EngineRunner::build(s.context, s.t.net, s.scales));
  expect_same(fresh.run(good), s.runner.run(good), "a good frame after bad ones");
}

TEST(EngineFrames, WrongCallsAreRefused) {
  Bench s;
  const Frame frame = s.frame(10, 90);
  SparseTensorView view = s.runner.view_of(frame);
  std::vector<RunOutput> outputs = s.runner.fresh_outputs();
  std::vector<OutputBinding> bound = s.runner.bindings(outputs);
  const Engine& engine = s.runner.engine();
  const Workspace workspace = s.runner.workspace();
  const auto code = [&] { return engine.enqueue(s.context, view, bound, workspace).code; };
  EXPECT_EQ(engine.enqueue(s.context, view, bound, workspace.first(workspace.size() - 256)).code,
            ErrorCode::kInvalidArgument);
  const Workspace shifted = workspace.subspan(64);
  for (const Workspace& bad : {workspace.first(workspace.size() - 256), shifted}) {
    const Status refused = engine.prepare(s.context, bad);  // as enqueue would, and before it writes
    EXPECT_EQ(refused.code, ErrorCode::kInvalidArgument) << to_string(refused);
  }
  EXPECT_EQ(engine.enqueue(s.context, view, std::span(bound).first(1), workspace).code, ErrorCode::kShape);
  view.features.channels = 4;
  EXPECT_EQ(code(), ErrorCode::kShape);
  view = s.runner.view_of(frame);
  view.spatial_shape = {9, 14, 14};
  EXPECT_EQ(code(), ErrorCode::kShape);
  view = s.runner.view_of(frame);
  view.batch_size = 1;
  EXPECT_EQ(code(), ErrorCode::kShape);
  view = s.runner.view_of(frame);
  view.features.dtype = DType::kInt32;
  EXPECT_EQ(code(), ErrorCode::kDType);
  view = s.runner.view_of(frame);
  view.features.rows = 9;  // fewer than its voxels: the tenth would be read past the end
  Status status = engine.enqueue(s.context, view, bound, workspace);
  EXPECT_EQ(to_string(status), "shape: rows of the input: value 9, limit 10");
  view = s.runner.view_of(frame);
  view.capacity = 9;
  status = engine.enqueue(s.context, view, bound, workspace);
  EXPECT_EQ(to_string(status), "shape: capacity of the input: value 9, limit 10");
  view = s.runner.view_of(frame);
  view.features.stride = 2;
  status = engine.enqueue(s.context, view, bound, workspace);
  EXPECT_EQ(to_string(status), "shape: row stride of the input: value 2, limit 5");
  view = s.runner.view_of(frame);
  bound[1].features = nullptr;
  status = engine.enqueue(s.context, view, bound, workspace);
  EXPECT_EQ(status.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(status.value, 1);
}

TEST(EngineFrames, ProfileCountsRowsAndPairs) {
  Bench s;
  const Engine engine = Engine::build(s.context, s.t.net, s.scales);
  Buffer workspace(s.context, engine.workspace_bytes());
  ASSERT_TRUE(engine.prepare(s.context, {workspace.data(), workspace.bytes()}).ok());
  const Frame frame = s.frame(300, 91);
  std::vector<RunOutput> outputs = s.runner.fresh_outputs();
  std::vector<StepProfile> profile(engine.steps().size());
  StepTimer timer(s.context, profile.size());
  const Workspace memory{workspace.data(), workspace.bytes()};
  ASSERT_TRUE(
      engine.enqueue(s.context, s.runner.view_of(frame), s.runner.bindings(outputs), memory, &timer).ok());
  engine.collect_profile(s.context, memory, &timer, profile);
  const NaiveSites sites = naive_sites(s.t.net.impl(), frame);
  std::int64_t total = 0;
  for (const auto& pairs : sites.pairs) total += static_cast<std::int64_t>(pairs.size());
  EXPECT_EQ(profile[0].pairs, total);
  for (std::size_t i = 0; i < profile.size(); ++i) {
    EXPECT_GE(profile[i].microseconds, 0.0);
    if (engine.steps()[i].name == "down") {
      EXPECT_EQ(profile[i].n_in, 300);
      EXPECT_EQ(profile[i].n_out, static_cast<std::int32_t>(sites.sites[1].size()));
      EXPECT_EQ(profile[i].pairs, static_cast<std::int64_t>(sites.pairs[1].size()));
    }
    if (engine.steps()[i].name == "up") {
      EXPECT_EQ(profile[i].n_out, 300);
    }
  }
}

}  // namespace
}  // namespace voxgemm::test
