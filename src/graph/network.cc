#include "voxgemm/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "graph/nodes.h"

namespace voxgemm {
namespace {

void require(bool condition, ErrorCode code, const std::string& layer, const std::string& what) {
  if (!condition) check(false, code, fmt::format("layer '{}': {}", layer, what));
}

/// Rows never exceed the cells of a level.
std::int64_t cells(const SiteSet& sites) { return sites.shape.product() * sites.batch_size; }

/// Equal maps get equal descriptions: what a geometry ignores is cleared.
ConvGeometry canonical(ConvGeometry geometry) {
  for (int a = 0; a < geometry.kernel_size.ndim; ++a) {
    if (geometry.kind == ConvKind::kSubm) geometry.padding[a] = 0;
    if (geometry.kernel_size[a] == 1) geometry.dilation[a] = 1;
  }
  return geometry;
}

std::int32_t append(Network::Impl& net, Node node) {
  require(!node.name.empty(), ErrorCode::kInvalidArgument, "(unnamed)", "every layer needs a name");
  for (const Node& other : net.nodes) {
    require(other.name != node.name, ErrorCode::kInvalidArgument, node.name, "the name is used twice");
  }
  net.nodes.push_back(std::move(node));
  return static_cast<std::int32_t>(net.nodes.size()) - 1;
}

/// The node behind a handle; it must hold a sparse value.
const Node& sparse_input(const Network::Impl& net, Value value, const std::string& layer) {
  require(value.id >= 0 && value.id < static_cast<std::int32_t>(net.nodes.size()),
          ErrorCode::kInvalidArgument, layer,
          fmt::format("its input is value {}, the network has {}", value.id, net.nodes.size()));
  const Node& node = net.node(value.id);
  require(node.sites >= 0, ErrorCode::kShape, layer,
          fmt::format("its input '{}' is dense; layers read sparse values", node.name));
  return node;
}

/// Map for `geometry` on `in_sites`: the one that exists (by key, then by geometry), or a new one.
std::int32_t find_or_add_map(Network::Impl& net, const std::string& layer, const std::string& key,
                             std::int32_t in_sites, const ConvGeometry& geometry) {
  if (const auto known = net.keys.find(key); !key.empty() && known != net.keys.end()) {
    const MapNode& map = net.map(known->second);
    require(
        map.geometry == geometry, ErrorCode::kInvalidArgument, layer,
        fmt::format("indice_key '{}' was used by layer '{}' with another geometry", key, map.first_layer));
    require(map.in_sites == in_sites, ErrorCode::kInvalidArgument, layer,
            fmt::format("indice_key '{}' was used by layer '{}' on other input sites", key, map.first_layer));
    return known->second;
  }
  std::int32_t id = 0;
  const auto count = static_cast<std::int32_t>(net.maps.size());
  while (id < count && !(net.map(id).geometry == geometry && net.map(id).in_sites == in_sites)) ++id;
  if (id == count) {
    MapNode map{geometry, in_sites, in_sites, layer};
    if (geometry.kind != ConvKind::kSubm) {
      const SiteSet& from = net.site_set(in_sites);
      SiteSet to{geometry.out_shape(from.shape), from.batch_size, id, 0};
      map.out_sites = static_cast<std::int32_t>(net.sites.size());
      net.sites.push_back(to);
    }
    net.maps.push_back(std::move(map));
  }
  if (!key.empty()) net.keys.emplace(key, id);
  return id;
}

void check_finite(const std::string& layer, const char* what, std::span<const float> values) {
  const auto bad = std::find_if_not(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
  if (bad == values.end()) return;
  require(false, ErrorCode::kInvalidArgument, layer,
          fmt::format("{} {} of {} is {}, must be finite", what, bad - values.begin(), values.size(), *bad));
}

void check_weights(const ConvLayer& layer, std::int32_t kv, std::int32_t c_in) {
  require(layer.c_out >= 1, ErrorCode::kInvalidArgument, layer.name,
          fmt::format("c_out is {}, at least 1", layer.c_out));
  const std::size_t want =
      static_cast<std::size_t>(layer.c_out) * static_cast<std::size_t>(kv) * static_cast<std::size_t>(c_in);
  require(layer.weights.size() == want, ErrorCode::kShape, layer.name,
          fmt::format("{} weights given, c_out {} x kv {} x c_in {} = {} expected", layer.weights.size(),
                      layer.c_out, kv, c_in, want));
  require(layer.bias.empty() || layer.bias.size() == static_cast<std::size_t>(layer.c_out), ErrorCode::kShape,
          layer.name, fmt::format("{} biases given, {} or none expected", layer.bias.size(), layer.c_out));
  check_finite(layer.name, "weight", layer.weights);
  check_finite(layer.name, "bias", layer.bias);
  check_finite(layer.name, "act_alpha", {&layer.act_alpha, 1});
}

/// Runs `make` and puts the layer's name before what it complains about.
template <typename Make>
auto named(const std::string& layer, Make&& make) {
  try {
    return make();
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("layer '{}': {}", layer, error.what()));
  }
}

/// The set whose capacity is recorded under a layer's name, or -1.
std::int32_t sites_made_by_layer(const Network::Impl& net, const Node& node) {
  if (node.kind == NodeKind::kInput) return node.sites;
  if (node.kind != NodeKind::kConv && node.kind != NodeKind::kPool) return -1;
  return net.map(node.map).geometry.kind == ConvKind::kSubm ? -1 : node.sites;
}

}  // namespace

std::string kind_name(NodeKind kind, const ConvGeometry& geometry) {
  switch (kind) {
    case NodeKind::kInput:
      return "input";
    case NodeKind::kConv:
      if (geometry.kind == ConvKind::kSubm) return "subm_conv";
      return geometry.kind == ConvKind::kRegular ? "sparse_conv" : "transposed_conv";
    case NodeKind::kInverseConv:
      return "inverse_conv";
    case NodeKind::kAdd:
      return "add";
    case NodeKind::kReLU:
      return "relu";
    case NodeKind::kPool:
      return "pool";
    case NodeKind::kGlobalPool:
      return "global_pool";
    case NodeKind::kConcat:
      return "concat";
    case NodeKind::kToDense:
      return "scatter_dense";
  }
  return "?";
}

Network::Network() : impl_(std::make_unique<Impl>()) {}
Network::~Network() = default;
Network::Network(Network&&) noexcept = default;
Network& Network::operator=(Network&&) noexcept = default;
Network::Network(const Network& other) : impl_(std::make_unique<Impl>(*other.impl_)) {}

Value Network::input(const std::string& name, const Dims& spatial_shape, std::int32_t batch_size,
                     std::int32_t channels, std::int32_t capacity) {
  require(impl_->nodes.empty(), ErrorCode::kInvalidArgument, name, "a network has one input, declared first");
  require(channels >= 1, ErrorCode::kInvalidArgument, name,
          fmt::format("channels is {}, at least 1", channels));
  require(capacity >= 1, ErrorCode::kInvalidArgument, name,
          fmt::format("capacity is {}, at least 1", capacity));
  SparseTensorView shape;
  shape.spatial_shape = spatial_shape;
  shape.batch_size = batch_size;
  shape.capacity = capacity;
  named(name, [&] { validate_shape(shape); });
  impl_->sites.push_back({spatial_shape, batch_size, -1, capacity});
  Node node;
  node.name = name;
  node.channels = channels;
  node.sites = 0;
  return {append(*impl_, std::move(node))};
}

Value Network::conv(Value in, ConvLayer layer) {
  const Node& from = sparse_input(*impl_, in, layer.name);
  const std::int32_t c_in = from.channels;
  const std::int32_t sites = from.sites;
  const Dims& shape = impl_->site_set(sites).shape;
  layer.geometry = named(layer.name, [&] {
    const ConvGeometry g = canonical(layer.geometry.normalized(shape.ndim));
    (void)g.out_shape(shape);
    return g;
  });
  check_weights(layer, layer.geometry.kernel_volume(), c_in);
  Node node{NodeKind::kConv, layer.name, {in.id}, layer.c_out};
  node.map = find_or_add_map(*impl_, layer.name, layer.indice_key, sites, layer.geometry);
  node.sites = impl_->map(node.map).out_sites;
  node.layer = std::move(layer);
  return {append(*impl_, std::move(node))};
}

Value Network::inverse_conv(Value in, ConvLayer layer) {
  const Node& from = sparse_input(*impl_, in, layer.name);
  const auto known = impl_->keys.find(layer.indice_key);
  require(known != impl_->keys.end(), ErrorCode::kNotFound, layer.name,
          fmt::format("no layer was built under indice_key '{}'", layer.indice_key));
  const MapNode& map = impl_->map(known->second);
  require(map.geometry.kind != ConvKind::kSubm, ErrorCode::kInvalidArgument, layer.name,
          fmt::format("layer '{}' of indice_key '{}' is submanifold; an inverse needs a strided one",
                      map.first_layer, layer.indice_key));
  require(map.out_sites == from.sites, ErrorCode::kShape, layer.name,
          fmt::format("its input '{}' is not on the output sites of layer '{}'", from.name, map.first_layer));
  check_weights(layer, map.geometry.kernel_volume(), from.channels);
  Node node{NodeKind::kInverseConv, layer.name, {in.id}, layer.c_out};
  node.map = known->second;
  node.sites = map.in_sites;
  layer.geometry = map.geometry;
  node.layer = std::move(layer);
  return {append(*impl_, std::move(node))};
}

Value Network::add(Value a, Value b, const std::string& name) {
  const Node& left = sparse_input(*impl_, a, name);
  const Node& right = sparse_input(*impl_, b, name);
  require(left.sites == right.sites, ErrorCode::kShape, name,
          fmt::format("'{}' and '{}' live on different sites", left.name, right.name));
  require(
      left.channels == right.channels, ErrorCode::kShape, name,
      fmt::format("'{}' has {} channels, '{}' has {}", left.name, left.channels, right.name, right.channels));
  Node node{NodeKind::kAdd, name, {a.id, b.id}, left.channels, left.sites};
  return {append(*impl_, std::move(node))};
}

Value Network::relu(Value in, const std::string& name) {
  const Node& from = sparse_input(*impl_, in, name);
  Node node{NodeKind::kReLU, name, {in.id}, from.channels, from.sites};
  return {append(*impl_, std::move(node))};
}

Value Network::pool(Value in, const ConvGeometry& geometry, const PoolOptions& options,
                    const std::string& name) {
  const Node& from = sparse_input(*impl_, in, name);
  const Dims shape = impl_->site_set(from.sites).shape;
  const ConvGeometry g = named(name, [&] {
    const ConvGeometry full = canonical(geometry.normalized(shape.ndim));
    (void)full.out_shape(shape);
    return full;
  });
  Node node{NodeKind::kPool, name, {in.id}, from.channels};
  node.pool = options;
  node.map = find_or_add_map(*impl_, name, "", from.sites, g);
  node.sites = impl_->map(node.map).out_sites;
  return {append(*impl_, std::move(node))};
}

Value Network::global_pool(Value in, PoolKind kind, const std::string& name) {
  const Node& from = sparse_input(*impl_, in, name);
  Node node{NodeKind::kGlobalPool, name, {in.id}, from.channels};
  node.pool_kind = kind;
  return {append(*impl_, std::move(node))};
}

Value Network::concat(std::span<const Value> values, const std::string& name) {
  require(!values.empty(), ErrorCode::kInvalidArgument, name, "concat of no values");
  Node node{NodeKind::kConcat, name};
  node.sites = sparse_input(*impl_, values.front(), name).sites;
  for (const Value value : values) {
    const Node& from = sparse_input(*impl_, value, name);
    require(
        from.sites == node.sites, ErrorCode::kShape, name,
        fmt::format("'{}' and '{}' live on different sites", impl_->node(values.front().id).name, from.name));
    node.inputs.push_back(value.id);
    node.channels += from.channels;
  }
  return {append(*impl_, std::move(node))};
}

Value Network::to_dense(Value in, DenseLayout layout, const std::string& name) {
  const Node& from = sparse_input(*impl_, in, name);
  Node node{NodeKind::kToDense, name, {in.id}, from.channels};
  node.layout = layout;
  return {append(*impl_, std::move(node))};
}

void Network::output(Value value, const std::string& name) {
  require(value.id >= 0 && value.id < static_cast<std::int32_t>(impl_->nodes.size()),
          ErrorCode::kInvalidArgument, name,
          fmt::format("the output is value {}, the network has {}", value.id, impl_->nodes.size()));
  for (const NamedOutput& other : impl_->outputs) {
    require(other.name != name, ErrorCode::kInvalidArgument, name, "two outputs of this name");
  }
  impl_->outputs.push_back({value.id, name});
}

void Network::set_capacity(const std::string& layer, std::int32_t rows) {
  require(rows >= 1, ErrorCode::kInvalidArgument, layer, fmt::format("capacity is {}, at least 1", rows));
  for (const Node& node : impl_->nodes) {
    if (node.name != layer) continue;
    const std::int32_t id = sites_made_by_layer(*impl_, node);
    require(id >= 0, ErrorCode::kInvalidArgument, layer, "makes no sites of its own, so it has no capacity");
    SiteSet& sites = impl_->sites[static_cast<std::size_t>(id)];
    sites.capacity = static_cast<std::int32_t>(std::min<std::int64_t>(rows, cells(sites)));
    return;
  }
  require(false, ErrorCode::kNotFound, layer, "no such layer to set a capacity for");
}

void Network::set_capacities(const CapacityTable& table) {
  for (const auto& [layer, rows] : table.rows) set_capacity(layer, rows);
}

std::string Network::describe() const {
  std::string text;
  for (const Node& node : impl_->nodes) {
    const ConvGeometry geometry = node.map >= 0 ? impl_->map(node.map).geometry : ConvGeometry{};
    text +=
        fmt::format("{:<28} {:<15} {:>4} channels", node.name, kind_name(node.kind, geometry), node.channels);
    if (node.sites >= 0) {
      const SiteSet& sites = impl_->site_set(node.sites);
      text += fmt::format("  {}  capacity {}", to_string(sites.shape),
                          sites.capacity > 0 ? std::to_string(sites.capacity) : "not recorded");
    }
    if (node.map >= 0) text += fmt::format("  map '{}'", impl_->map(node.map).first_layer);
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      text += fmt::format("{}{}", i == 0 ? "  <- " : ", ", impl_->node(node.inputs[i]).name);
    }
    text += '\n';
  }
  return text;
}

}  // namespace voxgemm
