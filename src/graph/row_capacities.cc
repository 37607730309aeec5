#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>

#include "graph/nodes.h"

namespace voxgemm {
namespace {

/// Largest number of output sites that one input site feeds. Of a strided axis, i + padding - r * dilation
/// must be a multiple of the stride: offsets r that are stride / gcd(dilation, stride) apart.
std::int64_t reach(const ConvGeometry& g) {
  if (g.kind == ConvKind::kTransposed) return g.kernel_volume();
  std::int64_t sites = 1;
  for (int a = 0; a < g.kernel_size.ndim; ++a) {
    const std::int32_t apart = g.stride[a] / std::gcd(g.dilation[a], g.stride[a]);
    sites *= (std::int64_t{g.kernel_size[a]} + apart - 1) / apart;
  }
  return sites;
}

}  // namespace

std::int64_t cells(const SiteSet& sites) { return sites.shape.product() * sites.batch_size; }

std::int32_t clamp_rows(const SiteSet& sites, std::int64_t rows) {
  return static_cast<std::int32_t>(
      std::min({rows, cells(sites), std::int64_t{std::numeric_limits<std::int32_t>::max()}}));
}

std::vector<std::int32_t> row_capacities(const Network::Impl& network) {
  std::vector<std::int32_t> rows;
  std::vector<std::int64_t> base;  // what a strided layer's growth counts from
  for (const SiteSet& sites : network.sites) {
    if (sites.made_by < 0) {
      rows.push_back(sites.capacity);
      base.push_back(sites.capacity);
      continue;
    }
    const MapNode& map = network.map(sites.made_by);
    const auto in = static_cast<std::size_t>(map.in_sites);
    const bool transposed = map.geometry.kind == ConvKind::kTransposed;
    std::int64_t wanted = reach(map.geometry) * rows[in];
    if (!transposed) wanted = std::min(wanted, 2 * base[in]);
    rows.push_back(sites.capacity > 0 ? sites.capacity : clamp_rows(sites, wanted));
    base.push_back(sites.capacity > 0 || transposed ? rows.back() : base[in]);
  }
  return rows;
}

}  // namespace voxgemm
