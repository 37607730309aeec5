// Proves which chains become one step, in which order steps run, and how scales spread. No arithmetic.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "graph/nodes.h"

namespace voxgemm {
namespace {

struct Net {
  Network net;
  Value in = net.input("in", {8, 8, 8}, 1, 4, 100);

  Value conv(Value from, const std::string& name, Activation activation = Activation::kNone) {
    ConvLayer layer{name, "", {ConvKind::kSubm, Dims::filled(3, 3)}, 4};
    layer.weights.assign(4 * 4 * 27, 0.25F);
    layer.activation = activation;
    return net.conv(from, std::move(layer));
  }
  std::vector<FusedNode> fused(Value out) {
    net.output(out, "out");
    return fuse(net.impl());
  }
};

std::vector<std::string> names(const std::vector<FusedNode>& fused) {
  std::vector<std::string> result;
  for (const FusedNode& node : fused) result.push_back(node.name);
  return result;
}

using Names = std::vector<std::string>;

TEST(Fusion, ConvAddRelu) {
  Net n;
  const Value c = n.conv(n.in, "c");
  const auto fused = n.fused(n.net.relu(n.net.add(c, n.in, "add"), "relu"));
  EXPECT_EQ(names(fused), (Names{"in", "c + add + relu"}));
  EXPECT_EQ(fused[1].residual, n.in.id);
  EXPECT_EQ(fused[1].activation, Activation::kReLU);
}

TEST(Fusion, ConvIsFusedOnEitherSideOfTheAdd) {
  Net n;
  const Value c = n.conv(n.in, "c");
  const auto fused = n.fused(n.net.add(n.in, c, "add"));
  EXPECT_EQ(names(fused), (Names{"in", "c + add"}));
  EXPECT_EQ(fused[1].residual, n.in.id);
  EXPECT_EQ(fused[1].activation, Activation::kNone);
}

TEST(Fusion, ProjectionIsTheResidualAndRunsFirst) {
  Net n;
  const Value main = n.conv(n.in, "main");
  const Value projection = n.conv(n.in, "projection");
  const auto fused = n.fused(n.net.relu(n.net.add(main, projection, "add"), "relu"));
  EXPECT_EQ(names(fused), (Names{"in", "projection", "main + add + relu"}));
}

TEST(Fusion, ValueReadTwiceStays) {
  Net n;
  const Value c = n.conv(n.in, "c");
  n.net.output(c, "early");
  const auto fused = n.fused(n.net.relu(c, "relu"));
  EXPECT_EQ(names(fused), (Names{"in", "c", "relu"}));
}

TEST(Fusion, ActivationBeforeTheAddPreventsIt) {
  Net n;
  const Value c = n.conv(n.in, "c", Activation::kReLU);
  const auto fused = n.fused(n.net.relu(n.net.add(c, n.in, "add"), "relu"));
  EXPECT_EQ(names(fused), (Names{"in", "c", "add + relu"}));
  EXPECT_EQ(fused[2].activation, Activation::kReLU);
}

TEST(Fusion, AddOfAValueToItselfIsNotAResidual) {
  Net n;
  const Value c = n.conv(n.in, "c");
  const auto fused = n.fused(n.net.add(c, c, "add"));
  EXPECT_EQ(names(fused), (Names{"in", "c", "add"}));
}

TEST(Fusion, SecondAddIsSeparate) {
  Net n;
  const Value c = n.conv(n.in, "c");
  const Value first = n.net.add(c, n.in, "first");
  const auto fused = n.fused(n.net.add(first, n.in, "second"));
  EXPECT_EQ(names(fused), (Names{"in", "c + first", "second"}));
}

TEST(Fusion, DeadLayersAreDropped) {
  Net n;
  const Value c = n.conv(n.in, "c");
  n.conv(c, "dead");
  EXPECT_EQ(names(n.fused(n.net.relu(c, "relu"))), (Names{"in", "c + relu"}));
}

TEST(UnifyScales, ConcatPoolAndReluShareTheLargest) {
  Net n;
  const Value a = n.conv(n.in, "a");
  const Value b = n.conv(n.in, "b");
  const Value members[] = {a, b};
  const Value joined = n.net.concat(members, "joined");
  const Value pooled =
      n.net.pool(joined, {ConvKind::kRegular, Dims::filled(3, 2), Dims::filled(3, 2)}, {}, "p");
  const auto fused = n.fused(pooled);
  const ScaleTable table{{{"in", 0.5F}, {"a", 0.25F}, {"b", 2.0F}, {"joined", 100.0F}}};
  const std::vector<float> scales = unify_scales(n.net.impl(), fused, table);
  EXPECT_EQ(scales, (std::vector<float>{0.5F, 2.0F, 2.0F, 2.0F, 2.0F}));
}

// 0 is "never seen": it takes the scale of those it shares with, and only alone it is 1.
TEST(UnifyScales, NeverSeenLosesAgainstTheSmallestScale) {
  Net n;
  const Value a = n.conv(n.in, "a");
  const Value b = n.conv(n.in, "b");
  const Value members[] = {a, b};
  const Value joined = n.net.concat(members, "joined");
  const auto fused = n.fused(joined);
  std::vector<std::string> unseen;
  const auto scales = [&](float in, float of_a, float of_b) {
    unseen.clear();
    return unify_scales(n.net.impl(), fused, {{{"in", in}, {"a", of_a}, {"b", of_b}}}, &unseen);
  };
  const float least = std::numeric_limits<float>::min();
  EXPECT_EQ(scales(0.5F, 0.0F, least), (std::vector<float>{0.5F, least, least, least}));
  EXPECT_EQ(unseen, Names{});
  EXPECT_EQ(scales(0.5F, 0.0F, -0.0F), (std::vector<float>{0.5F, 1.0F, 1.0F, 1.0F}));
  EXPECT_EQ(unseen, (Names{"a", "b", "joined"}));
  EXPECT_EQ(scales(0.0F, 0.25F, 0.0F), (std::vector<float>{1.0F, 0.25F, 0.25F, 0.25F}));
  EXPECT_EQ(unseen, Names{"in"});
}

TEST(UnifyScales, MissingOrBadScaleIsNamed) {
  Net n;
  const auto fused = n.fused(n.conv(n.in, "c"));
  const auto text = [&](const ScaleTable& table) {
    try {
      unify_scales(n.net.impl(), fused, table);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_NE(text({{{"in", 1.0F}}}).find("'c' has no scale"), std::string::npos);
  const float least = std::numeric_limits<float>::min();
  const float most = std::numeric_limits<float>::max() / 127.0F;
  for (const float bad : {-1.0F, 1e-40F, std::nextafter(least, 0.0F), std::nextafter(most, 1e38F),
                          std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    const std::string said = text({{{"in", 1.0F}, {"c", bad}}});
    EXPECT_NE(said.find(fmt::format("value 'c': scale {} is neither 0", bad)), std::string::npos) << said;
  }
  EXPECT_EQ(text({{{"in", least}, {"c", most}}}), "accepted");
}

}  // namespace
}  // namespace voxgemm
