// Base truth of every convolution: a dense array, the definition, and nothing else. No hash, no pairs.
#pragma once

#include <cstdint>
#include <vector>

#include "voxgemm/indice_pairs.h"

namespace voxgemm::test {

/// A small sparse input: coordinates [n][1 + ndim], batch first, and one feature row each.
struct DenseConvInput {
  Dims spatial_shape{};
  std::int32_t batch_size = 1;
  std::vector<std::int32_t> indices;
  std::vector<double> features;  ///< [n][c_in], exact values
  std::int32_t c_in = 0;
};

/// Output sites (subm: the input's; else ascending linear key) and the exact sums there.
struct DenseConvOutput {
  std::vector<std::int32_t> indices;    ///< [num_out][1 + ndim]
  std::vector<std::int32_t> input_row;  ///< [num_out][kv] input row that feeds offset k, or -1
  std::vector<double> sums;             ///< [num_out][c_out]
  std::int32_t num_out = 0;
};

/// sums[o][n] = sum over kernel offsets r and channels c of dense_in[i(o, r)][c] * weights[n][r][c], with
/// i(o, r) from the relations of ConvGeometry. `geometry` must be complete (every member filled). weights
/// KRSC.
DenseConvOutput dense_conv(const DenseConvInput& input, const ConvGeometry& geometry, const Dims& out_shape,
                           const std::vector<double>& weights, std::int32_t c_out);

}  // namespace voxgemm::test
