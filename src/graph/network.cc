#include "voxgemm/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <type_traits>

#include "core/check.h"
#include "core/extents.h"
#include "graph/nodes.h"

namespace voxgemm {
namespace {

/// Runs `make` and puts the layer's name before what it complains about.
template <typename Make>
auto named(const std::string& layer, Make&& make) {
  try {
    return make();
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("layer '{}': {}", layer, error.what()));
  }
}

/// Equal maps get equal descriptions: what a geometry ignores is cleared.
ConvGeometry canonical(ConvGeometry geometry) {
  for (int a = 0; a < geometry.kernel_size.ndim; ++a) {
    if (geometry.kind == ConvKind::kSubm) geometry.padding[a] = 0;
    if (geometry.kernel_size[a] == 1) geometry.dilation[a] = 1;
  }
  return geometry;
}

/// True for a convolution that reads no neighbours and leaves every site where it is.
bool is_pointwise(const ConvGeometry& full) {
  for (int a = 0; a < full.kernel_size.ndim; ++a) {
    if (full.kernel_size[a] != 1 || full.stride[a] != 1 || full.padding[a] != 0 || full.out_padding[a] != 0)
      return false;
  }
  return true;
}

/// Room for one more, so that a push_back cannot throw; grows as push_back itself would.
template <typename T>
void make_room(std::vector<T>& list) {
  static_assert(std::is_nothrow_move_constructible_v<T>);
  if (list.size() == list.capacity()) list.reserve(std::max<std::size_t>(8, 2 * list.size()));
}

/// A name that a new layer may have.
void check_name(const Network::Impl& net, const std::string& name) {
  check_layer(!name.empty(), ErrorCode::kInvalidArgument, "(unnamed)", "every layer needs a name");
  for (const Node& other : net.nodes) {
    check_layer(other.name != name, ErrorCode::kInvalidArgument, name, "the name is used twice");
  }
}

/// All that one layer adds to a network. It is put together aside, so that a refused layer leaves no trace.
struct Addition {
  Node node;
  std::optional<SiteSet> sites;         ///< node.sites is its id
  std::optional<MapNode> map;           ///< node.map is its id
  std::map<std::string, KeyNode> keys;  ///< none or one
};

/// Adds all of it, or throws std::bad_alloc and adds nothing.
std::int32_t commit(Network::Impl& net, Addition&& added) {
  make_room(net.nodes);
  make_room(net.sites);
  make_room(net.maps);
  // From here on nothing allocates: merge() relinks the nodes of the map.
  if (added.sites) net.sites.push_back(*added.sites);
  if (added.map) net.maps.push_back(std::move(*added.map));
  net.keys.merge(added.keys);
  net.nodes.push_back(std::move(added.node));
  return static_cast<std::int32_t>(net.nodes.size()) - 1;
}

/// A layer that makes neither sites nor a map.
std::int32_t append(Network::Impl& net, Node node) {
  check_name(net, node.name);
  Addition added;
  added.node = std::move(node);
  return commit(net, std::move(added));
}

/// The node behind a handle; it must hold a sparse value.
const Node& sparse_input(const Network::Impl& net, Value value, const std::string& layer) {
  check_layer(value.id >= 0 && value.id < static_cast<std::int32_t>(net.nodes.size()),
              ErrorCode::kInvalidArgument, layer, "its input is value {}, the network has {}", value.id,
              net.nodes.size());
  const Node& node = net.node(value.id);
  check_layer(node.sites >= 0, ErrorCode::kShape, layer, "its input '{}' is dense; layers read sparse values",
              node.name);
  return node;
}

/// Gives the layer its map for `geometry` on `in_sites`: the one that exists (by key, then by geometry), or a
/// new one; and the sites that the map leads to.
void find_or_make_map(const Network::Impl& net, const std::string& key, std::int32_t in_sites,
                      const ConvGeometry& geometry, Addition& added) {
  const std::string& layer = added.node.name;
  if (const auto known = net.keys.find(key); !key.empty() && known != net.keys.end()) {
    const KeyNode& first = known->second;
    const MapNode& map = net.map(first.map);
    check_layer(map.geometry == geometry, ErrorCode::kInvalidArgument, layer,
                "indice_key '{}' was used by layer '{}' with another geometry", key, first.layer);
    check_layer(map.in_sites == in_sites, ErrorCode::kInvalidArgument, layer,
                "indice_key '{}' was used by layer '{}' on other input sites, of {}; these are of {}", key,
                first.layer, net.site_set(map.in_sites).shape, net.site_set(in_sites).shape);
    added.node.map = first.map;
    added.node.sites = map.out_sites;
    return;
  }
  std::int32_t id = 0;
  const auto count = static_cast<std::int32_t>(net.maps.size());
  while (id < count && !(net.map(id).geometry == geometry && net.map(id).in_sites == in_sites)) ++id;
  added.node.map = id;
  if (id < count) {
    added.node.sites = net.map(id).out_sites;
  } else {
    added.node.sites = in_sites;
    if (geometry.kind != ConvKind::kSubm) {
      const SiteSet& from = net.site_set(in_sites);
      added.sites = SiteSet{geometry.out_shape(from.shape), from.batch_size, id, 0};
      named(layer, [&] { check_extents(added.sites->shape, from.batch_size); });
      added.node.sites = static_cast<std::int32_t>(net.sites.size());
    }
    added.map = MapNode{geometry, in_sites, added.node.sites, layer};
  }
  if (!key.empty()) added.keys.emplace(key, KeyNode{id, layer});
}

void check_finite(const std::string& layer, const char* what, std::span<const float> values) {
  const auto bad = std::find_if_not(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
  if (bad == values.end()) return;
  fail_layer(ErrorCode::kInvalidArgument, layer, "{} {} of {} is {}, must be finite", what,
             bad - values.begin(), values.size(), *bad);
}

void check_weights(const ConvLayer& layer, std::int32_t kv, std::int32_t c_in) {
  check_layer(layer.c_out >= 1, ErrorCode::kInvalidArgument, layer.name, "c_out is {}, at least 1",
              layer.c_out);
  std::int64_t product = std::int64_t{layer.c_out} * kv;
  const double value = static_cast<double>(product) * c_in;
  check_layer(!__builtin_mul_overflow(product, std::int64_t{c_in}, &product), ErrorCode::kShape, layer.name,
              "c_out {} x kv {} x c_in {} makes {:.4g} weights, limit {}", layer.c_out, kv, c_in, value,
              std::numeric_limits<std::int64_t>::max());
  const auto want = static_cast<std::size_t>(product);
  check_layer(layer.weights.size() == want, ErrorCode::kShape, layer.name,
              "{} weights given, c_out {} x kv {} x c_in {} = {} expected", layer.weights.size(), layer.c_out,
              kv, c_in, want);
  check_layer(layer.bias.empty() || layer.bias.size() == static_cast<std::size_t>(layer.c_out),
              ErrorCode::kShape, layer.name, "{} biases given, {} or none expected", layer.bias.size(),
              layer.c_out);
  check_finite(layer.name, "weight", layer.weights);
  check_finite(layer.name, "bias", layer.bias);
  check_finite(layer.name, "act_alpha", {&layer.act_alpha, 1});
}

/// The geometry in full, as a layer on sites of this shape has it.
ConvGeometry checked_geometry(const std::string& layer, const ConvGeometry& geometry, const Dims& shape) {
  try {
    const ConvGeometry full = canonical(geometry.normalized(shape.ndim));
    (void)full.out_shape(shape);
    return full;
  } catch (const Error& error) {
    throw Error(error.code(),
                fmt::format("layer '{}': {} (its input is {})", layer, error.what(), axes_text(shape)));
  }
}

void check_same_sites(const Network::Impl& net, const std::string& layer, const Node& a, const Node& b) {
  check_layer(a.sites == b.sites, ErrorCode::kShape, layer,
              "'{}' and '{}' live on different sites, of {} and {}", a.name, b.name,
              net.site_set(a.sites).shape, net.site_set(b.sites).shape);
}

/// The set whose capacity is recorded under a layer's name, or -1.
std::int32_t sites_made_by_layer(const Network::Impl& net, const Node& node) {
  if (node.kind == NodeKind::kInput) return node.sites;
  if (node.kind != NodeKind::kConv && node.kind != NodeKind::kPool) return -1;
  return net.map(node.map).geometry.kind == ConvKind::kSubm ? -1 : node.sites;
}

/// The set that set_capacity() of this layer and these rows would change.
std::size_t sites_to_limit(const Network::Impl& net, const std::string& layer, std::int32_t rows) {
  check_layer(rows >= 1, ErrorCode::kInvalidArgument, layer, "capacity is {}, at least 1", rows);
  for (const Node& node : net.nodes) {
    if (node.name != layer) continue;
    const std::int32_t id = sites_made_by_layer(net, node);
    check_layer(id >= 0, ErrorCode::kInvalidArgument, layer,
                "makes no sites of its own, so it has no capacity");
    return static_cast<std::size_t>(id);
  }
  throw Error(ErrorCode::kNotFound, fmt::format("layer '{}': no such layer to set a capacity for", layer));
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
  check_layer(impl_->nodes.empty(), ErrorCode::kInvalidArgument, name,
              "a network has one input, declared first");
  check_layer(channels >= 1, ErrorCode::kInvalidArgument, name, "channels is {}, at least 1", channels);
  check_layer(capacity >= 1, ErrorCode::kInvalidArgument, name, "capacity is {}, at least 1", capacity);
  SparseTensorView shape;
  shape.spatial_shape = spatial_shape;
  shape.batch_size = batch_size;
  shape.capacity = capacity;
  named(name, [&] { validate_shape(shape); });
  check_name(*impl_, name);
  Addition added;
  added.node.name = name;
  added.node.channels = channels;
  added.node.sites = 0;
  added.sites = SiteSet{spatial_shape, batch_size, -1, capacity};
  added.sites->capacity = clamp_rows(*added.sites, capacity);
  return {commit(*impl_, std::move(added))};
}

Value Network::conv(Value in, ConvLayer layer) {
  const Node& from = sparse_input(*impl_, in, layer.name);
  check_name(*impl_, layer.name);
  layer.geometry = checked_geometry(layer.name, layer.geometry, impl_->site_set(from.sites).shape);
  if (is_pointwise(layer.geometry)) {
    layer.geometry.kind = ConvKind::kSubm;
    layer.indice_key.clear();
  }
  check_weights(layer, layer.geometry.kernel_volume(), from.channels);
  Addition added{Node{NodeKind::kConv, layer.name, {in.id}, layer.c_out}};
  find_or_make_map(*impl_, layer.indice_key, from.sites, layer.geometry, added);
  added.node.layer = std::move(layer);
  return {commit(*impl_, std::move(added))};
}

Value Network::inverse_conv(Value in, ConvLayer layer) {
  const Node& from = sparse_input(*impl_, in, layer.name);
  const auto known = impl_->keys.find(layer.indice_key);
  check_layer(known != impl_->keys.end(), ErrorCode::kNotFound, layer.name,
              "no layer was built under indice_key '{}'", layer.indice_key);
  const KeyNode& first = known->second;
  const MapNode& map = impl_->map(first.map);
  check_layer(map.geometry.kind != ConvKind::kSubm, ErrorCode::kInvalidArgument, layer.name,
              "layer '{}' of indice_key '{}' is submanifold; an inverse needs a strided one", first.layer,
              layer.indice_key);
  check_layer(map.out_sites == from.sites, ErrorCode::kShape, layer.name,
              "its input '{}', of {}, is not on the output sites of layer '{}', of {}", from.name,
              impl_->site_set(from.sites).shape, first.layer, impl_->site_set(map.out_sites).shape);
  check_weights(layer, map.geometry.kernel_volume(), from.channels);
  Node node{NodeKind::kInverseConv, layer.name, {in.id}, layer.c_out};
  node.map = first.map;
  node.sites = map.in_sites;
  layer.geometry = map.geometry;
  node.layer = std::move(layer);
  return {append(*impl_, std::move(node))};
}

Value Network::add(Value a, Value b, const std::string& name) {
  const Node& left = sparse_input(*impl_, a, name);
  const Node& right = sparse_input(*impl_, b, name);
  check_same_sites(*impl_, name, left, right);
  check_layer(left.channels == right.channels, ErrorCode::kShape, name, "'{}' has {} channels, '{}' has {}",
              left.name, left.channels, right.name, right.channels);
  Node node{NodeKind::kAdd, name, {a.id, b.id}, left.channels, left.sites};
  return {append(*impl_, std::move(node))};
}

Value Network::relu(Value in, const std::string& name) {
  const Node& from = sparse_input(*impl_, in, name);
  Node node{NodeKind::kReLU, name, {in.id}, from.channels, from.sites};
  return {append(*impl_, std::move(node))};
}

Value Network::pool(Value in, const ConvGeometry& geometry, const PoolOptions& options,
                    const std::string& name, const std::string& indice_key) {
  const Node& from = sparse_input(*impl_, in, name);
  check_name(*impl_, name);
  const ConvGeometry full = checked_geometry(name, geometry, impl_->site_set(from.sites).shape);
  Addition added{Node{NodeKind::kPool, name, {in.id}, from.channels}};
  added.node.pool = options;
  find_or_make_map(*impl_, indice_key, from.sites, full, added);
  return {commit(*impl_, std::move(added))};
}

Value Network::global_pool(Value in, PoolKind kind, const std::string& name) {
  const Node& from = sparse_input(*impl_, in, name);
  Node node{NodeKind::kGlobalPool, name, {in.id}, from.channels};
  node.pool_kind = kind;
  return {append(*impl_, std::move(node))};
}

Value Network::concat(std::span<const Value> values, const std::string& name) {
  check_layer(!values.empty(), ErrorCode::kInvalidArgument, name, "concat of no values");
  Node node{NodeKind::kConcat, name};
  const Node& first = sparse_input(*impl_, values.front(), name);
  node.sites = first.sites;
  std::int64_t channels = 0;  // of at most 2^31 values of 31 bits
  for (const Value value : values) {
    const Node& from = sparse_input(*impl_, value, name);
    check_same_sites(*impl_, name, first, from);
    node.inputs.push_back(value.id);
    channels += from.channels;
  }
  constexpr std::int32_t kLimit = std::numeric_limits<std::int32_t>::max();
  check_layer(channels <= kLimit, ErrorCode::kShape, name, "{} values make {} channels, limit {}",
              values.size(), channels, kLimit);
  node.channels = static_cast<std::int32_t>(channels);
  return {append(*impl_, std::move(node))};
}

Value Network::to_dense(Value in, DenseLayout layout, const std::string& name) {
  const Node& from = sparse_input(*impl_, in, name);
  const SiteSet& sites = impl_->site_set(from.sites);
  named(name, [&] { check_elements(sites.shape, sites.batch_size, from.channels); });
  Node node{NodeKind::kToDense, name, {in.id}, from.channels};
  node.layout = layout;
  return {append(*impl_, std::move(node))};
}

void Network::output(Value value, const std::string& name) {
  check_layer(value.id >= 0 && value.id < static_cast<std::int32_t>(impl_->nodes.size()),
              ErrorCode::kInvalidArgument, name, "the output is value {}, the network has {}", value.id,
              impl_->nodes.size());
  for (const NamedOutput& other : impl_->outputs) {
    check_layer(other.name != name, ErrorCode::kInvalidArgument, name, "two outputs of this name");
  }
  NamedOutput output{value.id, name};
  make_room(impl_->outputs);
  impl_->outputs.push_back(std::move(output));
}

void Network::set_capacity(const std::string& layer, std::int32_t rows) {
  SiteSet& sites = impl_->sites[sites_to_limit(*impl_, layer, rows)];
  sites.capacity = clamp_rows(sites, rows);
}

void Network::set_capacities(const CapacityTable& table) {
  // A table with one bad entry sets none.
  std::vector<std::pair<std::size_t, std::int32_t>> found;
  found.reserve(table.rows.size());
  for (const auto& [layer, rows] : table.rows) found.emplace_back(sites_to_limit(*impl_, layer, rows), rows);
  for (const auto& [id, rows] : found) impl_->sites[id].capacity = clamp_rows(impl_->sites[id], rows);
}

std::string Network::describe() const {
  std::string text;
  const std::vector<std::int32_t> rows = row_capacities(*impl_);
  for (const Node& node : impl_->nodes) {
    const ConvGeometry geometry = node.map >= 0 ? impl_->map(node.map).geometry : ConvGeometry{};
    text +=
        fmt::format("{:<28} {:<15} {:>4} channels", node.name, kind_name(node.kind, geometry), node.channels);
    if (node.sites >= 0) {
      const SiteSet& sites = impl_->site_set(node.sites);
      text += fmt::format("  {}  capacity {}{}", to_string(sites.shape),
                          rows[static_cast<std::size_t>(node.sites)], sites.capacity > 0 ? "" : " (default)");
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
