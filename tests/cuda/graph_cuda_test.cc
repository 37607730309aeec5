// Proves: a public CapturedGraph of an engine gives the bytes of the CPU engine and counts its nodes; a call
// that cannot be captured is refused and leaves the stream usable; a StepTimer times every step, enqueued or
// replayed; collect_profile() reads back the rows and pairs that the CPU counts; voxeliser and engine run as
// one graph.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/cuda_device.h"
#include "tests/cuda/cuda_support.h"
#include "tests/engine/engine_runner.h"
#include "tests/engine/test_networks.h"
#include "voxgemm/calibration.h"
#include "voxgemm/cuda_graph.h"
#include "voxgemm/engine.h"
#include "voxgemm/profile.h"
#include "voxgemm/voxelize.h"

namespace voxgemm::test {
namespace {

using Graph = voxgemm::CapturedGraph;

/// An engine on the device with memory for one frame.
struct DeviceEngine {
  DeviceEngine(Context& context_, const Network& network, const ScaleTable& scales,
               const EngineOptions& options)
      : context(context_),
        engine(Engine::build(context, network, scales, options)),
        workspace(context, engine.workspace_bytes()),
        count(context, 4) {
    const auto rows = static_cast<std::size_t>(engine.input_capacity());
    indices = Buffer(context, rows * static_cast<std::size_t>(1 + engine.input_shape().ndim) * 4);
    features = Buffer(context, rows * static_cast<std::size_t>(engine.input_channels()) * 4);
    for (const OutputInfo& info : engine.outputs()) {
      const std::int64_t elements = info.dense
                                        ? dense_elements(info.spatial_shape, info.batch_size, info.channels)
                                        : std::int64_t{info.capacity} * info.channels;
      outputs.emplace_back(context, static_cast<std::size_t>(elements) * size_of(info.dtype));
      bindings.push_back({outputs.back().data(), nullptr, nullptr});
    }
    view.indices = indices.as<std::int32_t>();
    view.spatial_shape = engine.input_shape();
    view.batch_size = engine.input_batch_size();
    view.num_voxels = view.capacity = engine.input_capacity();
    view.device_num_voxels = count.as<std::int32_t>();
    view.features = {features.data(), DType::kFloat32, view.capacity, engine.input_channels(),
                     engine.input_channels()};
    check(engine.prepare(context, memory()), "prepare");
  }
  void load(const Frame& frame) {
    indices.upload(context, frame.indices.data(), frame.indices.size() * 4);
    features.upload(context, frame.features.data(), frame.features.size() * 4);
    count.upload(context, &frame.num_voxels, 4);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const std::vector<unsigned char> sentinel(outputs[i].bytes(), kSentinel);
      outputs[i].upload(context, sentinel.data(), sentinel.size());
    }
  }
  Status enqueue(StepListener* listener = nullptr) {
    return engine.enqueue(context, view, bindings, memory(), listener);
  }
  std::vector<std::byte> output(std::size_t i) {
    std::vector<std::byte> host(outputs[i].bytes());
    outputs[i].download(context, host.data(), host.size());
    return host;
  }
  [[nodiscard]] Workspace memory() const { return {workspace.data(), workspace.bytes()}; }

  Context& context;
  Engine engine;
  Buffer workspace;
  Buffer indices;
  Buffer features;
  Buffer count;
  std::vector<Buffer> outputs;
  std::vector<OutputBinding> bindings;
  SparseTensorView view{};
};

class GraphCuda : public CudaTest {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (IsSkipped()) return;
    device_ = std::make_unique<Context>(ContextOptions{.device = Device::cuda()});
  }
  Context cpu_{{.threads = 2}};
  std::unique_ptr<Context> device_;
};

TEST_F(GraphCuda, ReplaysGiveTheCpuBytes) {
  TestNetwork t = residual_unet();
  const Frame calibration = random_frame(t.shape, t.batch_size, t.channels, 400, 99);
  const ScaleTable scales = calibrate_min_max(cpu_, t.net, {&calibration, 1});
  EngineRunner reference(cpu_, EngineRunner::build(cpu_, t.net, scales));
  DeviceEngine mine(*device_, t.net, scales, {});
  Graph first = Graph::capture(*device_, [&] { return mine.enqueue(); });
  const Graph graph = std::move(first);
  EXPECT_GE(graph.node_count(), mine.engine.steps().size() / 2);
  for (const std::int32_t n : {400, 1, 250, 0}) {
    const Frame frame = random_frame(t.shape, t.batch_size, t.channels, n, 7);
    mine.load(frame);
    ASSERT_TRUE(graph.launch(*device_).ok());
    ASSERT_TRUE(device_->synchronize().ok());
    const RunResult want = reference.run(frame);
    for (std::size_t i = 0; i < mine.outputs.size(); ++i) {
      EXPECT_TRUE(mine.output(i) == want.outputs[i].features) << "n " << n << " output " << i;
    }
  }
}

TEST_F(GraphCuda, WhatCannotBeCapturedIsRefusedAndTheStreamStaysUsable) {
  Buffer buffer(*device_, 256);
  const auto code_of = [&](const std::function<Status()>& enqueue) {
    try {
      Graph::capture(*device_, enqueue);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kOk;
  };
  EXPECT_EQ(code_of([&] {
              (void)device_->synchronize();
              return Status{};
            }),
            ErrorCode::kDevice);
  EXPECT_EQ(code_of([] { return Status{.code = ErrorCode::kShape}; }), ErrorCode::kShape);
  EXPECT_EQ(code_of([]() -> Status { throw Error(ErrorCode::kIo, "no file"); }), ErrorCode::kIo);
  EXPECT_TRUE(device_->synchronize().ok());
  const Graph graph = Graph::capture(*device_, [&] {
    buffer.fill_zero(*device_);
    return Status{};
  });
  EXPECT_EQ(graph.node_count(), 1U);
  EXPECT_TRUE(graph.launch(*device_).ok());
  EXPECT_TRUE(device_->synchronize().ok());
}

TEST_F(GraphCuda, ProfileTellsTheRowsAndPairsOfTheCpuAndATimePerStep) {
  for (TestNetwork& t : all_test_networks()) {
    const Frame frame = random_frame(t.shape, t.batch_size, t.channels, 300, 11);
    const EngineOptions options{.precision = Precision::kFloat32};
    EngineRunner reference(cpu_, EngineRunner::build(cpu_, t.net, {}, options));
    reference.run(frame);
    const std::span<const StepInfo> cpu_steps = reference.engine().steps();
    std::vector<StepProfile> cpu_profile(cpu_steps.size());
    reference.engine().collect_profile(cpu_, reference.workspace(), nullptr, cpu_profile);
    std::map<std::string, StepProfile> want;
    for (std::size_t s = 0; s < cpu_steps.size(); ++s) want[cpu_steps[s].name] = cpu_profile[s];

    DeviceEngine mine(*device_, t.net, {}, options);
    mine.load(frame);
    const std::span<const StepInfo> steps = mine.engine.steps();
    StepTimer timer(*device_, steps.size());
    const Graph graph = Graph::capture(*device_, [&] { return mine.enqueue(&timer); });
    std::vector<StepProfile> got(steps.size());
    for (const bool replay : {false, true}) {
      StepTimer direct(*device_, steps.size());
      const Status status = replay ? graph.launch(*device_) : mine.enqueue(&direct);
      ASSERT_TRUE(status.ok()) << to_string(status);
      mine.engine.collect_profile(*device_, mine.memory(), replay ? &timer : &direct, got);
      int compared = 0;
      for (std::size_t s = 0; s < steps.size(); ++s) {
        EXPECT_GT(got[s].microseconds, 0.0) << steps[s].name << (replay ? " replayed" : " enqueued");
        EXPECT_LT(got[s].microseconds, 1e6) << steps[s].name;
        if (!want.contains(steps[s].name)) continue;
        ++compared;
        EXPECT_EQ(got[s].n_in, want[steps[s].name].n_in) << t.name << ' ' << steps[s].name;
        EXPECT_EQ(got[s].n_out, want[steps[s].name].n_out) << t.name << ' ' << steps[s].name;
        EXPECT_EQ(got[s].pairs, want[steps[s].name].pairs) << t.name << ' ' << steps[s].name;
      }
      EXPECT_GE(compared, 3) << t.name;
    }
  }
}

TEST_F(GraphCuda, OneShotMapsCountTheirPairs) {
  const Frame frame = random_frame({12, 20, 20}, 2, 1, 500, 3);
  const auto build = [&](Context& context, const std::int32_t* indices) {
    SparseTensorView sites;
    sites.indices = indices;
    sites.spatial_shape = {12, 20, 20};
    sites.batch_size = 2;
    sites.capacity = sites.num_voxels = frame.num_voxels;
    return build_indice_pairs(context, sites, {ConvKind::kRegular, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}},
                              {.forms = kPairTable});
  };
  const IndicePairs want = build(cpu_, frame.indices.data());
  const Buffer indices = upload(*device_, frame.indices);
  const IndicePairs got = build(*device_, indices.as<std::int32_t>());
  EXPECT_EQ(got.num_out(), want.num_out());
  EXPECT_EQ(got.num_pairs(), want.num_pairs());
  EXPECT_GT(got.num_pairs(), 0);
}

TEST_F(GraphCuda, PointsToOutputsAreOneGraph) {
  const Dims shape{9, 40, 40};
  Network network;
  const Value in = network.input("in", shape, 1, 4, 2000);
  const ConvGeometry geometry{.kind = ConvKind::kSubm, .kernel_size = {3, 3, 3}};
  network.output(network.conv(in, random_conv("conv", geometry, 4, 16, 3, Activation::kReLU)), "out");
  const VoxelGrid grid{{0, 0, 0}, {4, 4, 0.8F}, {0.1F, 0.1F, 0.1F}, 2000, 5};
  std::vector<float> points(4 * 3000);
  std::mt19937 random(17);
  for (std::size_t i = 0; i < points.size(); ++i) {
    const float extent = i % 4 == 2 ? 0.8F : 4.0F;
    points[i] = extent * static_cast<float>(random() % 10007U) / 10007.0F;
  }
  const PointsView cloud{points.data(), DType::kFloat32, 3000, 4, 4};
  SparseTensor voxels(cpu_, shape, 1, 2000, 4, DType::kFloat32);
  ASSERT_GT(voxelize(cpu_, {&cloud, 1}, grid, voxels).front().voxels, 500);
  const Frame frame = Frame::from_view(cpu_, voxels.view());
  const ScaleTable scales = calibrate_min_max(cpu_, network, {&frame, 1});
  EngineRunner reference(cpu_, EngineRunner::build(cpu_, network, scales));
  const RunResult want = reference.run(frame);

  DeviceEngine mine(*device_, network, scales, {});
  mine.load({});  // nothing: the voxeliser fills it
  const Buffer device_points = upload(*device_, points);
  const PointsView device_cloud{device_points.data(), DType::kFloat32, 3000, 4, 4};
  const Voxelizer voxelizer(*device_, grid, 4, 3000, 1, shape);
  const SparseTensorView found = voxelizer.view(mine.indices.as<std::int32_t>(), mine.features.as<float>(), 4,
                                                mine.count.as<std::int32_t>());
  mine.view = found;
  const Buffer scratch(*device_, voxelizer.workspace_bytes());
  const Graph graph = Graph::capture(*device_, [&] {
    const Status status = voxelizer.run(*device_, {&device_cloud, 1}, mine.indices.as<std::int32_t>(),
                                        mine.features.as<float>(), 4, mine.count.as<std::int32_t>(), nullptr,
                                        {scratch.data(), scratch.bytes()});
    return status.ok() ? mine.enqueue() : status;
  });
  for (int replay = 0; replay < 3; ++replay) ASSERT_TRUE(graph.launch(*device_).ok());
  ASSERT_TRUE(device_->synchronize().ok());
  EXPECT_TRUE(mine.engine.status(*device_, mine.memory()).ok());
  std::int32_t rows = 0;
  mine.count.download(*device_, &rows, 4);
  EXPECT_EQ(rows, frame.num_voxels);
  const Frame copy = Frame::from_view(*device_, found);
  EXPECT_EQ(copy.num_voxels, frame.num_voxels);
  EXPECT_EQ(copy.indices, frame.indices);
  EXPECT_EQ(copy.features, frame.features);
  rows = found.capacity + 1;
  mine.count.upload(*device_, &rows, 4);
  EXPECT_THROW((void)Frame::from_view(*device_, found), Error);
  EXPECT_TRUE(mine.output(0) == want.outputs[0].features);
}

}  // namespace
}  // namespace voxgemm::test
