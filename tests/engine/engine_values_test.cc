// Proves that an engine computes what its network says: int8 engines bit for bit, float engines within float
// rounding, every value and every output, against loops over triples. Sites and their order included.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "calibration/frame_runner.h"
#include "tests/engine/engine_runner.h"
#include "tests/engine/naive_network.h"
#include "tests/engine/test_networks.h"
#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"

namespace voxgemm::test {
namespace {

Context one_thread() { return Context({.threads = 1}); }

Frame frame_for(const TestNetwork& t, std::int32_t n, std::uint32_t seed) {
  return random_frame(t.shape, t.batch_size, t.channels, n, seed);
}

std::int32_t node_named(const Network::Impl& net, const std::string& name) {
  for (std::size_t i = 0; i < net.nodes.size(); ++i) {
    if (net.nodes[i].name == name) return static_cast<std::int32_t>(i);
  }
  return -1;
}

void expect_sites(const std::vector<Site>& want, const RunOutput& got, int ndim) {
  ASSERT_EQ(got.num_voxels, static_cast<std::int32_t>(want.size()));
  for (std::size_t row = 0; row < want.size(); ++row) {
    for (std::size_t a = 0; a <= static_cast<std::size_t>(ndim); ++a) {
      ASSERT_EQ(got.indices[row * static_cast<std::size_t>(ndim + 1) + a], want[row][a])
          << "row " << row << " column " << a;
    }
  }
}

TEST(EngineInt8, EveryValueEqualsTheNaiveNetwork) {
  Context context = one_thread();
  for (TestNetwork& t : all_test_networks()) {
    const Frame frame = frame_for(t, 333, 7);
    const ScaleTable scales = calibrate_min_max(context, t.net, {&frame, 1});
    FrameRunner runner(context, t.net, scales, Precision::kInt8, {&frame, 1});
    runner.run(frame);
    const Network::Impl& net = t.net.impl();
    const NaiveInt8 want = naive_int8(net, naive_sites(net, frame), frame, scales);
    int compared = 0;
    for (std::size_t step = 0; step < runner.engine().steps().size(); ++step) {
      const StepInfo& info = runner.engine().steps()[step];
      if (info.value.empty()) continue;
      const auto node = static_cast<std::size_t>(node_named(net, info.value));
      const HostValue got = runner.value(static_cast<std::int32_t>(step));
      if (info.precision == "int8") {
        EXPECT_EQ(got.stored, want.stored[node]) << t.name << " " << info.name << " " << info.kernel;
      } else {
        EXPECT_EQ(got.real, want.real[node]) << t.name << " " << info.name << " " << info.kernel;
      }
      ++compared;
    }
    EXPECT_GE(compared, 4) << t.name;
  }
}

TEST(EngineInt8, OutputsEqualTheNaiveNetworkInInt8) {
  Context context = one_thread();
  for (TestNetwork& t : all_test_networks()) {
    const Frame frame = frame_for(t, 300, 8);
    const ScaleTable scales = calibrate_min_max(context, t.net, {&frame, 1});
    EngineOptions options;
    options.output_dtype = DType::kInt8;
    EngineRunner runner(context, EngineRunner::build(context, t.net, scales, options));
    const RunResult got = runner.run(frame);
    ASSERT_TRUE(got.status.ok()) << to_string(got.status);
    const Network::Impl& net = t.net.impl();
    const NaiveSites sites = naive_sites(net, frame);
    const NaiveInt8 want = naive_int8(net, sites, frame, scales);
    for (std::size_t i = 0; i < got.outputs.size(); ++i) {
      const OutputInfo& info = runner.engine().outputs()[i];
      const Node& node = net.node(net.outputs[i].node);
      if (node.kind == NodeKind::kGlobalPool) continue;
      const auto source = static_cast<std::size_t>(info.dense ? node.inputs[0] : net.outputs[i].node);
      const auto& rows = sites.sites[static_cast<std::size_t>(net.nodes[source].sites)];
      std::vector<std::int8_t> expected = want.stored[source];
      if (info.dense) {
        expected = naive_dense(expected, rows, info);
      } else {
        expect_sites(rows, got.outputs[i], info.spatial_shape.ndim);
      }
      ASSERT_LE(expected.size(), got.outputs[i].features.size());
      EXPECT_EQ(std::memcmp(expected.data(), got.outputs[i].features.data(), expected.size()), 0)
          << t.name << " " << info.name;
      EXPECT_EQ(info.scale, want.scale[source]);
    }
  }
}

TEST(EngineInt8, FloatOutputsAreTheLastSumsOrDequantisedValues) {
  Context context = one_thread();
  TestNetwork t = residual_unet();
  const Frame frame = frame_for(t, 250, 9);
  const ScaleTable scales = calibrate_min_max(context, t.net, {&frame, 1});
  EngineRunner runner(context, EngineRunner::build(context, t.net, scales));
  const RunResult got = runner.run(frame);
  ASSERT_TRUE(got.status.ok());
  const Network::Impl& net = t.net.impl();
  const NaiveSites sites = naive_sites(net, frame);
  const NaiveInt8 want = naive_int8(net, sites, frame, scales);
  const std::vector<float>& head = want.real[static_cast<std::size_t>(node_named(net, "head"))];
  EXPECT_EQ(std::memcmp(head.data(), got.outputs[0].features.data(), head.size() * sizeof(float)), 0);
  const auto deep = static_cast<std::size_t>(node_named(net, "low.relu"));
  std::vector<float> rows;
  for (const std::int8_t q : want.stored[deep]) rows.push_back(static_cast<float>(q) * want.scale[deep]);
  const std::vector<float> dense = naive_dense(
      rows, sites.sites[static_cast<std::size_t>(net.nodes[deep].sites)], runner.engine().outputs()[1]);
  ASSERT_EQ(dense.size() * sizeof(float), got.outputs[1].features.size());
  EXPECT_EQ(std::memcmp(dense.data(), got.outputs[1].features.data(), dense.size() * sizeof(float)), 0);
}

TEST(EngineFloat, EveryValueIsCloseToTheNaiveNetwork) {
  Context context = one_thread();
  for (TestNetwork& t : all_test_networks()) {
    const Frame frame = frame_for(t, 320, 10);
    FrameRunner runner(context, t.net, {}, Precision::kFloat32, {&frame, 1});
    runner.run(frame);
    const Network::Impl& net = t.net.impl();
    const auto want = naive_float(net, naive_sites(net, frame), frame);
    for (std::size_t step = 0; step < runner.engine().steps().size(); ++step) {
      const StepInfo& info = runner.engine().steps()[step];
      if (info.value.empty()) continue;
      const auto& exact = want[static_cast<std::size_t>(node_named(net, info.value))];
      const HostValue got = runner.value(static_cast<std::int32_t>(step));
      ASSERT_EQ(got.real.size(), exact.size()) << info.name;
      double amax = 0.0;
      for (const double x : exact) amax = std::max(amax, std::fabs(x));
      for (std::size_t i = 0; i < exact.size(); ++i) {
        ASSERT_NEAR(static_cast<double>(got.real[i]), exact[i], 1e-5 * amax) << t.name << " " << info.name;
      }
    }
  }
}

TEST(EngineFloat, GlobalPoolGivesTheLargestPerBatchEntry) {
  Context context = one_thread();
  TestNetwork t = mixed_layers();
  const Frame frame = frame_for(t, 200, 11);
  EngineOptions options;
  options.precision = Precision::kFloat32;
  EngineRunner runner(context, EngineRunner::build(context, t.net, {}, options));
  const RunResult got = runner.run(frame);
  ASSERT_TRUE(got.status.ok());
  const auto* rows = got.outputs[0].as<float>();
  const auto* pooled = got.outputs[3].as<float>();
  for (std::int32_t c = 0; c < 40; ++c) {
    float best = rows[c];
    for (std::int32_t row = 1; row < got.outputs[0].num_voxels; ++row)
      best = std::max(best, rows[row * 40 + c]);
    EXPECT_EQ(pooled[c], best);
  }
}

std::int64_t concat_steps(const Engine& engine) {
  return std::count_if(engine.steps().begin(), engine.steps().end(),
                       [](const StepInfo& info) { return info.kind == "concat"; });
}

TEST(Engine, ConcatIsAStepOnlyWhereColumnsCannotBeShared) {
  Context context = one_thread();
  TestNetwork t = residual_unet();
  const Frame frame = frame_for(t, 100, 14);
  EXPECT_EQ(concat_steps(Engine::build(context, t.net, calibrate_min_max(context, t.net, {&frame, 1}))), 0);
  for (const std::int32_t width : {16, 7}) {  // aligned but repeated, and unaligned
    Network net;
    const Value in = net.input("in", t.shape, t.batch_size, t.channels, 600);
    const ConvGeometry k3{ConvKind::kSubm, Dims::filled(3, 3)};
    const Value a = net.conv(in, random_conv("a", k3, t.channels, width, 1, Activation::kReLU));
    const Value b = net.conv(in, random_conv("b", k3, t.channels, width, 2));
    const std::array<Value, 4> members{a, in, b, a};
    const Value joined = net.concat(members, "joined");
    net.output(net.conv(joined, random_conv("head", k3, 3 * width + t.channels, 4, 3)), "out");
    const ScaleTable scales = calibrate_min_max(context, net, {&frame, 1});
    EXPECT_EQ(concat_steps(Engine::build(context, net, scales)), 1);
    EngineRunner runner(context, EngineRunner::build(context, net, scales));
    const RunResult got = runner.run(frame);
    const NaiveInt8 want = naive_int8(net.impl(), naive_sites(net.impl(), frame), frame, scales);
    const std::vector<float>& head = want.real.back();
    EXPECT_EQ(std::memcmp(head.data(), got.outputs[0].features.data(), head.size() * sizeof(float)), 0);
  }
}

TEST(Engine, SharedColumnsServeLaterReadersAndNestedConcats) {
  Context context = one_thread();
  Network net;
  const TestNetwork t = residual_unet();
  const Frame frame = frame_for(t, 200, 15);
  const ConvGeometry k3{ConvKind::kSubm, Dims::filled(3, 3)};
  const Value in = net.input("in", t.shape, t.batch_size, t.channels, 600);
  const Value a = net.conv(in, random_conv("a", k3, t.channels, 16, 1, Activation::kReLU));
  const Value b = net.conv(a, random_conv("b", k3, 16, 32, 2, Activation::kReLU));
  const std::array<Value, 2> first{b, a};
  const Value inner = net.concat(first, "inner");
  const Value c = net.conv(inner, random_conv("c", k3, 48, 48, 3));
  const Value sum = net.relu(net.add(c, inner, "sum"), "sum.relu");
  const Value late = net.conv(a, random_conv("late", k3, 16, 48, 4));
  const Value skip = net.add(late, sum, "skip");
  const std::array<Value, 3> second{skip, inner, sum};
  const Value outer = net.concat(second, "outer");
  net.output(net.conv(outer, random_conv("head", k3, 144, 4, 5)), "out");
  net.output(a, "a");
  const ScaleTable scales = calibrate_min_max(context, net, {&frame, 1});
  EngineRunner runner(context, EngineRunner::build(context, net, scales));
  const RunResult got = runner.run(frame);
  ASSERT_TRUE(got.status.ok()) << to_string(got.status);
  const NaiveInt8 want = naive_int8(net.impl(), naive_sites(net.impl(), frame), frame, scales);
  const std::vector<float>& head = want.real.back();
  EXPECT_EQ(std::memcmp(head.data(), got.outputs[0].features.data(), head.size() * sizeof(float)), 0);
}

TEST(Engine, Int8InputEqualsQuantisedFloatInput) {
  Context context = one_thread();
  TestNetwork t = residual_unet();
  const Frame frame = frame_for(t, 100, 12);
  const ScaleTable scales = calibrate_min_max(context, t.net, {&frame, 1});
  EngineRunner runner(context, EngineRunner::build(context, t.net, scales));
  std::vector<std::int8_t> stored;
  for (const float x : frame.features) stored.push_back(saturate_int8(x / runner.engine().input_scale()));
  SparseTensorView view = runner.view_of(frame);
  view.features.data = stored.data();
  view.features.dtype = DType::kInt8;
  view.features.scale = runner.engine().input_scale();
  const RunResult a = runner.run(frame);
  const RunResult b = runner.run_view(view);
  ASSERT_TRUE(b.status.ok());
  EXPECT_EQ(a.outputs[0].features, b.outputs[0].features);
  view.features.scale *= 2.0F;
  EXPECT_EQ(runner.run_view(view).status.code, ErrorCode::kInvalidArgument);
}

TEST(Engine, MissingScaleIsAnErrorThatNamesTheLayer) {
  Context context = one_thread();
  TestNetwork t = residual_unet();
  const Frame frame = frame_for(t, 50, 13);
  ScaleTable scales = calibrate_min_max(context, t.net, {&frame, 1});
  scales.scale.erase("low.conv1");
  try {
    Engine::build(context, t.net, scales);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("low.conv1"), std::string::npos) << error.what();
  }
}

TEST(Engine, CapacitiesThatWereNotSetHoldAFrameAndReportMore) {
  Context context = one_thread();
  const Dims shape{40, 40};
  Network net;
  const Value in = net.input("in", shape, 1, 2, 60);
  const ConvGeometry down{ConvKind::kRegular, Dims::filled(2, 3), Dims::filled(2, 2), Dims::filled(2, 1)};
  net.output(net.conv(in, random_conv("shrink", down, 2, 2, 1)), "out");
  EngineRunner runner(context, EngineRunner::build(context, net, {}, {.precision = Precision::kFloat32}));
  EXPECT_EQ(runner.engine().outputs()[0].capacity, 120);
  const RunResult fits = runner.run(random_frame(shape, 1, 2, 60, 3));
  EXPECT_TRUE(fits.status.ok()) << to_string(fits.status);
  Frame apart;  // odd cells feed four outputs each
  for (std::int32_t i = 0; i < 60; ++i) {
    apart.indices.insert(apart.indices.end(), {0, 4 * (i / 10) + 1, 4 * (i % 10) + 1});
    apart.features.insert(apart.features.end(), {1.0F, 2.0F});
  }
  apart.num_voxels = 60;
  const Status status = runner.run(apart).status;
  EXPECT_EQ(status.code, ErrorCode::kCapacity);
  EXPECT_EQ(to_string(status, runner.engine().steps()),
            "layer 'shrink': capacity exceeded: value 240, limit 120");
}

}  // namespace
}  // namespace voxgemm::test
