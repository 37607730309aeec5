// A network run node by node with loops over every (input, offset, output) triple: the truth for engine
// tests. It knows sites as coordinates, has no plan, no tiles and no arena.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "graph/nodes.h"
#include "voxgemm/calibration.h"
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

}  // namespace voxgemm::test
