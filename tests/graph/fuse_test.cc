// Proves which chains become one step, in which order steps run, and how scales spread. No arithmetic.
#include <gtest/gtest.h>

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

TEST(UnifyScales, MissingOrBadScaleIsNamed) {
  Net n;
  const auto fused = n.fused(n.conv(n.in, "c"));
  for (const ScaleTable& table : {ScaleTable{{{"in", 1.0F}}}, ScaleTable{{{"in", 1.0F}, {"c", -1.0F}}}}) {
    try {
      unify_scales(n.net.impl(), fused, table);
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("'c'"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace voxgemm
