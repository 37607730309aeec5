#include <algorithm>
#include <utility>

#include "graph/nodes.h"

namespace voxgemm {
namespace {

/// What reads each value: node ids, and -1 for every output of the network.
std::vector<std::vector<std::int32_t>> readers_of_live(const Network::Impl& net, std::vector<bool>& live) {
  live.assign(net.nodes.size(), false);
  for (const NamedOutput& output : net.outputs) live[static_cast<std::size_t>(output.node)] = true;
  std::vector<std::vector<std::int32_t>> readers(net.nodes.size());
  for (const NamedOutput& output : net.outputs) readers[static_cast<std::size_t>(output.node)].push_back(-1);
  for (std::size_t id = net.nodes.size(); id-- > 0;) {
    if (!live[id]) continue;
    for (const std::int32_t in : net.nodes[id].inputs) {
      live[static_cast<std::size_t>(in)] = true;
      readers[static_cast<std::size_t>(in)].push_back(static_cast<std::int32_t>(id));
    }
  }
  return readers;
}

bool is_conv(const Node& node) { return node.kind == NodeKind::kConv || node.kind == NodeKind::kInverseConv; }

/// Growing fused nodes; `owner[id]` is the index of the fused node whose last part is `id`.
class Fuser {
 public:
  explicit Fuser(const Network::Impl& net) : net_(net), owner_(net.nodes.size(), -1) {
    readers_ = readers_of_live(net, live_);
  }

  std::vector<FusedNode> run() {
    for (std::size_t id = 0; id < net_.nodes.size(); ++id) {
      if (live_[id]) place(static_cast<std::int32_t>(id));
    }
    // A chain runs where its last part stood: by then its residual exists. Dense values, which no layer
    // reads, come last: this is the order of execution, and nothing may ask another one for who reads last.
    std::sort(fused_.begin(), fused_.end(), [&](const FusedNode& a, const FusedNode& b) {
      return std::pair(is_dense(a), a.output) < std::pair(is_dense(b), b.output);
    });
    return std::move(fused_);
  }

 private:
  [[nodiscard]] bool is_dense(const FusedNode& fused) const { return net_.node(fused.output).sites < 0; }

  /// The fused node that makes `value`, when only `reader` reads it and it may still grow.
  FusedNode* growable(std::int32_t value, std::int32_t reader) {
    const auto& readers = readers_[static_cast<std::size_t>(value)];
    if (readers.size() != 1 || readers.front() != reader) return nullptr;
    FusedNode& chain = fused_[static_cast<std::size_t>(owner_[static_cast<std::size_t>(value)])];
    return chain.activation == Activation::kNone ? &chain : nullptr;
  }

  void extend(FusedNode& chain, std::int32_t id) {
    owner_[static_cast<std::size_t>(id)] = owner_[static_cast<std::size_t>(chain.output)];
    chain.output = id;
    chain.parts.push_back(id);
    chain.name += " + " + net_.node(id).name;
  }

  bool fuse_add(std::int32_t id) {
    const Node& node = net_.node(id);
    for (std::size_t side = 0; side < 2; ++side) {
      FusedNode* chain = growable(node.inputs[side], id);
      if (chain == nullptr || !is_conv(net_.node(chain->main)) || chain->residual >= 0) continue;
      chain->residual = node.inputs[1 - side];
      extend(*chain, id);
      return true;
    }
    return false;
  }

  bool fuse_relu(std::int32_t id) {
    FusedNode* chain = growable(net_.node(id).inputs[0], id);
    if (chain == nullptr) return false;
    const Node& main = net_.node(chain->main);
    if (!is_conv(main) && main.kind != NodeKind::kAdd) return false;
    chain->activation = Activation::kReLU;
    extend(*chain, id);
    return true;
  }

  void place(std::int32_t id) {
    const Node& node = net_.node(id);
    if (node.kind == NodeKind::kAdd && fuse_add(id)) return;
    if (node.kind == NodeKind::kReLU && fuse_relu(id)) return;
    FusedNode fused{id, id, node.name, {id}, node.inputs};
    if (is_conv(node)) {
      fused.activation = node.layer.activation;
      fused.act_alpha = node.layer.act_alpha;
    }
    owner_[static_cast<std::size_t>(id)] = static_cast<std::int32_t>(fused_.size());
    fused_.push_back(std::move(fused));
  }

  const Network::Impl& net_;
  std::vector<std::int32_t> owner_;
  std::vector<bool> live_;
  std::vector<std::vector<std::int32_t>> readers_;
  std::vector<FusedNode> fused_;
};

}  // namespace

std::vector<FusedNode> fuse(const Network::Impl& network) { return Fuser(network).run(); }

}  // namespace voxgemm
