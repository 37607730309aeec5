// Min-max calibration and capacity recording: what must be known of a network before an int8 engine is built.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "graph/frame_runner.h"
#include "graph/nodes.h"

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

void check_frames(std::span<const Frame> frames) {
  check(!frames.empty(), ErrorCode::kInvalidArgument, "no frames given");
}

}  // namespace

CapacityTable record_capacities(Context& context, const Network& network, std::span<const Frame> frames,
                                float headroom) {
  check_frames(frames);
  check(std::isfinite(headroom) && headroom >= 1.0F, ErrorCode::kInvalidArgument,
        fmt::format("headroom is {}, at least 1", headroom));
  const Network::Impl& net = network.impl();
  std::vector<std::int64_t> most(net.sites.size(), 1);
  for (const Frame& frame : frames) {
    const std::vector<std::int64_t> counts = count_sites(context, net, frame);
    for (std::size_t i = 0; i < most.size(); ++i) most[i] = std::max(most[i], counts[i]);
  }
  CapacityTable table;
  table.rows[net.nodes.front().name] = 0;
  for (const MapNode& map : net.maps) {
    if (map.geometry.kind != ConvKind::kSubm) table.rows[map.first_layer] = map.out_sites;
  }
  for (auto& [layer, rows] : table.rows) {  // rows holds the site set until here
    const SiteSet& sites = net.site_set(rows);
    const double wanted =
        std::ceil(static_cast<double>(most[static_cast<std::size_t>(rows)]) * static_cast<double>(headroom));
    const double cells = static_cast<double>(sites.shape.product()) * sites.batch_size;
    rows = static_cast<std::int32_t>(std::min({wanted, cells, 2147483647.0}));
  }
  return table;
}

ScaleTable calibrate_min_max(Context& context, const Network& network, std::span<const Frame> frames) {
  check_frames(frames);
  FrameRunner runner(context, network, {}, Precision::kFloat32, frames);
  std::vector<float> amax(runner.engine().steps().size(), 0.0F);
  for (const Frame& frame : frames) {
    runner.run(frame);
    for (std::size_t step = 0; step < amax.size(); ++step) {
      for (const float x : runner.value(static_cast<std::int32_t>(step)).real) {
        check(std::isfinite(x), ErrorCode::kInvalidArgument,
              fmt::format("layer '{}' makes a value that is not finite", runner.engine().steps()[step].name));
        amax[step] = std::max(amax[step], std::fabs(x));
      }
    }
  }
  ScaleTable table;
  const Network::Impl& net = network.impl();
  std::size_t step = 0;
  const std::vector<FusedNode> fused = fuse(net);
  for (const StepInfo& info : runner.engine().steps()) {
    const float scale = amax[step] > 0.0F ? amax[step] / 127.0F : 1.0F;
    ++step;
    const auto made = std::find_if(fused.begin(), fused.end(), [&](const FusedNode& node) {
      return !info.value.empty() && net.node(node.output).name == info.value;
    });
    if (made == fused.end()) continue;
    for (const std::int32_t part : made->parts) table.scale[net.node(part).name] = scale;
  }
  return table;
}

}  // namespace voxgemm
