// Proves that an engine believes no workspace but one that was prepared for it: memory of any content,
// another engine's, one that something else wrote to and a copy of a prepared one are refused before anything
// is touched; that two engines may take turns on one workspace when it is prepared in between; and that
// prepare() refuses what enqueue() would.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "tests/engine/engine_runner.h"
#include "tests/engine/test_networks.h"
#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"
#include "voxgemm/profile.h"
#include "voxgemm/voxelize.h"

namespace voxgemm::test {
namespace {

/// An engine and all that a frame of it needs but the workspace.
class Bound {
 public:
  Bound(Context& context, TestNetwork t, std::uint32_t seed)
      : context_(context),
        frame_(random_frame(t.shape, t.batch_size, t.channels, 120, seed)),
        runner_(context,
                EngineRunner::build(context, t.net, calibrate_min_max(context, t.net, {&frame_, 1}))),
        outputs_(runner_.fresh_outputs()) {}

  Status enqueue(Workspace workspace) {
    outputs_ = runner_.fresh_outputs();
    return engine().enqueue(context_, runner_.view_of(frame_), runner_.bindings(outputs_), workspace);
  }
  [[nodiscard]] const Engine& engine() const { return runner_.engine(); }

  /// Refused as unprepared, with outputs as they were.
  void expect_refused(Workspace workspace) {
    const Status status = enqueue(workspace);
    EXPECT_EQ(status.code, ErrorCode::kInvalidArgument) << to_string(status);
    EXPECT_NE(std::strstr(status.what == nullptr ? "" : status.what, "not prepared"), nullptr);
    EXPECT_EQ(status.step, -1);
    const std::vector<RunOutput> fresh = runner_.fresh_outputs();
    for (std::size_t i = 0; i < fresh.size(); ++i) {
      EXPECT_TRUE(outputs_[i].features == fresh[i].features);
      EXPECT_EQ(outputs_[i].num_voxels, fresh[i].num_voxels);
    }
  }
  void expect_right(Workspace workspace) {
    ASSERT_TRUE(enqueue(workspace).ok());
    const RunResult want = runner_.run(frame_);
    for (std::size_t i = 0; i < want.outputs.size(); ++i) {
      EXPECT_TRUE(outputs_[i].features == want.outputs[i].features) << i;
    }
  }

 private:
  Context& context_;
  Frame frame_;
  EngineRunner runner_;
  std::vector<RunOutput> outputs_;
};

class EngineWorkspace : public ::testing::Test {
 protected:
  Context context_{{.threads = 2}};
  Bound small_{context_, mixed_layers(), 1};
  Bound large_{context_, residual_unet(), 2};
  Buffer memory_{context_, std::max(small_.engine().workspace_bytes(), large_.engine().workspace_bytes())};
  Workspace workspace_{memory_.data(), memory_.bytes()};
};

TEST_F(EngineWorkspace, MemoryThatWasNeverPreparedIsRefused) {
  for (const int content : {0x00, 0xA5, 0xFF}) {
    std::memset(memory_.data(), content, memory_.bytes());
    small_.expect_refused(workspace_);
    large_.expect_refused(workspace_);
  }
  std::mt19937 random(5);
  for (std::size_t i = 0; i < memory_.bytes(); ++i) memory_.data()[i] = static_cast<std::byte>(random());
  large_.expect_refused(workspace_);
  ASSERT_TRUE(large_.engine().prepare(context_, workspace_).ok());
  large_.expect_right(workspace_);
}

TEST_F(EngineWorkspace, TwoEnginesTakeTurnsOnlyByPreparing) {
  for (int turn = 0; turn < 3; ++turn) {
    ASSERT_TRUE(small_.engine().prepare(context_, workspace_).ok());
    small_.expect_right(workspace_);
    large_.expect_refused(workspace_);
    small_.expect_right(workspace_);
    ASSERT_TRUE(large_.engine().prepare(context_, workspace_).ok());
    small_.expect_refused(workspace_);
    large_.expect_right(workspace_);
  }
}

TEST_F(EngineWorkspace, AnEqualEngineIsAnotherOne) {
  const Bound twin(context_, residual_unet(), 2);
  ASSERT_TRUE(twin.engine().prepare(context_, workspace_).ok());
  large_.expect_refused(workspace_);
}

TEST_F(EngineWorkspace, ACopyOfAPreparedWorkspaceIsRefused) {
  ASSERT_TRUE(large_.engine().prepare(context_, workspace_).ok());
  large_.expect_right(workspace_);
  const Buffer copy(context_, memory_.bytes());
  std::memcpy(copy.data(), memory_.data(), memory_.bytes());
  large_.expect_refused({copy.data(), copy.bytes()});
}

TEST_F(EngineWorkspace, MemoryLentToAVoxeliserIsNoLongerPrepared) {
  const Voxelizer voxelizer(context_, {{0, 0, 0}, {8, 8, 8}, {1, 1, 1}, 50, 5}, 3, 200);
  const Buffer shared(context_, std::max(memory_.bytes(), voxelizer.workspace_bytes()));
  const Workspace workspace{shared.data(), shared.bytes()};
  ASSERT_TRUE(large_.engine().prepare(context_, workspace).ok());
  std::vector<float> points(600);
  for (std::size_t i = 0; i < points.size(); ++i) points[i] = static_cast<float>(i % 83) / 10.0F;
  const PointsView cloud{points.data(), DType::kFloat32, 200, 3};
  std::vector<std::int32_t> indices(200);
  std::vector<float> features(150);
  std::int32_t num_voxels = 0;
  ASSERT_TRUE(
      voxelizer
          .run(context_, {&cloud, 1}, indices.data(), features.data(), 3, &num_voxels, nullptr, workspace)
          .ok());
  EXPECT_GT(num_voxels, 10);
  large_.expect_refused(workspace);
}

TEST_F(EngineWorkspace, AMovedEngineKeepsItsWorkspaces) {
  TestNetwork t = mixed_layers();
  Engine engine = Engine::build(context_, t.net, {}, {.precision = Precision::kFloat32});
  const Buffer memory(context_, engine.workspace_bytes());
  const Workspace workspace{memory.data(), memory.bytes()};
  ASSERT_TRUE(engine.prepare(context_, workspace).ok());
  const Engine moved = std::move(engine);
  std::vector<StepProfile> profile(moved.steps().size());
  EXPECT_NO_THROW(moved.collect_profile(context_, workspace, nullptr, profile));
  std::memset(memory.data(), 0, memory.bytes());
  EXPECT_THROW(moved.collect_profile(context_, workspace, nullptr, profile), Error);
}

TEST_F(EngineWorkspace, ViewsOfAnUnpreparedWorkspaceAreEmpty) {
  TestNetwork t = mixed_layers();
  const EngineOptions options{.precision = Precision::kFloat32, .keep_all_values = true};
  const Engine engine = Engine::build(context_, t.net, {}, options);
  const Buffer memory(context_, engine.workspace_bytes());
  std::memset(memory.data(), 0xA5, memory.bytes());
  for (std::size_t step = 0; step < engine.steps().size(); ++step) {
    const SparseTensorView view =
        engine.value_view(static_cast<std::int32_t>(step), {}, {memory.data(), memory.bytes()});
    EXPECT_EQ(view.features.data, nullptr);
    EXPECT_EQ(view.num_voxels, 0);
  }
}

TEST_F(EngineWorkspace, PrepareRefusesWhatEnqueueRefuses) {
  const std::size_t need = large_.engine().workspace_bytes();
  const Buffer memory(context_, need + 256);
  for (const Workspace& bad : {Workspace{memory.data(), need - 256}, Workspace{memory.data() + 64, need},
                               Workspace{memory.data(), 0}, Workspace{}}) {
    const Status prepared = large_.engine().prepare(context_, bad);
    const Status enqueued = large_.enqueue(bad);
    EXPECT_EQ(prepared.code, ErrorCode::kInvalidArgument) << to_string(prepared);
    EXPECT_EQ(to_string(prepared), to_string(enqueued));
  }
}

}  // namespace
}  // namespace voxgemm::test
