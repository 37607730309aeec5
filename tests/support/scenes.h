// Seeded voxel scenes: the same everywhere, sites unique and in range.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "voxgemm/sparse_tensor.h"
#include "voxgemm/types.h"

namespace voxgemm::test {

struct Scene {
  std::string name;
  Dims shape{};
  std::int32_t batch = 1;
  std::vector<std::int32_t> indices;  ///< [n][1+ndim]

  [[nodiscard]] std::int32_t n() const {
    return static_cast<std::int32_t>(indices.size()) / (1 + shape.ndim);
  }
  /// View over `indices` without features; the scene must outlive it.
  [[nodiscard]] SparseTensorView view() const;
};

/// Ground rings around a sensor, walls and car-sized boxes, about `target_voxels` sites a batch item, random
/// row order. shape is (z, y, x).
Scene lidar_scene(const Dims& shape, std::int32_t batch, std::int32_t target_voxels, std::uint64_t seed);

/// Each cell active with probability `density`; 1 to 4 axes; random row order.
Scene random_scene(const Dims& shape, std::int32_t batch, double density, std::uint64_t seed);

/// Every cell of the grid.
Scene full_scene(const Dims& shape, std::int32_t batch = 1);

/// Every cell along the last axis, in the middle of the others.
Scene line_scene(const Dims& shape);

/// The middle cell.
Scene single_scene(const Dims& shape);

Scene empty_scene(const Dims& shape);

/// Rows of `scene` in ascending key order.
Scene canonical(const Scene& scene);

/// Rows of `scene` in another random order; `permutation`, when not null, gets the old row of each new row.
Scene shuffled(const Scene& scene, std::uint64_t seed, std::vector<std::int32_t>* permutation = nullptr);

/// One small scene of each sort, with batches and borders touched.
std::vector<Scene> small_scenes();

}  // namespace voxgemm::test
