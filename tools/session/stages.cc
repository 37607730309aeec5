#include "tools/session/stages.h"

#include <fmt/format.h>

#include <utility>

#include "voxgemm/calibration.h"
#include "voxgemm/indice_pairs.h"

namespace voxgemm::tools {

std::vector<Stage> backbone_stages(Context& context, const Frame& frame, const Dims& spatial_shape,
                                   std::int32_t batch_size) {
  const ConvGeometry subm{.kind = ConvKind::kSubm, .kernel_size = {3, 3, 3}};
  const auto strided = [](std::int32_t pad_z) {
    return ConvGeometry{ConvKind::kRegular, {3, 3, 3}, {2, 2, 2}, {pad_z, 1, 1}};
  };
  const std::vector<std::pair<std::string, ConvGeometry>> maps{
      {"stage 1", subm}, {"down 1", strided(1)},
      {"stage 2", subm}, {"down 2", strided(1)},
      {"stage 3", subm}, {"down 3", strided(0)},
      {"stage 4", subm}, {"out", {ConvKind::kRegular, {3, 1, 1}, {2, 1, 1}, {0, 0, 0}}}};
  SparseTensorView sites;
  sites.indices = frame.indices.data();
  sites.spatial_shape = spatial_shape;
  sites.batch_size = batch_size;
  sites.capacity = sites.num_voxels = frame.num_voxels;
  std::vector<Stage> stages;
  std::vector<IndicePairs> kept;  // own the coordinates that the next map starts from
  kept.reserve(maps.size());
  for (const auto& [name, geometry] : maps) {
    kept.push_back(build_indice_pairs(context, sites, geometry, {.forms = kTilePairs}));
    const IndicePairs& pairs = kept.back();
    stages.push_back({name, pairs.num_out(), pairs.num_pairs()});
    if (geometry.kind == ConvKind::kSubm) continue;
    sites.indices = pairs.view().out_indices;
    sites.spatial_shape = pairs.out_shape();
    sites.capacity = sites.num_voxels = pairs.num_out();
  }
  return stages;
}

}  // namespace voxgemm::tools
