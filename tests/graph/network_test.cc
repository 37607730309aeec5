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

TEST(Network, InverseMayFollowAPool) {
  Net n;
  const Value pooled = n.net.pool(n.in, kDown, {}, "pool", "p1");
  const Value conv = n.net.conv(n.in, layer("conv", kDown, 4, 8, "p1"));  // the pool's sites and pairs
  const Value up =
      n.net.inverse_conv(n.net.conv(pooled, layer("deep", kSubm3, 4, 8)), layer("up", kDown, 8, 4, "p1"));
  n.net.add(up, n.in, "sum");
  EXPECT_EQ(n.net.impl().node(conv.id).sites, n.net.impl().node(pooled.id).sites);
  EXPECT_EQ(n.net.impl().maps.size(), 2U);
  EXPECT_EQ(n.net.impl().keys.at("p1").layer, "pool");
  expect_mentions(error_of(
                      [&] {
                        n.net.pool(n.in, {ConvKind::kRegular, {1, 3, 3}}, {}, "other", "p1");
                      },
                      ErrorCode::kInvalidArgument),
                  {"other", "'pool'", "p1", "another geometry"});
  n.net.pool(n.in, kSubm3, {}, "smooth", "s1");
  expect_mentions(error_of([&] { n.net.inverse_conv(n.in, layer("u", kSubm3, 4, 4, "s1")); },
                           ErrorCode::kInvalidArgument),
                  {"'smooth'", "submanifold"});
}

TEST(Network, PointwiseLayersStayOnTheirSitesUnderAnyKey) {
  for (const ConvKind kind : {ConvKind::kSubm, ConvKind::kRegular, ConvKind::kTransposed}) {
    const ConvGeometry point{kind, Dims::filled(3, 1)};
    Net n;
    const Value early = n.net.conv(n.in, layer("early", point, 4, 6, "key1"));  // does not take the key
    n.net.conv(n.in, layer("first", kSubm3, 4, 4, "key1"));
    const Value down = n.net.conv(n.in, layer("down", kDown, 4, 4, "d1"));
    const Value late = n.net.conv(n.in, layer("late", point, 4, 6, "key1"));
    const Value low = n.net.conv(down, layer("low", point, 4, 4, "key1"));
    const Value again = n.net.conv(down, layer("again", point, 4, 4, "d1"));
    n.net.add(early, late, "sum");  // one set of sites
    n.net.add(low, n.net.add(again, down, "sum2"), "sum3");
    EXPECT_EQ(n.net.impl().keys.at("key1").layer, "first");
    EXPECT_EQ(n.net.impl().sites.size(), 2U);
    EXPECT_EQ(n.net.impl().maps.size(), 4U);
    expect_mentions(
        error_of([&] { n.net.inverse_conv(late, layer("u", point, 6, 4, "key2")); }, ErrorCode::kNotFound),
        {"u", "key2"});
  }
  // What moves or drops sites, or reads beside them, is no such layer.
  ConvGeometry padded{ConvKind::kRegular, Dims::filled(3, 1)};
  padded.padding = {0, 0, 1};
  ConvGeometry strided{ConvKind::kRegular, Dims::filled(3, 1), {1, 2, 1}};
  ConvGeometry grown{ConvKind::kTransposed, Dims::filled(3, 1)};
  grown.out_padding = {1, 0, 0};
  for (const ConvGeometry& geometry : {padded, strided, grown}) {
    Net n;
    n.net.conv(n.in, layer("conv", geometry, 4, 4, "key1"));
    EXPECT_EQ(n.net.impl().sites.size(), 2U);
    EXPECT_EQ(n.net.impl().keys.count("key1"), 1U);
  }
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

TEST(Network, DescriptionSaysWhichCapacitiesAreDefaults) {
  Net n;
  n.net.conv(n.in, layer("down", kDown, 4, 4));
  expect_mentions(n.net.describe(), {"capacity 100\n", "capacity 200 (default)"});
  n.net.set_capacity("down", 77);
  EXPECT_EQ(n.net.describe().find("default"), std::string::npos);
}

TEST(Network, CapacitiesThatWereNotSetFollowTheRule) {
  const auto strided = [](std::int32_t kernel, std::int32_t stride, std::int32_t dilation = 1) {
    return ConvGeometry{ConvKind::kRegular, Dims::filled(3, kernel), Dims::filled(3, stride),
                        Dims::filled(3, 1), Dims::filled(3, dilation)};
  };
  const ConvGeometry half{ConvKind::kRegular, Dims::filled(3, 2), Dims::filled(3, 2)};
  const ConvGeometry grow{ConvKind::kTransposed, Dims::filled(3, 2), Dims::filled(3, 2)};
  Network net;
  const Value in = net.input("in", {64, 64, 64}, 2, 1, 1000);
  const auto sites_of = [&](Value v) { return static_cast<std::size_t>(net.impl().node(v.id).sites); };
  const auto rows = [&](Value v) { return row_capacities(net.impl())[sites_of(v)]; };
  const Value down = net.conv(in, layer("down", strided(3, 2), 1, 1));
  const Value down2 = net.conv(down, layer("down2", strided(3, 2), 1, 1));
  const Value pool = net.pool(in, half, {}, "pool");
  const Value even = net.pool(in, {ConvKind::kRegular, {3, 1, 1}, {2, 1, 1}, {1, 0, 0}}, {}, "even");
  const Value far = net.pool(in, strided(3, 6, 4), {}, "far");  // reach ceil(3 / (6 / 2)) = 1 on each axis
  const Value flat = net.conv(down2, layer("flat", strided(3, 16), 1, 1));
  const Value up = net.conv(down, layer("up", grow, 1, 1));
  const Value up_down = net.conv(up, layer("up_down", strided(3, 2), 1, 1));
  const Value last = net.conv(up_down, layer("last", strided(3, 2), 1, 1));
  EXPECT_EQ(rows(in), 1000);
  EXPECT_EQ(rows(down), 2000) << "8 outputs an input are possible, 2 are expected";
  EXPECT_EQ(rows(down2), 2000) << "the growth counts from the input, not from level to level";
  EXPECT_EQ(rows(pool), 1000) << "no input feeds two windows";
  EXPECT_EQ(rows(even), 2000);
  EXPECT_EQ(rows(far), 1000);
  EXPECT_EQ(rows(flat), 2) << "the cells: one a batch entry";
  EXPECT_EQ(rows(up), 16000) << "every input makes 8";
  EXPECT_EQ(rows(up_down), 32000) << "2 * 16000";
  EXPECT_EQ(rows(last), 2 * 16 * 16 * 16) << "the cells";
  net.set_capacity("down", 1200);
  EXPECT_EQ(rows(down2), 2400) << "counts from what was set";
  EXPECT_EQ(rows(up), 9600);
  EXPECT_EQ(rows(even), 2000);
  net.set_capacity("in", 300);
  EXPECT_EQ(rows(even), 600);
  EXPECT_EQ(rows(down), 1200);
  net.set_capacity("in", std::numeric_limits<std::int32_t>::max());
  EXPECT_EQ(rows(in), 2 * 64 * 64 * 64);
  Network small;
  small.input("in", {4, 5, 6}, 2, 1, 100000);
  EXPECT_EQ(row_capacities(small.impl())[0], 240);
}

TEST(Network, TwiceTheLargestCapacityIsStillARowCount) {
  constexpr std::int32_t kMost = std::numeric_limits<std::int32_t>::max();
  Network net;
  const Value in = net.input("in", {1 << 15, 1 << 15, 1 << 15}, 1, 1, kMost);
  net.conv(in, layer("up", {ConvKind::kTransposed, Dims::filled(3, 2), Dims::filled(3, 2)}, 1, 1));
  net.conv(in, layer("down", {ConvKind::kRegular, Dims::filled(3, 3), Dims::filled(3, 2)}, 1, 1));
  EXPECT_EQ(row_capacities(net.impl()), (std::vector<std::int32_t>{kMost, kMost, kMost}));
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
