// Capacity recording: how many sites the frames have at every level.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "calibration/frame_runner.h"
#include "core/check.h"
#include "graph/nodes.h"
#include "voxgemm/calibration.h"

namespace voxgemm {
namespace {

/// Site counts of one frame at every site set, by building its maps one after the other.
std::vector<std::int64_t> count_sites(Context& context, const Network::Impl& net, const Frame& frame) {
  const SiteSet& input = net.site_set(0);
  std::vector<IndicePairs> made(net.maps.size());
  std::vector<std::int64_t> counts(net.sites.size(), 0);
  counts[0] = frame.num_voxels;
  const SparseTensor first =
      upload_frame(context, input.shape, input.batch_size, net.nodes[0].channels, frame);
  PairOptions options;
  options.forms = kPairTable;
  for (std::size_t i = 0; i < net.maps.size(); ++i) {
    const MapNode& map = net.maps[i];
    if (map.geometry.kind == ConvKind::kSubm) continue;
    SparseTensorView from = first.view();
    if (const SiteSet& sites = net.site_set(map.in_sites); sites.made_by >= 0) {
      const IndicePairs& before = made[static_cast<std::size_t>(sites.made_by)];
      from.indices = before.view().out_indices;
      from.spatial_shape = sites.shape;
      from.num_voxels = from.capacity = from.features.rows = before.num_out();
      from.features.data = before.view().out_indices;  // sites alone matter here
      from.features.stride = from.features.channels = 1;
      from.device_num_voxels = nullptr;
    }
    made[i] = build_indice_pairs(context, from, map.geometry, options);
    counts[static_cast<std::size_t>(map.out_sites)] = made[i].num_out();
  }
  return counts;
}

}  // namespace

CapacityTable record_capacities(Context& context, const Network& network, std::span<const Frame> frames,
                                float headroom) {
  check(!frames.empty(), ErrorCode::kInvalidArgument, "no frames given");
  check(std::isfinite(headroom) && headroom >= 1.0F, ErrorCode::kInvalidArgument,
        "headroom is {}, at least 1", headroom);
  const Network::Impl& net = network.impl();
  std::vector<std::int64_t> most(net.sites.size(), 1);
  for (const Frame& frame : frames) {
    const std::vector<std::int64_t> counts = count_sites(context, net, frame);
    for (std::size_t i = 0; i < most.size(); ++i) most[i] = std::max(most[i], counts[i]);
  }
  const auto capacity_of = [&](std::int32_t id) {
    const SiteSet& sites = net.site_set(id);
    const double wanted =
        std::ceil(static_cast<double>(most[static_cast<std::size_t>(id)]) * static_cast<double>(headroom));
    return static_cast<std::int32_t>(std::min({wanted, static_cast<double>(cells(sites)), 2147483647.0}));
  };
  CapacityTable table;
  table.rows[net.nodes.front().name] = capacity_of(0);
  for (const MapNode& map : net.maps) {
    if (map.geometry.kind != ConvKind::kSubm) table.rows[map.first_layer] = capacity_of(map.out_sites);
  }
  return table;
}

}  // namespace voxgemm
