#include "tests/engine/test_networks.h"

#include <array>

namespace voxgemm::test {
namespace {

const ConvGeometry kSubm3{ConvKind::kSubm, Dims::filled(3, 3)};
constexpr std::int32_t kCapacity = 600;

}  // namespace

TestNetwork residual_unet() {
  TestNetwork t{"residual_unet", {}, {9, 14, 13}, 2, 5};
  Network& net = t.net;
  const auto relu = Activation::kReLU;
  const Value in = net.input("in", t.shape, t.batch_size, t.channels, kCapacity);
  const Value stem = net.conv(in, random_conv("stem", kSubm3, 5, 16, 1, relu, "s1"));
  const Value a = net.conv(stem, random_conv("block.conv1", kSubm3, 16, 16, 2, relu, "s1"));
  const Value b = net.conv(a, random_conv("block.conv2", kSubm3, 16, 16, 3, Activation::kNone, "s1"));
  const Value block = net.relu(net.add(b, stem, "block.add"), "block.relu");
  const ConvGeometry down{ConvKind::kRegular, Dims::filled(3, 3), Dims::filled(3, 2), Dims::filled(3, 1)};
  const Value low = net.conv(block, random_conv("down", down, 16, 32, 4, relu, "d1"));
  net.set_capacity("down", 900);
  const Value c = net.conv(low, random_conv("low.conv1", kSubm3, 32, 32, 5, relu));
  const Value d = net.conv(c, random_conv("low.conv2", kSubm3, 32, 32, 6));
  const Value deep = net.relu(net.add(low, d, "low.add"), "low.relu");
  const Value up = net.inverse_conv(deep, random_conv("up", down, 32, 16, 7, relu, "d1"));
  const std::array<Value, 2> both{up, block};
  const Value joined = net.concat(both, "joined");
  const Value head = net.conv(joined, random_conv("head", {ConvKind::kSubm, Dims::filled(3, 1)}, 32, 8, 8));
  net.output(head, "head");
  net.output(net.to_dense(deep, DenseLayout::kNCHW, "dense"), "dense");
  return t;
}

TestNetwork mixed_layers() {
  TestNetwork t{"mixed_layers", {}, {7, 12, 12}, 1, 3};
  Network& net = t.net;
  const Value in = net.input("in", t.shape, t.batch_size, t.channels, kCapacity);
  ConvGeometry dilated = kSubm3;
  dilated.dilation = {1, 2, 2};
  const Value a = net.conv(in, random_conv("a", dilated, 3, 24, 11, Activation::kLeakyReLU));
  const Value b = net.conv(a, random_conv("b", kSubm3, 24, 24, 12));
  const Value c = net.conv(a, random_conv("c", {ConvKind::kSubm, {1, 3, 3}}, 24, 24, 13));
  const Value sum = net.relu(net.add(b, c, "sum"), "sum.relu");
  PoolOptions options;
  const ConvGeometry half{ConvKind::kRegular, Dims::filled(3, 2), Dims::filled(3, 2)};
  const Value pooled = net.pool(sum, half, options, "pooled", "p1");
  net.set_capacity("pooled", 500);
  options.zero_floor = true;
  const Value floor = net.pool(a, half, options, "floor");
  const Value both = net.add(pooled, floor, "both");
  const Value flat = net.relu(both, "flat");
  const ConvGeometry squash{ConvKind::kRegular, {3, 1, 1}, {2, 1, 1}};
  const Value out = net.conv(flat, random_conv("out", squash, 24, 40, 14, Activation::kReLU));
  net.set_capacity("out", 400);
  const Value unpooled =
      net.inverse_conv(flat, random_conv("unpooled", half, 24, 12, 15, Activation::kReLU, "p1"));
  const Value point = net.conv(unpooled, random_conv("point", {ConvKind::kRegular, Dims::filled(3, 1)}, 12,
                                                     24, 16, Activation::kNone, "p1"));
  net.output(out, "out");
  net.output(sum, "early");
  net.output(net.to_dense(out, DenseLayout::kNHWC, "dense"), "dense");
  net.output(net.global_pool(out, PoolKind::kMax, "max"), "max");
  net.output(net.add(point, sum, "late"), "late");
  net.output(net.to_dense(sum, DenseLayout::kNCHWFoldLast, "folded"), "folded");
  const ConvLayer gate = random_conv("gate", kSubm3, 24, 24, 17, Activation::kSigmoid);
  const Value gated = net.conv(sum, gate);
  net.output(net.conv(gated, random_conv("behind", kSubm3, 24, 8, 18, Activation::kSigmoid)), "behind");
  return t;
}

TestNetwork transposed_2d() {
  TestNetwork t{"transposed_2d", {}, {24, 20}, 3, 7};
  Network& net = t.net;
  const Value in = net.input("in", t.shape, t.batch_size, t.channels, kCapacity);
  const ConvGeometry subm{ConvKind::kSubm, Dims::filled(2, 5)};
  const Value a = net.conv(in, random_conv("a", subm, 7, 9, 21, Activation::kReLU));
  const ConvGeometry down{ConvKind::kRegular, Dims::filled(2, 2), Dims::filled(2, 2)};
  const Value b = net.conv(a, random_conv("b", down, 9, 11, 22, Activation::kReLU));
  net.set_capacity("b", 500);
  const ConvGeometry grow{ConvKind::kTransposed, Dims::filled(2, 3), Dims::filled(2, 2), Dims::filled(2, 1)};
  const Value c = net.conv(b, random_conv("c", grow, 11, 13, 23));
  net.set_capacity("c", 1400);
  net.output(c, "c");
  return t;
}

}  // namespace voxgemm::test
