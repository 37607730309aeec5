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
  ScaleRemarks remarks;
  const std::vector<std::string>& unseen = remarks.unseen;
  const auto scales = [&](float in, float of_a, float of_b) {
    remarks = {};
    return unify_scales(n.net.impl(), fused, {{{"in", in}, {"a", of_a}, {"b", of_b}}}, &remarks);
  };
  const float least = std::numeric_limits<float>::min();
  EXPECT_EQ(scales(0.5F, 0.0F, least), (std::vector<float>{0.5F, least, least, least}));
  EXPECT_EQ(unseen, Names{});
  EXPECT_EQ(scales(0.5F, 0.0F, -0.0F), (std::vector<float>{0.5F, 1.0F, 1.0F, 1.0F}));
  EXPECT_EQ(unseen, (Names{"a", "b", "joined"}));
  EXPECT_EQ(scales(0.0F, 0.25F, 0.0F), (std::vector<float>{1.0F, 0.25F, 0.25F, 0.25F}));
  EXPECT_EQ(unseen, Names{"in"});
}

std::string unknown_names(const Network::Impl& net, const std::vector<FusedNode>& fused,
                          const ScaleTable& table) {
  try {
    unify_scales(net, fused, table);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    return error.what();
  }
  return "accepted";
}

TEST(UnifyScales, EntriesOfUnknownLayersAreNamed) {
  Net n;
  const auto fused = n.fused(n.conv(n.in, "c"));
  ScaleTable table{{{"in", 1.0F}, {"c", 1.0F}}};
  EXPECT_EQ(unknown_names(n.net.impl(), fused, table), "accepted");
  const std::string begin = "not found: the scale table has entries of layers that the network lacks: ";
  EXPECT_EQ(unknown_names(n.net.impl(), fused, {{{"in", 1.0F}, {"conv", 1.0F}}}), begin + "'conv'")
      << "rather than that 'c' has none";
  for (int i = 0; i < 10; ++i) table.scale["x" + std::to_string(i)] = 0.0F;
  EXPECT_EQ(unknown_names(n.net.impl(), fused, table),
            begin + "'x0', 'x1', 'x2', 'x3', 'x4', 'x5', 'x6', 'x7' and 2 more");
}

// Nothing is said of entries that agree with the scale in use, as calibration makes them.
TEST(UnifyScales, EntriesThatCountForNothingAreNamed) {
  Net n;
  const Value c = n.conv(n.in, "c");
  const Value relu = n.net.relu(c, "relu");
  n.conv(relu, "dead");
  const Value pooled =
      n.net.pool(relu, {ConvKind::kRegular, Dims::filled(3, 2), Dims::filled(3, 2)}, {}, "p");
  const auto fused = n.fused(pooled);
  const auto unused = [&](std::map<std::string, float> more) {
    ScaleTable table{{{"in", 1.0F}, {"relu", 0.5F}}};
    for (const auto& [name, scale] : more) table.scale[name] = scale;
    ScaleRemarks remarks;
    EXPECT_EQ(unify_scales(n.net.impl(), fused, table, &remarks)[static_cast<std::size_t>(pooled.id)], 0.5F);
    return remarks.unused;
  };
  EXPECT_EQ(unused({}), Names{});
  EXPECT_EQ(unused({{"c", 0.5F}, {"p", 0.25F}}), Names{});
  EXPECT_EQ(unused({{"c", 0.0F}, {"p", 0.0F}}), Names{}) << "0 says nothing";
  EXPECT_EQ(unused({{"c", 0.25F}}), Names{"'c' (its chain makes 'relu', whose entry 0.5 counts)"});
  EXPECT_EQ(unused({{"p", 0.75F}}), Names{"'p' (has the scale 0.5 of what it reads)"});
  EXPECT_EQ(unused({{"dead", 1.0F}}), Names{"'dead' (no output needs it)"});
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
