// A network run node by node with loops over every (input, offset, output) triple: the truth for engine
// tests. It knows sites as coordinates, has no plan, no tiles and no arena.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "graph/nodes.h"
#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"
#include "voxgemm/network.h"

namespace voxgemm::test {

using Site = std::array<std::int32_t, 5>;  ///< batch, then up to four axes

struct NaivePair {
  std::int32_t k;
  std::int32_t in;
  std::int32_t out;
};

/// Sites of every site set and pairs of every map for one frame.
struct NaiveSites {
  std::vector<std::vector<Site>> sites;
  std::vector<std::vector<NaivePair>> pairs;
};
NaiveSites naive_sites(const Network::Impl& net, const Frame& frame);

/// Float value of each node, [rows][channels]; dense nodes stay empty. Sums in float64.
std::vector<std::vector<double>> naive_float(const Network::Impl& net, const NaiveSites& sites,
                                             const Frame& frame);

/// int8 value of each node that exists after fusion; float32 results when `as_float` of the node says so.
struct NaiveInt8 {
  std::vector<std::vector<std::int8_t>> stored;
  std::vector<std::vector<float>> real;  ///< the same values before rounding, with out_scale = 1
  std::vector<float> scale;
};
NaiveInt8 naive_int8(const Network::Impl& net, const NaiveSites& sites, const Frame& frame,
                     const ScaleTable& scales);

/// Rows as a dense array in the layout of `info`, zero elsewhere.
template <typename T>
std::vector<T> naive_dense(const std::vector<T>& rows, const std::vector<Site>& sites,
                           const OutputInfo& info) {
  const Dims& shape = info.spatial_shape;
  const bool channels_last = info.layout == DenseLayout::kNHWC || info.layout == DenseLayout::kNHWCFoldLast;
  const bool fold_last =
      info.layout == DenseLayout::kNCHWFoldLast || info.layout == DenseLayout::kNHWCFoldLast;
  std::vector<T> dense(static_cast<std::size_t>(dense_elements(shape, info.batch_size, info.channels)), T{});
  for (std::size_t row = 0; row < sites.size(); ++row) {
    std::int64_t plane = 0;
    std::int64_t fold = 0;
    std::int64_t folds = 1;
    std::int64_t cells = 1;
    for (int a = 0; a < shape.ndim; ++a) {
      const bool in_plane = fold_last ? a < 2 : a >= shape.ndim - 2;
      std::int64_t& at = in_plane ? plane : fold;
      at = at * shape[a] + sites[row][static_cast<std::size_t>(a) + 1];
      (in_plane ? cells : folds) *= shape[a];
    }
    for (std::int64_t c = 0; c < info.channels; ++c) {
      const std::int64_t channels = info.channels * folds;
      const std::int64_t channel = c * folds + fold;
      const std::int64_t at = channels_last ? (sites[row][0] * cells + plane) * channels + channel
                                            : (sites[row][0] * channels + channel) * cells + plane;
      dense[static_cast<std::size_t>(at)] =
          rows[row * static_cast<std::size_t>(info.channels) + static_cast<std::size_t>(c)];
    }
  }
  return dense;
}

}  // namespace voxgemm::test
