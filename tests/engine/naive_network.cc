#include "tests/engine/naive_network.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "voxgemm/calibration.h"
#include "voxgemm/epilogue.h"
#include "voxgemm/quantize.h"

namespace voxgemm::test {
namespace {

using Index = std::map<Site, std::int32_t>;

Index index_of(const std::vector<Site>& sites) {
  Index index;
  for (std::size_t i = 0; i < sites.size(); ++i) index.emplace(sites[i], static_cast<std::int32_t>(i));
  return index;
}

std::vector<Dims> offsets_of(const Dims& kernel) {
  std::vector<Dims> offsets;
  for (std::int64_t k = 0; k < kernel.product(); ++k) {
    Dims r = Dims::filled(kernel.ndim, 0);
    std::int64_t rest = k;
    for (int a = kernel.ndim - 1; a >= 0; --a) {
      r[a] = static_cast<std::int32_t>(rest % kernel[a]);
      rest /= kernel[a];
    }
    offsets.push_back(r);
  }
  return offsets;
}

/// Output site that `in` reaches under offset r, if there is one.
bool reach(const ConvGeometry& g, const Dims& out_shape, const Site& in, const Dims& r, Site& out) {
  out = Site{in[0]};
  for (int a = 0; a < out_shape.ndim; ++a) {
    const auto s = static_cast<std::size_t>(a) + 1;
    std::int32_t o = 0;
    if (g.kind == ConvKind::kSubm) o = in[s] - (r[a] - g.kernel_size[a] / 2) * g.dilation[a];
    if (g.kind == ConvKind::kTransposed) o = in[s] * g.stride[a] - g.padding[a] + r[a] * g.dilation[a];
    if (g.kind == ConvKind::kRegular) {
      const std::int32_t scaled = in[s] + g.padding[a] - r[a] * g.dilation[a];
      if (scaled < 0 || scaled % g.stride[a] != 0) return false;
      o = scaled / g.stride[a];
    }
    if (o < 0 || o >= out_shape[a]) return false;
    out[s] = o;
  }
  return true;
}

std::int8_t to_int8(float x, float scale) { return saturate_int8(x / scale); }

/// Evaluates fused nodes in int8.
class Int8Machine {
 public:
  Int8Machine(const Network::Impl& net, const NaiveSites& sites, const Frame& frame, NaiveInt8& out)
      : net_(net), sites_(sites), frame_(frame), out_(out) {}

  void run(const FusedNode& node) {
    const Node& main = net_.node(node.main);
    const std::int32_t set = net_.node(node.output).sites;
    if (set < 0) return;
    rows_ = static_cast<std::int32_t>(sites_.sites[static_cast<std::size_t>(set)].size());
    channels_ = net_.node(node.output).channels;
    scale_ = out_.scale[static_cast<std::size_t>(node.output)];
    to_ = &out_.stored[static_cast<std::size_t>(node.output)];
    to_->assign(static_cast<std::size_t>(rows_) * static_cast<std::size_t>(channels_), 0);
    switch (main.kind) {
      case NodeKind::kInput:
        for (std::size_t i = 0; i < to_->size(); ++i) (*to_)[i] = to_int8(frame_.features[i], scale_);
        break;
      case NodeKind::kConv:
      case NodeKind::kInverseConv:
        conv(node, main);
        break;
      case NodeKind::kAdd:
        add(node);
        break;
      case NodeKind::kReLU:
        for (std::size_t i = 0; i < to_->size(); ++i) {
          (*to_)[i] = std::max<std::int8_t>(stored(node.inputs[0])[i], 0);
        }
        break;
      case NodeKind::kPool:
        pool(node, main);
        break;
      case NodeKind::kConcat:
        concat(node);
        break;
      default:
        break;
    }
  }

 private:
  const std::vector<std::int8_t>& stored(std::int32_t id) {
    return out_.stored[static_cast<std::size_t>(id)];
  }
  float scale(std::int32_t id) { return out_.scale[static_cast<std::size_t>(id)]; }

  std::vector<std::int32_t> sums(const FusedNode& node, const Node& main,
                                 const std::vector<std::int8_t>& weights) {
    const std::int32_t c_in = net_.node(node.inputs[0]).channels;
    const std::int32_t kv = net_.map(main.map).geometry.kernel_volume();
    const auto& in = stored(node.inputs[0]);
    std::vector<std::int32_t> acc(to_->size(), 0);
    for (NaivePair pair : sites_.pairs[static_cast<std::size_t>(main.map)]) {
      if (main.kind == NodeKind::kInverseConv) std::swap(pair.in, pair.out);
      for (std::int32_t n = 0; n < channels_; ++n) {
        for (std::int32_t c = 0; c < c_in; ++c) {
          acc[static_cast<std::size_t>(pair.out * channels_ + n)] +=
              in[static_cast<std::size_t>(pair.in * c_in + c)] *
              weights[static_cast<std::size_t>((n * kv + pair.k) * c_in + c)];
        }
      }
    }
    return acc;
  }

  void conv(const FusedNode& node, const Node& main) {
    const QuantizedWeights weights = quantize_weights(main.layer.weights, channels_);
    const std::vector<std::int32_t> acc = sums(node, main, weights.values);
    auto& real = out_.real[static_cast<std::size_t>(node.output)];
    real.resize(to_->size());
    // A sigmoid is of the real value, all else may act on it in units of the output.
    const bool sigmoid = node.activation == Activation::kSigmoid;
    const float unit = sigmoid ? 1.0F : scale_;
    const float alpha = sigmoid ? 1.0F / scale_ : node.act_alpha;
    const float real_alpha = sigmoid ? 1.0F : node.act_alpha;
    for (std::size_t i = 0; i < acc.size(); ++i) {
      const std::size_t n = i % static_cast<std::size_t>(channels_);
      const float b = main.layer.bias.empty() ? 0.0F : main.layer.bias[n];
      const float in_w = scale(node.inputs[0]) * weights.scale[n];
      const bool has = node.residual >= 0;
      const float skip = has ? static_cast<float>(stored(node.residual)[i]) : 0.0F;
      const float beta = has ? scale(node.residual) / unit : 0.0F;
      (*to_)[i] = saturate_int8(
          apply_epilogue(acc[i], in_w / unit, b / unit, has, beta, skip, node.activation, alpha));
      real[i] = apply_epilogue(acc[i], in_w, b, false, 0.0F, 0.0F, node.activation, real_alpha);
    }
  }

  void add(const FusedNode& node) {
    const float a = scale(node.inputs[0]) / scale_;
    const float b = scale(node.inputs[1]) / scale_;
    for (std::size_t i = 0; i < to_->size(); ++i) {
      float t = std::fma(b, static_cast<float>(stored(node.inputs[1])[i]),
                         a * static_cast<float>(stored(node.inputs[0])[i]));
      if (node.activation == Activation::kReLU) t = t > 0.0F ? t : 0.0F;
      (*to_)[i] = saturate_int8(t);
    }
  }

  void pool(const FusedNode& node, const Node& main) {
    const auto& in = stored(node.inputs[0]);
    std::vector<std::vector<std::int32_t>> found(to_->size());
    for (const NaivePair pair : sites_.pairs[static_cast<std::size_t>(main.map)]) {
      for (std::int32_t c = 0; c < channels_; ++c) {
        found[static_cast<std::size_t>(pair.out * channels_ + c)].push_back(
            in[static_cast<std::size_t>(pair.in * channels_ + c)]);
      }
    }
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (found[i].empty()) continue;
      if (main.pool.kind == PoolKind::kAverage) {
        const std::int32_t sum = std::accumulate(found[i].begin(), found[i].end(), 0);
        (*to_)[i] = static_cast<std::int8_t>(std::nearbyint(sum / static_cast<double>(found[i].size())));
        continue;
      }
      std::int32_t best = *std::max_element(found[i].begin(), found[i].end());
      if (main.pool.zero_floor) best = std::max(best, 0);
      (*to_)[i] = static_cast<std::int8_t>(best);
    }
  }

  void concat(const FusedNode& node) {
    std::size_t at = 0;
    for (std::int32_t row = 0; row < rows_; ++row) {
      for (const std::int32_t in : node.inputs) {
        const std::int32_t width = net_.node(in).channels;
        for (std::int32_t c = 0; c < width; ++c) {
          (*to_)[at++] = stored(in)[static_cast<std::size_t>(row * width + c)];
        }
      }
    }
  }

  const Network::Impl& net_;
  const NaiveSites& sites_;
  const Frame& frame_;
  NaiveInt8& out_;
  std::vector<std::int8_t>* to_ = nullptr;
  std::int32_t rows_ = 0;
  std::int32_t channels_ = 0;
  float scale_ = 1.0F;
};

void float_conv(const Network::Impl& net, const NaiveSites& sites, const Node& node,
                const std::vector<double>& in, std::vector<double>& out) {
  const std::int32_t c_in = net.node(node.inputs[0]).channels;
  const std::int32_t kv = net.map(node.map).geometry.kernel_volume();
  for (NaivePair pair : sites.pairs[static_cast<std::size_t>(node.map)]) {
    if (node.kind == NodeKind::kInverseConv) std::swap(pair.in, pair.out);
    for (std::int32_t n = 0; n < node.channels; ++n) {
      for (std::int32_t c = 0; c < c_in; ++c) {
        out[static_cast<std::size_t>(pair.out * node.channels + n)] +=
            in[static_cast<std::size_t>(pair.in * c_in + c)] *
            static_cast<double>(node.layer.weights[static_cast<std::size_t>((n * kv + pair.k) * c_in + c)]);
      }
    }
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!node.layer.bias.empty()) {
      out[i] += static_cast<double>(node.layer.bias[i % static_cast<std::size_t>(node.channels)]);
    }
    if (node.layer.activation == Activation::kReLU) out[i] = std::max(out[i], 0.0);
    if (node.layer.activation == Activation::kLeakyReLU && out[i] < 0.0) {
      out[i] *= static_cast<double>(node.layer.act_alpha);
    }
    if (node.layer.activation == Activation::kSigmoid) out[i] = 1.0 / (1.0 + std::exp(-out[i]));
  }
}

void float_pool(const NaiveSites& sites, const Node& node, const std::vector<double>& in,
                std::vector<double>& out) {
  std::vector<std::int32_t> seen(out.size(), 0);
  for (const NaivePair pair : sites.pairs[static_cast<std::size_t>(node.map)]) {
    for (std::int32_t c = 0; c < node.channels; ++c) {
      const auto to = static_cast<std::size_t>(pair.out * node.channels + c);
      const double x = in[static_cast<std::size_t>(pair.in * node.channels + c)];
      const bool first = seen[to]++ == 0 && !node.pool.zero_floor;
      if (node.pool.kind == PoolKind::kAverage) {
        out[to] += x;
      } else {
        out[to] = first ? x : std::max(out[to], x);
      }
    }
  }
  if (node.pool.kind != PoolKind::kAverage) return;
  for (std::size_t i = 0; i < out.size(); ++i) out[i] /= std::max(seen[i], 1);
}

}  // namespace

NaiveSites naive_sites(const Network::Impl& net, const Frame& frame) {
  NaiveSites result;
  result.sites.resize(net.sites.size());
  const int ndim = net.site_set(0).shape.ndim;
  for (std::int32_t i = 0; i < frame.num_voxels; ++i) {
    Site site{};
    for (int a = 0; a <= ndim; ++a) {
      site[static_cast<std::size_t>(a)] = frame.indices[static_cast<std::size_t>(i * (ndim + 1) + a)];
    }
    result.sites[0].push_back(site);
  }
  for (const MapNode& map : net.maps) {
    const std::vector<Dims> offsets = offsets_of(map.geometry.kernel_size);
    const auto& in = result.sites[static_cast<std::size_t>(map.in_sites)];
    const Dims& shape = net.site_set(map.out_sites).shape;
    Site out{};
    if (map.geometry.kind != ConvKind::kSubm) {
      std::set<Site> reached;
      for (const Site& site : in) {
        for (const Dims& r : offsets) {
          if (reach(map.geometry, shape, site, r, out)) reached.insert(out);
        }
      }
      result.sites[static_cast<std::size_t>(map.out_sites)].assign(reached.begin(), reached.end());
    }
    const Index index = index_of(result.sites[static_cast<std::size_t>(map.out_sites)]);
    std::vector<NaivePair> pairs;
    for (std::size_t j = 0; j < in.size(); ++j) {
      for (std::size_t k = 0; k < offsets.size(); ++k) {
        if (!reach(map.geometry, shape, in[j], offsets[k], out)) continue;
        if (const auto at = index.find(out); at != index.end()) {
          pairs.push_back({static_cast<std::int32_t>(k), static_cast<std::int32_t>(j), at->second});
        }
      }
    }
    result.pairs.push_back(std::move(pairs));
  }
  return result;
}

std::vector<std::vector<double>> naive_float(const Network::Impl& net, const NaiveSites& sites,
                                             const Frame& frame) {
  std::vector<std::vector<double>> values(net.nodes.size());
  for (std::size_t id = 0; id < net.nodes.size(); ++id) {
    const Node& node = net.nodes[id];
    if (node.sites < 0) continue;
    const std::size_t rows = sites.sites[static_cast<std::size_t>(node.sites)].size();
    std::vector<double>& out = values[id];
    out.assign(rows * static_cast<std::size_t>(node.channels), 0.0);
    const auto in = [&](std::size_t i) -> const std::vector<double>& {
      return values[static_cast<std::size_t>(node.inputs[i])];
    };
    switch (node.kind) {
      case NodeKind::kInput:
        out.assign(frame.features.begin(), frame.features.begin() + static_cast<std::ptrdiff_t>(out.size()));
        break;
      case NodeKind::kConv:
      case NodeKind::kInverseConv:
        float_conv(net, sites, node, in(0), out);
        break;
      case NodeKind::kAdd:
        for (std::size_t i = 0; i < out.size(); ++i) out[i] = in(0)[i] + in(1)[i];
        break;
      case NodeKind::kReLU:
        for (std::size_t i = 0; i < out.size(); ++i) out[i] = std::max(in(0)[i], 0.0);
        break;
      case NodeKind::kPool:
        float_pool(sites, node, in(0), out);
        break;
      case NodeKind::kConcat: {
        std::size_t at = 0;
        for (std::size_t row = 0; row < rows; ++row) {
          for (std::size_t i = 0; i < node.inputs.size(); ++i) {
            const auto width = static_cast<std::size_t>(net.node(node.inputs[i]).channels);
            for (std::size_t c = 0; c < width; ++c) out[at++] = in(i)[row * width + c];
          }
        }
        break;
      }
      default:
        break;
    }
  }
  return values;
}

NaiveInt8 naive_int8(const Network::Impl& net, const NaiveSites& sites, const Frame& frame,
                     const ScaleTable& scales) {
  NaiveInt8 result;
  const std::vector<FusedNode> fused = fuse(net);
  result.scale = unify_scales(net, fused, scales);
  result.stored.resize(net.nodes.size());
  result.real.resize(net.nodes.size());
  Int8Machine machine(net, sites, frame, result);
  for (const FusedNode& node : fused) machine.run(node);
  return result;
}

}  // namespace voxgemm::test
