// What was seen in several frames, by name of the layer: merging.
#include <algorithm>

#include "core/check.h"
#include "graph/nodes.h"
#include "quant/scale.h"

namespace voxgemm {
namespace {

void check_rows(const CapacityTable& table) {
  for (const auto& [layer, rows] : table.rows)
    check_layer(rows >= 1, ErrorCode::kInvalidArgument, layer, "capacity is {}, at least 1", rows);
}

/// The larger of each entry. Memory that runs out leaves `into` as it was.
template <typename Map>
void take_larger(Map& into, const Map& from) {
  Map merged = into;
  for (const auto& [name, value] : from) {
    auto& entry = merged.try_emplace(name, value).first->second;
    entry = std::max(entry, value);
  }
  into.swap(merged);
}

}  // namespace

void check_scales(const ScaleTable& table) {
  for (const auto& [name, scale] : table.scale) {
    check(is_scale_or_unseen(scale), ErrorCode::kInvalidArgument,
          "value '{}': scale {} is neither 0 (never seen) nor from {} to {}", name, scale, kLeastScale,
          kMostScale);
  }
}

void ScaleTable::merge(const ScaleTable& other) {
  check_scales(*this);
  check_scales(other);
  take_larger(scale, other.scale);
}

void CapacityTable::merge(const CapacityTable& other) {
  check_rows(*this);
  check_rows(other);
  take_larger(rows, other.rows);
}

}  // namespace voxgemm
