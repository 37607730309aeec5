// Proves that a building call of Network that throws leaves the network as it was, whatever made it throw: an
// argument that it refuses, a count beyond 63 bits, or memory that ran out at any of its allocations.
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <new>

#include "graph/nodes.h"
#include "tests/support/counted_new.h"

namespace voxgemm {
namespace {

constexpr std::int32_t kMost = std::numeric_limits<std::int32_t>::max();
const ConvGeometry kSubm3{ConvKind::kSubm, Dims::filled(3, 3)};
const ConvGeometry kDown{ConvKind::kRegular, Dims::filled(3, 3), Dims::filled(3, 2), Dims::filled(3, 1)};
const ConvGeometry kPlane{ConvKind::kRegular, {1, 3, 3}};

ConvLayer layer(const std::string& name, const ConvGeometry& geometry, std::int32_t c_in, std::int32_t c_out,
                const std::string& key = "") {
  ConvLayer conv{name, key, geometry, c_out};
  conv.weights.assign(static_cast<std::size_t>(c_out * c_in * geometry.kernel_volume()), 0.5F);
  return conv;
}

/// Everything that a network holds but its weights.
std::string trace(const Network& net) {
  const Network::Impl& impl = net.impl();
  std::string text = net.describe();
  for (const SiteSet& s : impl.sites) {
    text += "sites " + to_string(s.shape) + " x " + std::to_string(s.batch_size) + " by " +
            std::to_string(s.made_by) + " capacity " + std::to_string(s.capacity) + "\n";
  }
  for (const MapNode& m : impl.maps) {
    text += "map " + m.first_layer + " " + std::to_string(m.in_sites) + " -> " + std::to_string(m.out_sites);
    text += "\n";
  }
  for (const auto& [key, first] : impl.keys) {
    text += "key " + key + " " + std::to_string(first.map) + " by " + first.layer + "\n";
  }
  for (const NamedOutput& o : impl.outputs) text += "output " + o.name + " " + std::to_string(o.node) + "\n";
  return text;
}

/// A network with one of everything that a later call may fail on.
struct Net {
  Network net;
  Value in = net.input("in", {8, 16, 16}, 2, 4, 100);
  Value wide = net.conv(in, layer("wide", kSubm3, 4, 6, "s1"));
  Value down = net.conv(in, layer("down", kDown, 4, 4, "d1"));
  Value dense = net.to_dense(in, DenseLayout::kNCHW, "dense");
  Net() { net.output(dense, "out"); }
};

using Call = std::function<void(Net&)>;

struct Refused {
  const char* what;
  ErrorCode code;
  Call call;
};

std::vector<Refused> refused_calls() {
  constexpr ErrorCode kArgument = ErrorCode::kInvalidArgument;
  constexpr ErrorCode kShape = ErrorCode::kShape;
  ConvGeometry deep = kPlane;
  deep.kernel_size = {9, 1, 1};
  return {
      {"second input", kArgument,
       [](Net& n) {
         n.net.input("in2", {4, 4, 4}, 1, 4, 5);
       }},
      {"conv, used name", kArgument, [](Net& n) { n.net.conv(n.in, layer("in", kPlane, 4, 4, "new")); }},
      {"conv, no name", kArgument, [](Net& n) { n.net.conv(n.in, layer("", kPlane, 4, 4, "new")); }},
      {"conv, weights", kShape, [](Net& n) { n.net.conv(n.in, layer("x", kPlane, 5, 4, "new")); }},
      {"conv, extent", kShape, [=](Net& n) { n.net.conv(n.in, layer("x", deep, 4, 4, "new")); }},
      {"conv, dense", kShape, [](Net& n) { n.net.conv(n.dense, layer("x", kPlane, 4, 4, "new")); }},
      {"conv, no value", kArgument, [](Net& n) { n.net.conv({99}, layer("x", kPlane, 4, 4, "new")); }},
      {"conv, key", kArgument, [](Net& n) { n.net.conv(n.in, layer("x", kPlane, 4, 4, "s1")); }},
      {"inverse, used name", kArgument,
       [](Net& n) { n.net.inverse_conv(n.down, layer("in", kDown, 4, 4, "d1")); }},
      {"inverse, key", ErrorCode::kNotFound,
       [](Net& n) { n.net.inverse_conv(n.down, layer("x", kDown, 4, 4, "new")); }},
      {"inverse, sites", kShape, [](Net& n) { n.net.inverse_conv(n.in, layer("x", kDown, 4, 4, "d1")); }},
      {"add, used name", kArgument, [](Net& n) { n.net.add(n.in, n.in, "wide"); }},
      {"add, sites", kShape, [](Net& n) { n.net.add(n.in, n.down, "x"); }},
      {"relu, used name", kArgument, [](Net& n) { n.net.relu(n.in, "wide"); }},
      {"pool, used name", kArgument, [](Net& n) { n.net.pool(n.in, kPlane, {}, "wide"); }},
      {"pool, key", kArgument, [](Net& n) { n.net.pool(n.in, kPlane, {}, "x", "d1"); }},
      {"pool, no name", kArgument, [](Net& n) { n.net.pool(n.in, kPlane, {}, ""); }},
      {"pool, extent", kShape, [=](Net& n) { n.net.pool(n.in, deep, {}, "x"); }},
      {"global_pool, used name", kArgument, [](Net& n) { n.net.global_pool(n.in, PoolKind::kMax, "wide"); }},
      {"concat, nothing", kArgument, [](Net& n) { n.net.concat({}, "x"); }},
      {"concat, used name", kArgument,
       [](Net& n) {
         n.net.concat(std::vector{n.in, n.wide}, "wide");
       }},
      {"concat, sites", kShape,
       [](Net& n) {
         n.net.concat(std::vector{n.in, n.down}, "x");
       }},
      {"to_dense, used name", kArgument, [](Net& n) { n.net.to_dense(n.in, DenseLayout::kNCHW, "wide"); }},
      {"output, used name", kArgument, [](Net& n) { n.net.output(n.in, "out"); }},
      {"output, no value", kArgument, [](Net& n) { n.net.output({-1}, "x"); }},
      {"set_capacity, rows", kArgument, [](Net& n) { n.net.set_capacity("down", 0); }},
      {"set_capacity, no sites", kArgument, [](Net& n) { n.net.set_capacity("wide", 7); }},
      {"set_capacities, the last", ErrorCode::kNotFound,
       [](Net& n) {
         n.net.set_capacities({{{"down", 7}, {"in", 9}, {"nolayer", 5}}});
       }},
  };
}

/// One call of each kind that succeeds, under names and keys that the refused ones asked for.
std::vector<Call> good_calls() {
  return {
      [](Net& n) { n.net.conv(n.in, layer("x", kPlane, 4, 4, "new")); },
      [](Net& n) { n.net.conv(n.in, layer("x", kSubm3, 4, 4, "another")); },
      [](Net& n) { n.net.inverse_conv(n.down, layer("x", kDown, 4, 4, "d1")); },
      [](Net& n) { n.net.add(n.in, n.in, "x"); },
      [](Net& n) { n.net.relu(n.in, "x"); },
      [](Net& n) { n.net.pool(n.in, kPlane, {}, "x"); },
      [](Net& n) { n.net.pool(n.in, kPlane, {}, "x", "new"); },
      [](Net& n) { n.net.global_pool(n.in, PoolKind::kMax, "x"); },
      [](Net& n) {
        n.net.concat(std::vector{n.in, n.wide}, "x");
      },
      [](Net& n) { n.net.to_dense(n.in, DenseLayout::kNCHW, "x"); },
      [](Net& n) { n.net.output(n.in, "an output whose name is not a short string"); },
      [](Net& n) { n.net.set_capacity("down", 7); },
      [](Net& n) {
        n.net.set_capacities({{{"down", 7}, {"in", 9}}});
      },
  };
}

TEST(Refusal, LeavesNoTrace) {
  for (const Refused& refused : refused_calls()) {
    SCOPED_TRACE(refused.what);
    Net n;
    const std::string before = trace(n.net);
    try {
      refused.call(n);
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), refused.code) << error.what();
    }
    EXPECT_EQ(trace(n.net), before);
    Net fresh;
    for (Net* each : {&n, &fresh}) {  // the names and keys that it asked for are free
      const Value x = each->net.conv(each->in, layer("x", kPlane, 4, 4, "new"));
      each->net.inverse_conv(x, layer("y", kPlane, 4, 4, "new"));
      each->net.set_capacity("x", 50);
    }
    EXPECT_EQ(trace(n.net), trace(fresh.net));
  }
}

TEST(Refusal, AnInputMayBeDeclaredAgain) {
  Network net;
  EXPECT_THROW(net.input("", {4, 4, 4}, 1, 4, 5), Error);
  EXPECT_THROW(net.input("in", {4, 4, 0}, 1, 4, 5), Error);
  EXPECT_THROW(net.input("in", {4, 4, 4}, 1, 0, 5), Error);
  EXPECT_TRUE(net.impl().sites.empty());
  net.input("in", {8, 8, 8}, 1, 4, 5);
  EXPECT_EQ(net.impl().site_set(0).shape, (Dims{8, 8, 8}));
}

TEST(Refusal, MemoryThatRunsOutAnywhereLeavesNoTrace) {
#if !VOXGEMM_COUNTS_NEW
  GTEST_SKIP() << "operator new belongs to the sanitizer";
#endif
  std::size_t number = 0;
  for (const Call& call : good_calls()) {
    SCOPED_TRACE(number++);
    Net expected;
    call(expected);
    long limit = 0;
    for (bool refused = true; refused; ++limit) {
      ASSERT_LT(limit, 1000);
      Net n;
      const std::string before = trace(n.net);
      refused = false;
      test::allocations_left = limit;
      try {
        call(n);
      } catch (const std::bad_alloc&) {
        refused = true;
      }
      test::allocations_left = -1;
      if (refused) {
        EXPECT_EQ(trace(n.net), before) << "allocation " << limit;
        call(n);
      }
      EXPECT_EQ(trace(n.net), trace(expected.net)) << "allocation " << limit;
    }
  }
}

/// Runs `action`, which is refused with kShape, and returns the message.
std::string shape_error(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kShape) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

void expect_mentions(const std::string& text, std::initializer_list<const char*> words) {
  for (const char* word : words) EXPECT_NE(text.find(word), std::string::npos) << word << " in: " << text;
}

TEST(Counts, InputCellsFit63Bits) {
  Network net;
  expect_mentions(shape_error([&] {
                    net.input("in", {1 << 21, 1 << 21, 1 << 21}, 1, 4, 5);
                  }),
                  {"'in'", "z 2097152, y 2097152, x 2097152", "9.223e+18 cells", "9223372036854775807"});
  expect_mentions(shape_error([&] {
                    net.input("in", {kMost, kMost, kMost, kMost}, kMost, 4, 5);
                  }),
                  {"'in'", "w 2147483647, z 2147483647", "4.567e+46 cells"});
  const Value in = net.input("in", {1 << 21, 1 << 21, 1 << 20}, 1, 4, 5);
  net.set_capacity("in", 100);
  EXPECT_EQ(net.impl().site_set(net.impl().node(in.id).sites).capacity, 100);
}

TEST(Counts, CellsOfGrownLevelsFit63Bits) {
  const ConvGeometry up{ConvKind::kTransposed, Dims::filled(3, 2), Dims::filled(3, 2)};
  Network net;
  Value value = net.input("in", {1 << 19, 1 << 19, 1 << 19}, 2, 4, 5);
  value = net.conv(value, layer("up1", up, 4, 4));  // 2^61 cells
  net.set_capacity("up1", 100);
  EXPECT_EQ(net.impl().site_set(1).capacity, 100);
  const std::string before = trace(net);
  expect_mentions(shape_error([&] { net.conv(value, layer("up2", up, 4, 4, "key")); }),
                  {"'up2'", "batch 2", "z 2097152", "1.845e+19 cells", "9223372036854775807"});
  expect_mentions(shape_error([&] { net.pool(value, up, {}, "up3"); }), {"'up3'", "1.845e+19 cells"});
  ConvGeometry far = up;
  far.stride = {1, 4096, 1};
  expect_mentions(shape_error([&] { net.conv(value, layer("up4", far, 4, 4)); }),
                  {"'up4'", "axis y", "y 1048576", "2147483647"});
  EXPECT_EQ(trace(net), before);
}

TEST(Counts, WeightsChannelsAndElementsFit) {
  Network net;
  const Value in = net.input("in", {8, 1 << 20, 1 << 20}, 1, kMost, 5);
  ConvLayer heavy{"heavy", "", {ConvKind::kSubm, Dims::filled(3, 7)}, kMost};
  expect_mentions(shape_error([&] { net.conv(in, heavy); }),
                  {"'heavy'", "2147483647 x kv 343", "1.582e+21 weights", "9223372036854775807"});
  expect_mentions(shape_error([&] {
                    net.concat(std::vector{in, in}, "both");
                  }),
                  {"'both'", "4294967294 channels", "2147483647"});
  expect_mentions(shape_error([&] { net.to_dense(in, DenseLayout::kNCHW, "dense"); }),
                  {"'dense'", "1.889e+22 elements of 2147483647 channels"});
  EXPECT_EQ(net.impl().nodes.size(), 1U);
}

}  // namespace
}  // namespace voxgemm
