// The two published LiDAR backbones, with weights from a counter-based generator.
#include "voxgemm/backbones.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "core/check.h"
#include "voxgemm/network.h"

namespace voxgemm {
namespace {

/// SplitMix64 of a counter: the same 64 bits on every machine, in any order of asking.
std::uint64_t hash(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

/// Uniform in [-1, 1), exact in float32.
float uniform(std::uint64_t stream, std::uint64_t counter) {
  const std::uint64_t bits = hash(hash(stream) + counter) >> 40;  // 24 bits
  return static_cast<float>(static_cast<std::int64_t>(bits) - (1 << 23)) * 0x1.0p-23F;
}

/// Raw features are metres and intensities, tens to hundreds. Folding a trained batch norm leaves biases of
/// the order of such activations, which keeps their distribution from growing a longer tail with every layer.
constexpr float kBiasRange = 16.0F;

/// Adds layers to one network, numbering them for the generator.
class Builder {
 public:
  explicit Builder(const BackboneOptions& options) : options_(options) {
    check(options.spatial_shape.ndim == 3, ErrorCode::kShape,
          "BackboneOptions::spatial_shape has {} axes, 3 expected", options.spatial_shape.ndim);
    value_ =
        net_.input("input", options.spatial_shape, options.batch_size, options.in_channels, options.capacity);
    channels_ = options.in_channels;
  }

  /// Convolution with He-uniform weights: |w| <= sqrt(6 / fan_in), |b| <= 16.
  Value conv(Value in, const std::string& name, const std::string& key, std::int32_t c_out,
             const ConvGeometry& geometry, Activation activation) {
    ConvLayer layer{name, key, geometry, c_out};
    const std::int64_t fan_in = std::int64_t{geometry.kernel_volume()} * channels_;
    const auto bound = static_cast<float>(std::sqrt(6.0 / static_cast<double>(fan_in)));
    const std::uint64_t stream = hash(options_.seed) + 2 * layers_++;
    layer.weights.resize(static_cast<std::size_t>(c_out) * static_cast<std::size_t>(fan_in));
    for (std::size_t i = 0; i < layer.weights.size(); ++i) layer.weights[i] = bound * uniform(stream, i);
    layer.bias.resize(static_cast<std::size_t>(c_out));
    for (std::size_t i = 0; i < layer.bias.size(); ++i) layer.bias[i] = kBiasRange * uniform(stream + 1, i);
    layer.activation = activation;
    channels_ = c_out;
    return net_.conv(in, std::move(layer));
  }

  void subm(const std::string& name, const std::string& key, std::int32_t c_out) {
    value_ = conv(value_, name, key, c_out, {ConvKind::kSubm, Dims::filled(3, 3)}, Activation::kReLU);
  }

  void strided(const std::string& name, const std::string& key, std::int32_t c_out, const Dims& kernel,
               const Dims& stride, const Dims& padding) {
    value_ = conv(value_, name, key, c_out, {ConvKind::kRegular, kernel, stride, padding}, Activation::kReLU);
  }

  /// Two submanifold convolutions around an identity skip.
  void block(const std::string& name, const std::string& key, std::int32_t channels) {
    const ConvGeometry k3{ConvKind::kSubm, Dims::filled(3, 3)};
    const Value first = conv(value_, name + ".conv1", key, channels, k3, Activation::kReLU);
    const Value second = conv(first, name + ".conv2", key, channels, k3, Activation::kNone);
    value_ = net_.relu(net_.add(second, value_, name + ".add"), name + ".relu");
  }

  Network finish() {
    if (options_.dense_output) value_ = net_.to_dense(value_, options_.layout, "to_dense");
    net_.output(value_, "output");
    return std::move(net_);
  }

 private:
  BackboneOptions options_;
  Network net_;
  Value value_{};
  std::int32_t channels_ = 0;
  std::uint64_t layers_ = 0;
};

/// What the two backbones differ in: how a stage goes on after its strided convolution, and its last width.
struct Plan {
  bool residual = false;  ///< blocks of two convolutions around a skip, instead of single convolutions
  std::int32_t last_channels = 64;
};

/// Layer `name` of stage `stage` (1 to 4) on that stage's sites.
void add_layer(Builder& net, const Plan& plan, const std::string& name, int stage, std::int32_t channels) {
  if (plan.residual) {
    net.block(name, fmt::format("res{}", stage), channels);
  } else {
    net.subm(name, fmt::format("subm{}", stage), channels);
  }
}

Network make_backbone(const BackboneOptions& options, const Plan& plan) {
  Builder net(options);
  net.subm("conv_input", "subm1", 16);
  add_layer(net, plan, "conv1.0", 1, 16);
  if (plan.residual) add_layer(net, plan, "conv1.1", 1, 16);
  std::int32_t channels = 16;
  for (int stage = 2; stage <= 4; ++stage) {
    channels = stage == 4 ? plan.last_channels : 2 * channels;
    const Dims padding = stage == 4 ? Dims{0, 1, 1} : Dims::filled(3, 1);
    net.strided(fmt::format("conv{}.0", stage), fmt::format("spconv{}", stage), channels, Dims::filled(3, 3),
                Dims::filled(3, 2), padding);
    for (int layer = 1; layer <= 2; ++layer) {
      add_layer(net, plan, fmt::format("conv{}.{}", stage, layer), stage, channels);
    }
  }
  net.strided("conv_out", "spconv_down2", 128, {3, 1, 1}, {2, 1, 1}, {0, 0, 0});
  return net.finish();
}

}  // namespace

Network make_second_backbone(const BackboneOptions& options) {
  return make_backbone(options, {.residual = false, .last_channels = 64});
}

Network make_centerpoint_backbone(const BackboneOptions& options) {
  return make_backbone(options, {.residual = true, .last_channels = 128});
}

}  // namespace voxgemm
