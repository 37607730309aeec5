// Proves that CenterPoint's backbone on a real ten-sweep frame has the published site and pair counts at
// every level, eight kernel maps, finite outputs, and an int8 result close to float32.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/engine/engine_runner.h"
#include "tests/support/test_data.h"
#include "voxgemm/backbones.h"
#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"
#include "voxgemm/profile.h"

namespace voxgemm::test {
namespace {

Frame real_frame() {
  Frame frame;
  const std::filesystem::path folder = test_data() / "nvidia_centerpoint";
  const Array indices = read_array(folder / "in_indices_bzyx.i32.tensor");
  frame.indices = indices.as<std::int32_t>();
  frame.features = read_array(folder / "in_features.f16.tensor").as<float>();
  frame.num_voxels = static_cast<std::int32_t>(indices.rows());
  return frame;
}

struct Expected {
  const char* layer;
  std::int32_t n_in;
  std::int32_t n_out;
  std::int64_t pairs;
};
// golden_counts.json of the test data, nvidia_centerpoint.
constexpr Expected kExpected[] = {
    {"conv_input", 79745, 79745, 591581},    {"conv2.0", 79745, 69276, 265739},
    {"conv2.1.conv1", 69276, 69276, 969672}, {"conv3.0", 69276, 29723, 233074},
    {"conv3.1.conv1", 29723, 29723, 483025}, {"conv4.0", 29723, 10335, 98648},
    {"conv4.1.conv1", 10335, 10335, 172003}, {"conv_out", 10335, 7658, 13673},
};

TEST(CenterPoint, SitesPairsAndInt8Accuracy) {
  if (test_data().empty()) GTEST_SKIP() << "VOXGEMM_TEST_DATA names no folder";
  Context context({.threads = 2});
  const Frame frame = real_frame();
  BackboneOptions backbone;
  const Network net = make_centerpoint_backbone(backbone);
  const ScaleTable scales = calibrate_min_max(context, net, {&frame, 1});
  const Engine engine = Engine::build(context, net, scales);
  EXPECT_EQ(engine.num_maps(), 8);
  Buffer workspace(context, engine.workspace_bytes());
  const Workspace bytes{workspace.data(), workspace.bytes()};
  ASSERT_TRUE(engine.prepare(context, bytes).ok());
  SparseTensorView view;
  view.indices = frame.indices.data();
  view.features = {frame.features.data(), DType::kFloat32, frame.num_voxels, 5, 5};
  view.spatial_shape = backbone.spatial_shape;
  view.num_voxels = view.capacity = frame.num_voxels;
  std::vector<float> dense(256 * 180 * 180, -1.0F);
  const OutputBinding binding{dense.data()};
  std::vector<StepProfile> profile(engine.steps().size());
  const Status status = engine.enqueue(context, view, {&binding, 1}, bytes);
  ASSERT_TRUE(status.ok()) << to_string(status);
  engine.collect_profile(context, bytes, nullptr, profile);
  EXPECT_TRUE(std::all_of(dense.begin(), dense.end(), [](float x) { return std::isfinite(x) && x >= 0.0F; }));
  EXPECT_GT(*std::max_element(dense.begin(), dense.end()), 0.0F);
  std::size_t checked = 0;
  for (std::size_t i = 0; i < profile.size(); ++i) {
    for (const Expected& want : kExpected) {
      if (engine.steps()[i].name != want.layer) continue;
      EXPECT_EQ(profile[i].n_in, want.n_in) << want.layer;
      EXPECT_EQ(profile[i].n_out, want.n_out) << want.layer;
      EXPECT_EQ(profile[i].pairs, want.pairs) << want.layer;
      ++checked;
    }
  }
  EXPECT_EQ(checked, std::size(kExpected));
  const SqnrReport report = compare_precisions(context, net, scales, frame);
  ASSERT_FALSE(report.layers.empty());
  EXPECT_EQ(report.layers.back().name, "conv_out");
  EXPECT_GE(report.layers.back().sqnr_db, 20.0);
  for (const LayerSqnr& layer : report.layers) {
    EXPECT_GE(layer.sqnr_db, 20.0) << layer.name;
    RecordProperty(layer.name, std::to_string(layer.sqnr_db));
  }
}

}  // namespace
}  // namespace voxgemm::test
