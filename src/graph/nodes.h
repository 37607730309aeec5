// Insides of a Network: nodes in topological order, the site sets they live on and the kernel maps they read.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "voxgemm/network.h"

namespace voxgemm {

enum class NodeKind : std::uint8_t {
  kInput,
  kConv,
  kInverseConv,
  kAdd,
  kReLU,
  kPool,
  kGlobalPool,
  kConcat,
  kToDense,
};

/// "subm_conv", "sparse_conv", "transposed_conv", "inverse_conv", "add", ...
std::string kind_name(NodeKind kind, const ConvGeometry& geometry);

/// One layer; its index in NetworkImpl::nodes is the id of the value it makes.
struct Node {
  NodeKind kind = NodeKind::kInput;
  std::string name;
  std::vector<std::int32_t> inputs;         ///< node ids, all smaller than the own one
  std::int32_t channels = 0;                ///< of the value it makes
  std::int32_t sites = -1;                  ///< site set of the value; -1 = dense
  std::int32_t map = -1;                    ///< kernel map that it reads, else -1
  ConvLayer layer{};                        ///< kConv, kInverseConv: weights and activation
  PoolOptions pool{};                       ///< kPool
  PoolKind pool_kind = PoolKind::kMax;      ///< kGlobalPool
  DenseLayout layout = DenseLayout::kNCHW;  ///< kToDense
};

/// A set of active sites: the input's, or the output of one site-making map.
struct SiteSet {
  Dims shape{};
  std::int32_t batch_size = 1;
  std::int32_t made_by = -1;  ///< map, or -1 for the input
  std::int32_t capacity = 0;  ///< 0 = not set: see row_capacities()
};

/// A kernel map that one or more nodes share.
struct MapNode {
  ConvGeometry geometry{};  ///< normalized
  std::int32_t in_sites = 0;
  std::int32_t out_sites = 0;  ///< == in_sites for kSubm
  std::string first_layer;     ///< the layer that asked first; names the map
};

/// What an indice_key stands for. The map may be older than the key: layers share by geometry as well.
struct KeyNode {
  std::int32_t map = -1;
  std::string layer;  ///< the layer that introduced the key
};

struct NamedOutput {
  std::int32_t node = -1;
  std::string name;
};

struct Network::Impl {
  std::vector<Node> nodes;
  std::vector<SiteSet> sites;
  std::vector<MapNode> maps;
  std::vector<NamedOutput> outputs;
  std::map<std::string, KeyNode> keys;  ///< by indice_key

  [[nodiscard]] const Node& node(std::int32_t id) const { return nodes[static_cast<std::size_t>(id)]; }
  [[nodiscard]] const SiteSet& site_set(std::int32_t id) const { return sites[static_cast<std::size_t>(id)]; }
  [[nodiscard]] const MapNode& map(std::int32_t id) const { return maps[static_cast<std::size_t>(id)]; }
};

/// Batch included; check_extents() has seen to it that the product fits.
std::int64_t cells(const SiteSet& sites);
/// Rows never exceed the cells of a level.
std::int32_t clamp_rows(const SiteSet& sites, std::int64_t rows);
/// Rows of every site set: the capacity that was set, or by the rule of Network's docstring.
std::vector<std::int32_t> row_capacities(const Network::Impl& network);

/// One step of arithmetic after fusion: a node, or a chain conv [+ add] [+ relu].
struct FusedNode {
  std::int32_t main = -1;    ///< node with the weights, geometry or options
  std::int32_t output = -1;  ///< node whose value it makes: the last of the chain
  std::string name;          ///< parts joined by " + "
  std::vector<std::int32_t> parts;
  std::vector<std::int32_t> inputs;  ///< values it reads, residual excluded
  std::int32_t residual = -1;        ///< value added before the activation, or -1
  Activation activation = Activation::kNone;
  float act_alpha = 0.0F;
};

/// Live nodes (those that reach an output) in the order in which an engine runs them: every input is made
/// before it is read, dense values come after all sparse ones, wherever they were declared.
/// Fuses conv + add + relu, conv + add, conv + relu and add + relu when nothing else reads the inner values
/// and the convolution has no activation of its own. Of an add of two such convolutions the first operand is
/// fused; the other one is the residual.
std::vector<FusedNode> fuse(const Network::Impl& network);

/// What a user should know of a table that is taken as it is.
struct ScaleRemarks {
  std::vector<std::string> unseen;  ///< names of values whose scale is 1, as calibration never saw them
  std::vector<std::string> unused;  ///< entries that say something else than the scale in use: names and why
};

/// Throws kInvalidArgument naming the first entry that is neither 0 nor a scale.
void check_scales(const ScaleTable& table);

/// Scale of each value for an int8 engine, by node id (0 = the node has no value after fusion). Values that
/// share storage units (pool, relu, concat, dense copies with their inputs) get one scale, the largest of the
/// entries of those that do not themselves carry another's, or 1 when all of these are 0 (never seen). Throws
/// kNotFound naming the entries of layers that the network lacks, kInvalidArgument naming the first value
/// without an entry, or the first entry that is no scale.
std::vector<float> unify_scales(const Network::Impl& network, const std::vector<FusedNode>& fused,
                                const ScaleTable& table, ScaleRemarks* remarks = nullptr);

}  // namespace voxgemm
