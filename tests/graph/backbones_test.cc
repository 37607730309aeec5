// Proves the layer lists of the two published backbones: counts, maps, shapes, channels, and that their
// weights depend on the seed alone.
#include "voxgemm/backbones.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "graph/nodes.h"

namespace voxgemm {
namespace {

std::int64_t count(const Network::Impl& net, NodeKind kind) {
  return std::count_if(net.nodes.begin(), net.nodes.end(), [&](const Node& n) { return n.kind == kind; });
}

TEST(Backbones, CenterPointLayers) {
  const Network net = make_centerpoint_backbone({});
  const Network::Impl& impl = net.impl();
  EXPECT_EQ(count(impl, NodeKind::kConv), 21);
  EXPECT_EQ(count(impl, NodeKind::kAdd), 8);
  EXPECT_EQ(impl.maps.size(), 8U);
  ASSERT_EQ(impl.sites.size(), 5U);
  EXPECT_EQ(impl.sites[1].shape, (Dims{21, 720, 720}));
  EXPECT_EQ(impl.sites[2].shape, (Dims{11, 360, 360}));
  EXPECT_EQ(impl.sites[3].shape, (Dims{5, 180, 180}));
  EXPECT_EQ(impl.sites[4].shape, (Dims{2, 180, 180}));
  EXPECT_EQ(row_capacities(impl), (std::vector<std::int32_t>{160000, 320000, 320000, 162000, 64800}));
  EXPECT_EQ(impl.nodes.back().channels, 128);
}

TEST(Backbones, SecondLayers) {
  BackboneOptions options;
  options.in_channels = 4;
  options.spatial_shape = {41, 1600, 1408};
  options.dense_output = false;
  const Network net = make_second_backbone(options);
  const Network::Impl& impl = net.impl();
  EXPECT_EQ(count(impl, NodeKind::kConv), 12);
  EXPECT_EQ(impl.maps.size(), 8U);
  EXPECT_EQ(impl.sites.back().shape, (Dims{2, 200, 176}));
  EXPECT_EQ(impl.nodes.back().name, "conv_out");
}

TEST(Backbones, WeightsFollowTheSeed) {
  BackboneOptions options;
  const Network a = make_centerpoint_backbone(options);
  const Network b = make_centerpoint_backbone(options);
  options.seed = 2;
  const Network c = make_centerpoint_backbone(options);
  const ConvLayer& first = a.impl().nodes[1].layer;
  EXPECT_EQ(first.weights, b.impl().nodes[1].layer.weights);
  EXPECT_NE(first.weights, c.impl().nodes[1].layer.weights);
  const float bound = std::sqrt(6.0F / (27 * 5));
  const auto [low, high] = std::minmax_element(first.weights.begin(), first.weights.end());
  EXPECT_GE(*low, -bound);
  EXPECT_LT(*high, bound);
  EXPECT_GT(*high, 0.95F * bound) << "uniform up to the bound";
}

// The expected sum comes from the generator's formula evaluated by another program.
TEST(Backbones, WeightsAreTheSameOnEveryMachine) {
  const ConvLayer layer = make_centerpoint_backbone({}).impl().nodes[1].layer;
  double sum = 0.0;
  for (std::size_t i = 0; i < layer.weights.size(); ++i) {
    sum += static_cast<double>(layer.weights[i]) * static_cast<double>(i % 17 + 1);
  }
  EXPECT_EQ(layer.weights.size(), 2160U);
  EXPECT_EQ(static_cast<float>(sum), -0x1.627dc40000000p+3F);
}

TEST(Backbones, TwiceTheLargestCapacityIsStillARowCount) {
  BackboneOptions options;
  options.spatial_shape = {4096, 4096, 4096};
  options.capacity = std::numeric_limits<std::int32_t>::max();
  const Network net = make_second_backbone(options);
  EXPECT_EQ(row_capacities(net.impl())[1], std::numeric_limits<std::int32_t>::max());
}

}  // namespace
}  // namespace voxgemm
