// Proves: sharing memory changes no bit. Thousands of random networks, with residual blocks and outputs of
// every kind at every place, give in float32 and int8 the outputs of an engine that reuses no memory, and
// that engine's values are those of the naive network. And one small network by hand: a dense output that is
// declared before the residual add which may overwrite what it reads.
#include "tests/engine/random_networks.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "tests/engine/engine_runner.h"
#include "tests/engine/naive_network.h"
#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"

namespace voxgemm::test {
namespace {

constexpr std::uint32_t kShards = 8;
constexpr std::uint32_t kNetworksPerShard = 500;
constexpr std::uint32_t kNaiveEvery = 10;

Context one_thread() { return Context({.threads = 1}); }

void expect_same_outputs(const RunResult& got, const RunResult& want, const Engine& engine) {
  ASSERT_TRUE(got.status.ok()) << to_string(got.status);
  ASSERT_TRUE(want.status.ok()) << to_string(want.status);
  for (std::size_t i = 0; i < want.outputs.size(); ++i) {
    const std::string& name = engine.outputs()[i].name;
    EXPECT_EQ(got.outputs[i].num_voxels, want.outputs[i].num_voxels) << name;
    EXPECT_TRUE(got.outputs[i].indices == want.outputs[i].indices) << "indices of " << name;
    EXPECT_TRUE(got.outputs[i].features == want.outputs[i].features) << "features of " << name;
  }
}

/// Every int8 output, sparse or scattered, against the naive network's.
void expect_naive_outputs(const TestNetwork& t, const Frame& frame, const ScaleTable& scales,
                          const RunResult& got, const Engine& engine) {
  const Network::Impl& net = t.net.impl();
  const NaiveSites sites = naive_sites(net, frame);
  const NaiveInt8 want = naive_int8(net, sites, frame, scales);
  for (std::size_t i = 0; i < got.outputs.size(); ++i) {
    const OutputInfo& info = engine.outputs()[i];
    const Node& node = net.node(net.outputs[i].node);
    if (node.kind == NodeKind::kGlobalPool) continue;
    const auto source = static_cast<std::size_t>(info.dense ? node.inputs[0] : net.outputs[i].node);
    std::vector<std::int8_t> values = want.stored[source];
    if (info.dense) {
      values = naive_dense(values, sites.sites[static_cast<std::size_t>(net.nodes[source].sites)], info);
    }
    ASSERT_LE(values.size(), got.outputs[i].features.size());
    EXPECT_EQ(std::memcmp(values.data(), got.outputs[i].features.data(), values.size()), 0) << info.name;
  }
}

class RandomNetworks : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(RandomNetworks, SharedMemoryChangesNoBit) {
  Context context = one_thread();
  for (std::uint32_t i = 0; i < kNetworksPerShard && !HasFailure(); ++i) {
    const std::uint32_t seed = GetParam() * kNetworksPerShard + i;
    SCOPED_TRACE("seed " + std::to_string(seed));
    const TestNetwork t = random_network(seed);
    const Frame frame =
        random_frame(t.shape, t.batch_size, t.channels, 5 + static_cast<std::int32_t>(seed % 60), seed);
    const ScaleTable scales = seeded_scales(t.net, seed);
    for (const Precision precision : {Precision::kFloat32, Precision::kInt8}) {
      EngineOptions options{.precision = precision};
      if (precision == Precision::kInt8 && seed % 2 == 0) options.output_dtype = DType::kInt8;
      EngineRunner shared(context, EngineRunner::build(context, t.net, scales, options));
      options.keep_all_values = true;
      EngineRunner apart(context, EngineRunner::build(context, t.net, scales, options));
      const RunResult want = apart.run(frame);
      expect_same_outputs(shared.run(frame), want, apart.engine());
      if (options.output_dtype == DType::kInt8 && seed % kNaiveEvery == 0) {
        expect_naive_outputs(t, frame, scales, want, apart.engine());
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shards, RandomNetworks, ::testing::Range(0U, kShards));

/// stage = conv(in); out = tail(stage); sum = conv(conv(stage)) + stage, with kernels of volume 1 that
/// multiply by 2, 3 and 5: stage = 2x whoever runs first.
void expect_stage_survives(bool dense) {
  Context context = one_thread();
  const Dims shape{1, 2, 3};
  Network net;
  const ConvGeometry one{ConvKind::kSubm, Dims::filled(3, 1)};
  const auto times = [&](const char* name, float factor) {
    return ConvLayer{.name = name, .geometry = one, .c_out = 1, .weights = {factor}};
  };
  const Value in = net.input("in", shape, 1, 1, 6);
  const Value stage = net.conv(in, times("stage", 2.0F));
  const Value tail = dense ? net.to_dense(stage, DenseLayout::kNCHW, "tail")
                           : net.global_pool(stage, PoolKind::kMax, "tail");
  const Value deep = net.conv(net.conv(stage, times("a", 3.0F)), times("b", 5.0F));
  net.output(tail, "tail");
  net.output(net.add(deep, stage, "sum"), "sum");
  const Frame frame{{0, 0, 0, 0, 0, 0, 1, 2}, {1.0F, 4.0F}, 2};
  EngineRunner runner(context, EngineRunner::build(context, net, {}, {.precision = Precision::kFloat32}));
  const RunResult got = runner.run(frame);
  ASSERT_TRUE(got.status.ok()) << to_string(got.status);
  const float* values = got.outputs[0].as<float>();
  if (dense) {
    EXPECT_EQ(std::vector<float>(values, values + 6), (std::vector<float>{2, 0, 0, 0, 0, 8}));
  } else {
    EXPECT_EQ(values[0], 8.0F);
  }
  EXPECT_EQ(got.outputs[1].as<float>()[0], 32.0F);
  EXPECT_EQ(got.outputs[1].as<float>()[1], 128.0F);
}

TEST(EngineOrder, ADenseOutputReadsItsValueBeforeAResidualOverwritesIt) { expect_stage_survives(true); }
TEST(EngineOrder, APooledOutputReadsItsValueBeforeAResidualOverwritesIt) { expect_stage_survives(false); }

}  // namespace
}  // namespace voxgemm::test
