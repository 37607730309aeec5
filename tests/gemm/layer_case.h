// One random layer, its expected output by the documented formula, and a runner for any kernel row.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "voxgemm/context.h"
#include "voxgemm/implicit_gemm.h"

namespace voxgemm::test {

/// Operands of one layer; features [n_in][c_in] and residual [num_out][c_out] without padding.
struct LayerCase {
  ImplicitGemmDesc desc{};
  EpilogueParams epilogue{};
  std::int32_t n_in = 0;
  std::vector<std::int8_t> features;
  std::vector<std::int8_t> weights;
  std::vector<float> features_f32;
  std::vector<float> weights_f32;
  std::vector<std::int8_t> residual;
  std::vector<float> residual_f32;
};

/// Finite floats of both signs from 2^-126 past the bounds of scaled_sigmoid(), an odd number of them.
std::vector<float> sigmoid_arguments();

/// Fills every operand of `c` from its desc, epilogue.activation and sizes. Extreme values occur often.
void fill_random(LayerCase& c, std::int32_t n_in, std::int32_t num_out, std::uint64_t seed);

/// Output bytes of a run: int8 or float32 rows without padding.
struct LayerOutput {
  std::string kernel;
  std::vector<std::int8_t> int8;
  std::vector<float> f32;
  std::int64_t issued_macs = 0;  ///< as run() counted them
};

struct RunOptions {
  std::int32_t threads = 1;
  std::string force;             ///< row name; empty = the best
  std::int64_t in_padding = 0;   ///< extra elements per input row
  std::int64_t out_padding = 0;  ///< extra elements per output and residual row
  bool residual_in_place = false;
};
LayerOutput run_layer(const LayerCase& c, const IndicePairsView& pairs, const RunOptions& options);

}  // namespace voxgemm::test
