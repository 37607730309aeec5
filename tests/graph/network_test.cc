// Proves that a Network shares kernel maps by key and by geometry, and that it refuses what does not fit,
// naming the layers. Says nothing about numbers.
#include "voxgemm/network.h"

#include <gtest/gtest.h>

#include <limits>

#include "graph/nodes.h"

namespace voxgemm {
namespace {

ConvLayer layer(const std::string& name, const ConvGeometry& geometry, std::int32_t c_in, std::int32_t c_out,
                const std::string& key = "") {
  ConvLayer conv{name, key, geometry, c_out};
  conv.weights.assign(static_cast<std::size_t>(c_out * c_in * geometry.kernel_volume()), 0.5F);
  return conv;
}

const ConvGeometry kSubm3{ConvKind::kSubm, Dims::filled(3, 3)};
const ConvGeometry kDown{ConvKind::kRegular, Dims::filled(3, 3), Dims::filled(3, 2), Dims::filled(3, 1)};

struct Net {
  Network net;
  Value in = net.input("in", {8, 16, 16}, 2, 4, 100);
};

/// Runs `action` and returns the error it throws.
template <typename Action>
std::string error_of(Action&& action, ErrorCode expected) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), expected) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

void expect_mentions(const std::string& text, std::initializer_list<const char*> words) {
  for (const char* word : words) EXPECT_NE(text.find(word), std::string::npos) << word << " in: " << text;
}

TEST(Network, EqualGeometriesOnOneLevelShareAMapWhateverTheKey) {
  Net n;
  const Value a = n.net.conv(n.in, layer("a", kSubm3, 4, 4, "subm1"));
  const Value b = n.net.conv(a, layer("b", kSubm3, 4, 4, "res1"));
  ConvGeometry padded = kSubm3;
  padded.padding = Dims::filled(3, 1);  // ignored for submanifold convolutions
  const Value c = n.net.conv(b, layer("c", padded, 4, 4));
  const Value d = n.net.conv(c, layer("d", kDown, 4, 8));
  const Value e = n.net.pool(c, kDown, {}, "e");
  n.net.conv(d, layer("f", kSubm3, 8, 8));
  EXPECT_EQ(n.net.impl().maps.size(), 3U);
  EXPECT_EQ(n.net.impl().node(d.id).sites, n.net.impl().node(e.id).sites);
}

TEST(Network, DifferentGeometriesDoNotShare) {
  Net n;
  ConvGeometry dilated = kSubm3;
  dilated.dilation = Dims::filled(3, 2);
  n.net.conv(n.in, layer("a", kSubm3, 4, 4));
  n.net.conv(n.in, layer("b", dilated, 4, 4));
  n.net.conv(n.in, layer("c", {ConvKind::kSubm, {1, 3, 3}}, 4, 4));
  EXPECT_EQ(n.net.impl().maps.size(), 3U);
}

TEST(Network, KeyWithAnotherGeometryNamesBothLayers) {
  Net n;
  n.net.conv(n.in, layer("first", kSubm3, 4, 4, "key1"));
  expect_mentions(error_of(
                      [&] {
                        n.net.conv(n.in, layer("second", {ConvKind::kSubm, {1, 3, 3}}, 4, 4, "key1"));
                      },
                      ErrorCode::kInvalidArgument),
                  {"first", "second", "key1", "geometry"});
}

TEST(Network, KeyOnOtherSitesNamesBothLayers) {
  Net n;
  n.net.conv(n.in, layer("first", kSubm3, 4, 4, "key1"));
  const Value down = n.net.conv(n.in, layer("down", kDown, 4, 4));
  expect_mentions(
      error_of([&] { n.net.conv(down, layer("second", kSubm3, 4, 4, "key1")); }, ErrorCode::kInvalidArgument),
      {"first", "second", "key1", "sites"});
}

TEST(Network, KeyClashNamesTheLayerThatIntroducedTheKey) {
  Net n;
  n.net.conv(n.in, layer("maps", kSubm3, 4, 4));
  n.net.conv(n.in, layer("keys", kSubm3, 4, 4, "key1"));  // the map of "maps"
  const std::string geometry = error_of(
      [&] {
        n.net.conv(n.in, layer("second", {ConvKind::kSubm, {1, 3, 3}}, 4, 4, "key1"));
      },
      ErrorCode::kInvalidArgument);
  expect_mentions(geometry, {"second", "'keys'", "key1"});
  EXPECT_EQ(geometry.find("'maps'"), std::string::npos) << geometry;
  const Value down = n.net.conv(n.in, layer("down", kDown, 4, 4));
  expect_mentions(
      error_of([&] { n.net.conv(down, layer("second", kSubm3, 4, 4, "key1")); }, ErrorCode::kInvalidArgument),
      {"'keys'", "[z 8, y 16, x 16]", "[z 4, y 8, x 8]"});
  expect_mentions(error_of([&] { n.net.inverse_conv(n.in, layer("up", kSubm3, 4, 4, "key1")); },
                           ErrorCode::kInvalidArgument),
                  {"'keys'", "submanifold"});
}

TEST(Network, InverseReturnsToTheInputSites) {
  Net n;
  const Value down = n.net.conv(n.in, layer("down", kDown, 4, 8, "d1"));
  const Value up = n.net.inverse_conv(down, layer("up", kDown, 8, 4, "d1"));
  EXPECT_EQ(n.net.impl().node(up.id).sites, n.net.impl().node(n.in.id).sites);
  n.net.add(up, n.in, "sum");
  EXPECT_EQ(n.net.impl().maps.size(), 1U);
}

TEST(Network, InverseErrors) {
  Net n;
  n.net.conv(n.in, layer("s", kSubm3, 4, 4, "s1"));
  n.net.conv(n.in, layer("d", kDown, 4, 8, "d1"));
  expect_mentions(
      error_of([&] { n.net.inverse_conv(n.in, layer("u", kDown, 4, 4, "nokey")); }, ErrorCode::kNotFound),
      {"u", "nokey"});
  expect_mentions(error_of([&] { n.net.inverse_conv(n.in, layer("u", kSubm3, 4, 4, "s1")); },
                           ErrorCode::kInvalidArgument),
                  {"u", "submanifold"});
  expect_mentions(
      error_of([&] { n.net.inverse_conv(n.in, layer("u", kDown, 4, 4, "d1")); }, ErrorCode::kShape),
      {"u", "output sites"});
}

TEST(Network, RefusesWhatDoesNotFit) {
  Net n;
  const Value down = n.net.conv(n.in, layer("down", kDown, 4, 4));
  const Value wide = n.net.conv(n.in, layer("wide", kSubm3, 4, 6));
  expect_mentions(error_of([&] { n.net.add(n.in, down, "x"); }, ErrorCode::kShape), {"x", "different sites"});
  expect_mentions(error_of([&] { n.net.add(n.in, wide, "x"); }, ErrorCode::kShape), {"x", "4", "6"});
  expect_mentions(
      error_of([&] { n.net.conv(n.in, layer("down", kSubm3, 4, 4)); }, ErrorCode::kInvalidArgument),
      {"down", "twice"});
  expect_mentions(error_of([&] { n.net.conv(n.in, layer("x", kSubm3, 5, 4)); }, ErrorCode::kShape),
                  {"x", "540", "432"});
  ConvLayer bad = layer("x", kSubm3, 4, 4);
  bad.weights[7] = std::numeric_limits<float>::quiet_NaN();
  expect_mentions(error_of([&] { n.net.conv(n.in, bad); }, ErrorCode::kInvalidArgument),
                  {"x", "weight 7 of 432 is nan"});
  bad = layer("x", kSubm3, 4, 4);
  bad.act_alpha = std::numeric_limits<float>::infinity();
  expect_mentions(error_of([&] { n.net.conv(n.in, bad); }, ErrorCode::kInvalidArgument),
                  {"x", "act_alpha", "inf"});
  const Value dense = n.net.to_dense(n.in, DenseLayout::kNCHW, "dense");
  expect_mentions(error_of([&] { n.net.relu(dense, "x"); }, ErrorCode::kShape), {"x", "dense"});
  expect_mentions(error_of([&] { n.net.relu({99}, "x"); }, ErrorCode::kInvalidArgument), {"x", "99"});
}

TEST(Network, CapacitiesBelongToLayersThatMakeSites) {
  Net n;
  n.net.conv(n.in, layer("subm", kSubm3, 4, 4));
  const Value down = n.net.conv(n.in, layer("down", kDown, 4, 4));
  n.net.set_capacity("down", 77);
  EXPECT_EQ(n.net.impl().site_set(n.net.impl().node(down.id).sites).capacity, 77);
  n.net.set_capacities({{{"in", 123}, {"down", 1000000}}});
  EXPECT_EQ(n.net.impl().site_set(0).capacity, 123);
  EXPECT_EQ(n.net.impl().site_set(n.net.impl().node(down.id).sites).capacity, 2 * 4 * 8 * 8) << "the cells";
  expect_mentions(error_of([&] { n.net.set_capacity("nolayer", 5); }, ErrorCode::kNotFound), {"nolayer"});
  expect_mentions(error_of([&] { n.net.set_capacity("subm", 5); }, ErrorCode::kInvalidArgument), {"subm"});
  expect_mentions(error_of([&] { n.net.set_capacity("down", 0); }, ErrorCode::kInvalidArgument),
                  {"down", "0"});
}

TEST(Network, DescriptionSaysWhichCapacitiesAreMissing) {
  Net n;
  n.net.conv(n.in, layer("down", kDown, 4, 4));
  expect_mentions(n.net.describe(), {"capacity 100", "capacity not recorded"});
  n.net.set_capacity("down", 77);
  EXPECT_EQ(n.net.describe().find("not recorded"), std::string::npos);
}

TEST(Network, CopiesAreIndependent) {
  Net n;
  n.net.conv(n.in, layer("a", kSubm3, 4, 4));
  Network copy(n.net);
  copy.conv(n.in, layer("b", kSubm3, 4, 4));
  EXPECT_EQ(n.net.impl().nodes.size(), 2U);
  EXPECT_EQ(copy.impl().nodes.size(), 3U);
}

}  // namespace
}  // namespace voxgemm
