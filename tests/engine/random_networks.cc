#include "tests/engine/random_networks.h"

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <vector>

#include "graph/nodes.h"
#include "tests/engine/engine_runner.h"

namespace voxgemm::test {
namespace {

constexpr std::int32_t kCapacity = 200;

/// Sparse values of one site set.
struct Level {
  std::vector<std::pair<Value, std::int32_t>> values;  ///< and their channels
  std::string key;         ///< of the layer that made it; "" = the input, or a layer without one
  ConvGeometry made_by{};  ///< of that layer
};

class Generator {
 public:
  explicit Generator(std::uint32_t seed) : random_(seed), seed_(seed) {
    t_.name = "random";
    t_.shape = any_shape();
    t_.batch_size = pick(1, 2);
    t_.channels = pick(1, 6);
    mark_percent_ = pick(0, 60);
  }

  TestNetwork run() {
    const Value in = t_.net.input("in", t_.shape, t_.batch_size, t_.channels, kCapacity);
    levels_.push_back({{{in, t_.channels}}, "", {}});
    for (std::int32_t layers = pick(3, 10); layers > 0; --layers) add_layers();
    if (outputs_ == 0) mark(levels_.back().values.back().first, pick(0, 3));
    return std::move(t_);
  }

 private:
  std::int32_t pick(std::int32_t low, std::int32_t high) {
    return low + static_cast<std::int32_t>(random_() % static_cast<std::uint32_t>(high - low + 1));
  }
  /// 3-D most often; every shape has room for the sites of a frame.
  Dims any_shape() {
    switch (pick(0, 7)) {
      case 0:
        return {pick(80, 200)};
      case 1:
        return {pick(9, 20), pick(9, 20)};
      case 2:
        return {pick(3, 4), pick(3, 5), pick(3, 6), pick(3, 6)};
      default:
        return {pick(4, 9), pick(5, 10), pick(5, 10)};
    }
  }
  [[nodiscard]] Dims filled(std::int32_t extent) const { return Dims::filled(t_.shape.ndim, extent); }
  std::string next_name() { return std::string("n").append(std::to_string(names_++)); }
  std::pair<Value, std::int32_t> any(const Level& level) {
    return level
        .values[static_cast<std::size_t>(pick(0, static_cast<std::int32_t>(level.values.size()) - 1))];
  }

  /// Marks `value` as an output of kind 0 sparse, 1 dense, 2 maximum, 3 average.
  void mark(Value value, std::int32_t kind) {
    const std::string name = std::string("out").append(std::to_string(outputs_++));
    Network& net = t_.net;
    if (kind == 1) {
      value = net.to_dense(value, static_cast<DenseLayout>(pick(0, 3)), name);
    } else if (kind > 1) {
      value = net.global_pool(value, kind == 2 ? PoolKind::kMax : PoolKind::kAverage, name);
    }
    net.output(value, name + ".of");
  }

  Value keep(Level& level, Value value, std::int32_t channels) {
    level.values.emplace_back(value, channels);
    while (pick(1, 100) <= mark_percent_) mark(value, pick(0, 3));
    return value;
  }

  ConvLayer layer(const ConvGeometry& geometry, std::int32_t c_in, std::int32_t c_out, Activation activation,
                  const std::string& key = "") {
    return random_conv(next_name(), geometry, c_in, c_out, seed_ * 31U + static_cast<std::uint32_t>(names_),
                       activation, key);
  }
  Activation activation() {
    constexpr std::array kAll{Activation::kNone, Activation::kReLU, Activation::kLeakyReLU,
                              Activation::kSigmoid};
    return kAll[static_cast<std::size_t>(pick(0, 3))];
  }

  void add_subm(Level& level) {
    const auto [in, c] = any(level);
    const std::int32_t c_out = pick(0, 1) == 0 ? c : pick(1, 4) * 8;
    const bool pointwise = pick(0, 3) == 0;  // under one key on every level: it counts for nothing
    const ConvKind kind = pointwise && pick(0, 1) == 0 ? ConvKind::kRegular : ConvKind::kSubm;
    const ConvGeometry geometry{kind, filled(pointwise ? 1 : 3)};
    keep(level, t_.net.conv(in, layer(geometry, c, c_out, activation(), pointwise ? "pointwise" : "")),
         c_out);
  }

  /// stage + conv(conv(stage)), often with a ReLU behind: what the in-place residual is made for.
  void add_residual_block(Level& level) {
    const auto [stage, c] = any(level);
    const ConvGeometry geometry{ConvKind::kSubm, filled(3)};
    const Value a = keep(level, t_.net.conv(stage, layer(geometry, c, c, Activation::kReLU)), c);
    const Value b = keep(level, t_.net.conv(a, layer(geometry, c, c, Activation::kNone)), c);
    const bool swapped = pick(0, 1) == 1;
    const Value sum = keep(level, t_.net.add(swapped ? stage : b, swapped ? b : stage, next_name()), c);
    if (pick(0, 2) > 0) keep(level, t_.net.relu(sum, next_name()), c);
  }

  void add_join(Level& level) {
    const auto [a, ca] = any(level);
    const auto [b, cb] = any(level);
    if (ca == cb && pick(0, 1) == 0) {
      keep(level, t_.net.add(a, b, next_name()), ca);
      return;
    }
    const std::array<Value, 2> both{a, b};
    keep(level, t_.net.concat(both, next_name()), ca + cb);
  }

  [[nodiscard]] ConvGeometry down() const { return {ConvKind::kRegular, filled(3), filled(2), filled(1)}; }

  /// A deeper level made by a pool, or a finer one by a transposed convolution, with or without a key.
  void add_other_level() {
    const auto [in, c] = any(levels_.back());
    const std::int32_t c_out = pick(1, 3) * 8;
    Level next;
    if (pick(0, 1) == 0) next.key = std::string("level").append(std::to_string(levels_.size()));
    std::string name;
    if (pick(0, 1) == 0) {
      Dims window = t_.net.impl().site_set(t_.net.impl().node(in.id).sites).shape;
      for (int axis = 0; axis < window.ndim; ++axis) window[axis] = std::min(window[axis], 2);
      next.made_by = {ConvKind::kRegular, window, window};
      const PoolOptions options{pick(0, 2) == 0 ? PoolKind::kAverage : PoolKind::kMax, pick(0, 3) == 0};
      name = next_name();
      const Value out = t_.net.pool(in, next.made_by, options, name, next.key);
      keep(next, out, c);
    } else {
      next.made_by = {ConvKind::kTransposed, filled(2), filled(2)};
      ConvLayer grow = layer(next.made_by, c, c_out, activation(), next.key);
      name = grow.name;
      keep(next, t_.net.conv(in, std::move(grow)), c_out);
    }
    t_.net.set_capacity(name, 100 * kCapacity);
    levels_.push_back(std::move(next));
  }

  void add_level() {
    const auto [in, c] = any(levels_.back());
    const std::int32_t c_out = pick(1, 4) * 8;
    Level next{{}, std::string("down").append(std::to_string(levels_.size())), down()};
    ConvLayer strided = layer(next.made_by, c, c_out, activation(), next.key);
    const std::string name = strided.name;
    const Value out = t_.net.conv(in, std::move(strided));
    t_.net.set_capacity(name, 100 * kCapacity);
    keep(next, out, c_out);
    levels_.push_back(std::move(next));
  }

  /// Back to the level above the deepest one, which grows there again.
  void add_inverse() {
    if (levels_.back().key.empty())
      return levels_.size() < 3 ? add_level() : add_residual_block(levels_.back());
    const Level& low = levels_.back();
    Level& high = levels_[levels_.size() - 2];
    const auto [in, c] = any(low);
    const std::int32_t c_out = pick(1, 4) * 8;
    keep(high, t_.net.inverse_conv(in, layer(low.made_by, c, c_out, activation(), low.key)), c_out);
  }

  void add_layers() {
    Level& level = levels_[static_cast<std::size_t>(pick(0, static_cast<std::int32_t>(levels_.size()) - 1))];
    switch (pick(0, 8)) {
      case 0:
      case 1:
        return add_subm(level);
      case 2:
      case 3:
      case 4:
        return add_residual_block(level);
      case 5:
        return add_join(level);
      case 6: {
        const auto [in, c] = any(level);
        keep(level, t_.net.relu(in, next_name()), c);
        return;
      }
      case 7:
        if (levels_.size() > 2) return add_residual_block(level);
        return pick(0, 2) == 0 ? add_other_level() : add_level();
      default:
        return add_inverse();
    }
  }

  std::mt19937 random_;
  std::uint32_t seed_;
  TestNetwork t_{};
  std::vector<Level> levels_;
  std::int32_t names_ = 0;
  std::int32_t outputs_ = 0;
  std::int32_t mark_percent_ = 0;
};

}  // namespace

TestNetwork random_network(std::uint32_t seed) { return Generator(seed).run(); }

ScaleTable seeded_scales(const Network& net, std::uint32_t seed) {
  ScaleTable table;
  const Network::Impl& impl = net.impl();
  for (std::size_t i = 0; i < impl.nodes.size(); ++i) {
    table.scale[impl.nodes[i].name] = 0.02F + 0.001F * static_cast<float>((seed + i * 7) % 13);
  }
  return table;
}

}  // namespace voxgemm::test
