// The obvious voxeliser: a map from cell to row, one point after the other. Truth for every faster form.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <vector>

#include "voxgemm/voxelize.h"

namespace voxgemm::test {

struct Voxels {
  std::vector<std::int32_t> indices;           ///< [rows][4]
  std::vector<float> features;                 ///< [rows][columns]
  std::vector<float> padded;                   ///< [rows][max_points][columns]
  std::vector<std::int32_t> point_voxel_id;    ///< all clouds
  std::vector<std::int32_t> points_per_voxel;  ///< [rows]
  std::vector<VoxelizeCounts> counts;
};

inline void voxelize_cloud(const VoxelGrid& grid, std::int32_t columns, const std::vector<float>& points,
                           std::int32_t batch, Voxels& out) {
  const Dims cells = grid.grid_zyx();
  const std::size_t width = static_cast<std::size_t>(columns);
  const auto first_row = static_cast<std::int32_t>(out.points_per_voxel.size());
  std::map<std::array<std::int32_t, 3>, std::int32_t> rows;
  VoxelizeCounts counts;
  for (std::size_t i = 0; i < points.size() / width; ++i, ++counts.points) {
    const float* p = points.data() + i * width;
    std::int32_t row = -1;
    std::array<std::int32_t, 3> zyx{};
    bool finite = true;
    bool inside = true;
    for (std::size_t c = 0; c < width; ++c) finite = finite && std::isfinite(p[c]);
    for (std::size_t a = 0; a < 3; ++a) {
      const float c = std::floor((p[a] - grid.min_xyz[a]) / grid.voxel_size_xyz[a]);
      inside = inside && c >= 0.0F && c < static_cast<float>(cells[static_cast<int>(2 - a)]);
      if (inside && finite) zyx[2 - a] = static_cast<std::int32_t>(c);
    }
    if (!finite) {
      ++counts.not_finite;
    } else if (!inside) {
      ++counts.out_of_range;
    } else {
      const bool fresh = rows.count(zyx) == 0;
      counts.voxels_wanted += fresh ? 1 : 0;
      if (fresh) rows[zyx] = counts.voxels < grid.max_voxels ? first_row + counts.voxels++ : -1;
      row = rows[zyx];
      if (row < 0) ++counts.voxel_overflow;
      if (row >= 0 && fresh) {
        out.indices.insert(out.indices.end(), {batch, zyx[0], zyx[1], zyx[2]});
        out.features.insert(out.features.end(), p, p + width);
        out.padded.resize(out.padded.size() + static_cast<std::size_t>(grid.max_points_per_voxel) * width,
                          0.0F);
        out.points_per_voxel.push_back(0);
      }
      if (row >= 0) {
        const auto r = static_cast<std::size_t>(row);
        std::int32_t& kept = out.points_per_voxel[r];
        if (kept == grid.max_points_per_voxel) {
          ++counts.point_overflow;
        } else {
          const auto slot =
              r * static_cast<std::size_t>(grid.max_points_per_voxel) + static_cast<std::size_t>(kept);
          for (std::size_t c = 0; c < width; ++c) {
            out.padded[slot * width + c] = p[c];
            if (kept > 0) out.features[r * width + c] += p[c];
          }
          ++kept;
        }
      }
    }
    out.point_voxel_id.push_back(row);
  }
  for (std::size_t r = static_cast<std::size_t>(first_row); r < out.points_per_voxel.size(); ++r) {
    for (std::size_t c = 0; c < width; ++c) {
      out.features[r * width + c] /= static_cast<float>(out.points_per_voxel[r]);
    }
  }
  out.counts.push_back(counts);
}

}  // namespace voxgemm::test
