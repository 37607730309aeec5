// Which value has which scale: an int8 engine's reading of a ScaleTable.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/check.h"
#include "graph/nodes.h"

namespace voxgemm {
namespace {

/// Most names that an error lists.
constexpr std::size_t kMostNames = 8;

/// Values of these nodes carry the scale of what they read.
bool keeps_scale(NodeKind kind) {
  return kind == NodeKind::kReLU || kind == NodeKind::kPool || kind == NodeKind::kGlobalPool ||
         kind == NodeKind::kConcat || kind == NodeKind::kToDense;
}

std::int32_t root(std::vector<std::int32_t>& parent, std::int32_t id) {
  while (parent[static_cast<std::size_t>(id)] != id) id = parent[static_cast<std::size_t>(id)];
  return id;
}

/// A misspelt name would leave its layer without the scale that it was given.
void refuse_unknown_names(const Network::Impl& network, const ScaleTable& table) {
  std::vector<std::string> unknown;
  for (const auto& entry : table.scale) {
    const bool known = std::any_of(network.nodes.begin(), network.nodes.end(),
                                   [&](const Node& node) { return node.name == entry.first; });
    if (!known) unknown.push_back(entry.first);
  }
  if (unknown.empty()) return;
  const std::size_t shown = std::min(unknown.size(), kMostNames);
  const std::string more = shown < unknown.size() ? fmt::format(" and {} more", unknown.size() - shown) : "";
  unknown.resize(shown);
  fail(ErrorCode::kNotFound, "the scale table has entries of layers that the network lacks: '{}'{}",
       fmt::join(unknown, "', '"), more);
}

/// What each entry that is not the scale of its value has to say.
std::vector<std::string> unused_entries(const Network::Impl& network, const std::vector<FusedNode>& fused,
                                        const ScaleTable& table, const std::vector<float>& scales) {
  std::vector<const FusedNode*> maker(network.nodes.size(), nullptr);
  for (const FusedNode& node : fused) {
    for (const std::int32_t part : node.parts) maker[static_cast<std::size_t>(part)] = &node;
  }
  std::vector<std::string> unused;
  for (std::size_t id = 0; id < network.nodes.size(); ++id) {
    const std::string& name = network.nodes[id].name;
    const auto entry = table.scale.find(name);
    if (entry == table.scale.end()) continue;
    if (maker[id] == nullptr) {
      unused.push_back(fmt::format("'{}' (no output needs it)", name));
      continue;
    }
    const FusedNode& node = *maker[id];
    const std::string& value = network.node(node.output).name;
    const float used = scales[static_cast<std::size_t>(node.output)];
    const float said = entry->second;
    if (name != value) {  // a part of a chain: 0 says nothing
      const float of_value = table.scale.at(value);
      if (said != 0.0F && said != of_value)
        unused.push_back(
            fmt::format("'{}' (its chain makes '{}', whose entry {} counts)", name, value, of_value));
    } else if (said > used) {
      unused.push_back(fmt::format("'{}' (has the scale {} of what it reads)", name, used));
    }
  }
  return unused;
}

}  // namespace

std::vector<float> unify_scales(const Network::Impl& network, const std::vector<FusedNode>& fused,
                                const ScaleTable& table, ScaleRemarks* remarks) {
  check_scales(table);
  refuse_unknown_names(network, table);
  std::vector<std::int32_t> parent(network.nodes.size());
  std::iota(parent.begin(), parent.end(), 0);
  for (const FusedNode& node : fused) {
    if (!keeps_scale(network.node(node.main).kind)) continue;
    for (const std::int32_t in : node.inputs) {
      parent[static_cast<std::size_t>(root(parent, in))] = root(parent, node.output);
    }
  }
  std::vector<float> scales(network.nodes.size(), 0.0F);
  for (const FusedNode& node : fused) {
    if (keeps_scale(network.node(node.main).kind)) continue;
    const std::string& name = network.node(node.output).name;
    const auto found = table.scale.find(name);
    check(found != table.scale.end(), ErrorCode::kInvalidArgument,
          "value '{}' has no scale; calibrate, or add it to the scale table", name);
    float& scale = scales[static_cast<std::size_t>(root(parent, node.output))];
    scale = std::max(scale, found->second);
  }
  for (const FusedNode& node : fused) {
    const float scale = scales[static_cast<std::size_t>(root(parent, node.output))];
    if (scale == 0.0F && remarks != nullptr) remarks->unseen.push_back(network.node(node.output).name);
    scales[static_cast<std::size_t>(node.output)] = scale;
  }
  // Only now: a 1 among values that share a scale would win against the small ones that were seen.
  for (const FusedNode& node : fused) {
    float& scale = scales[static_cast<std::size_t>(node.output)];
    if (scale == 0.0F) scale = 1.0F;
  }
  if (remarks != nullptr) remarks->unused = unused_entries(network, fused, table, scales);
  return scales;
}

}  // namespace voxgemm
