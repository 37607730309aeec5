// One case of the int8 outputs that spconv computed, and its pairs by the brute-force definition.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "tests/support/test_data.h"
#include "voxgemm/implicit_gemm.h"

namespace voxgemm::test {

struct Golden {
  nlohmann::json meta;
  std::vector<std::int32_t> in_indices;
  std::vector<std::int32_t> out_indices;
  std::vector<std::int8_t> features;
  std::vector<std::int8_t> weights;
  std::vector<std::int8_t> residual;
  Array out;
  ImplicitGemmDesc desc{};
  EpilogueParams epilogue{};
};

Golden read_golden(const std::filesystem::path& folder);

/// input_row [num_out][kv] from i = o * stride - padding + r * dilation; -1 = none.
std::vector<std::int32_t> brute_pairs(const Golden& g);

/// The case for build_indice_pairs(): its input sites (no features) and its geometry.
SparseTensorView golden_sites(const Golden& g);
ConvGeometry golden_geometry(const Golden& g);

/// Puts outputs and residual into the row order of `out_indices`; false when the sites differ.
bool reorder_outputs(Golden& g, std::span<const std::int32_t> out_indices);

}  // namespace voxgemm::test
