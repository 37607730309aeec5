// The truth of kernel maps: nested loops over output sites, input sites and offsets; no index, no keys.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/support/scenes.h"
#include "voxgemm/indice_pairs.h"

namespace voxgemm::test {

struct BruteMap {
  std::int32_t kv = 0;
  std::int32_t n_in = 0;
  std::int32_t num_out = 0;
  Dims out_shape{};
  std::vector<std::int32_t> out_indices;  ///< [num_out][1+ndim]
  std::vector<std::int32_t> fwd;          ///< [kv][num_out] input row or -1
  std::vector<std::int32_t> bwd;          ///< [kv][n_in] output row or -1
  std::int64_t pairs = 0;
};

/// `out_capacity` >= 0 keeps the first sites only.
BruteMap brute_force(const Scene& scene, const ConvGeometry& geometry, std::int32_t out_capacity = -1);

/// Every form that `view` holds says what `want` says; unused room is not looked at.
void expect_map(const IndicePairsView& view, const BruteMap& want, std::int64_t num_pairs);

/// The blocks of `view` say what its table says, and list no more.
void expect_blocks(const IndicePairsView& view);

/// A random geometry for `shape`, valid (its output is not empty).
ConvGeometry random_geometry(const Dims& shape, std::uint64_t seed);

}  // namespace voxgemm::test
