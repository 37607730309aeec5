// Proves: int8 outputs that spconv itself computed are reproduced bit for bit, per coordinate, by every
// kernel row of this machine. Pairs come from the brute-force definition here, so that this test rests on the
// GEMM alone.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <span>

#include "tests/support/pair_table.h"
#include "tests/support/test_data.h"
#include "voxgemm/context.h"
#include "voxgemm/implicit_gemm.h"

namespace voxgemm::test {
namespace {

using Json = nlohmann::json;
using Site = std::array<std::int32_t, 4>;

struct Golden {
  Json meta;
  std::vector<std::int32_t> in_indices;
  std::vector<std::int32_t> out_indices;
  std::vector<std::int8_t> features;
  std::vector<std::int8_t> weights;
  std::vector<std::int8_t> residual;
  Array out;
  ImplicitGemmDesc desc{};
  EpilogueParams epilogue{};
};

Golden read_golden(const std::filesystem::path& folder) {
  Golden g;
  std::ifstream(folder / "meta.json") >> g.meta;
  g.in_indices = read_array(folder / "in_indices.npy").as<std::int32_t>();
  g.out_indices = read_array(folder / "out_indices.npy").as<std::int32_t>();
  g.features = read_array(folder / "in_features.npy").as<std::int8_t>();
  const Array weights = read_array(folder / "weight_krsc.npy");
  g.weights = weights.as<std::int8_t>();
  g.out = read_array(folder / "out_features.npy");
  g.desc.name = folder.filename().string();
  g.desc.kv = static_cast<std::int32_t>(weights.shape[1] * weights.shape[2] * weights.shape[3]);
  g.desc.c_in = static_cast<std::int32_t>(weights.shape[4]);
  g.desc.c_out = static_cast<std::int32_t>(weights.shape[0]);
  g.desc.out_dtype = g.meta["out_dtype"] == "int8" ? DType::kInt8 : DType::kFloat32;
  if (std::filesystem::exists(folder / "output_add.npy")) {
    g.residual = read_array(folder / "output_add.npy").as<std::int8_t>();
    g.desc.has_residual = true;
    g.epilogue.beta = g.meta["output_add_scale"].get<float>() / g.meta["output_scale"].get<float>();
  }
  g.epilogue.scale = read_array(folder / "scale.npy").as<float>();
  g.epilogue.bias = read_array(folder / "bias.npy").as<float>();
  const std::string act = g.meta["activation"];
  g.epilogue.activation = act == "relu"         ? Activation::kReLU
                          : act == "leaky_relu" ? Activation::kLeakyReLU
                                                : Activation::kNone;
  g.epilogue.act_alpha = g.meta["act_alpha"].get<float>();
  return g;
}

// input_row [num_out][kv] from i = o * stride - padding + r * dilation.
std::vector<std::int32_t> brute_pairs(const Golden& g) {
  std::map<Site, std::int32_t> rows;
  for (std::size_t i = 0; i * 4 < g.in_indices.size(); ++i) {
    const std::int32_t* s = g.in_indices.data() + 4 * i;
    rows[{s[0], s[1], s[2], s[3]}] = static_cast<std::int32_t>(i);
  }
  const auto axis = [&](const char* key) { return g.meta[key].get<std::array<std::int32_t, 3>>(); };
  const auto k = axis("kernel_size");
  const auto stride = axis("stride");
  const auto padding = axis("padding");
  const auto dilation = axis("dilation");
  std::vector<std::int32_t> input_row;
  for (std::size_t o = 0; o * 4 < g.out_indices.size(); ++o) {
    const std::int32_t* s = g.out_indices.data() + 4 * o;
    for (std::int32_t r = 0; r < g.desc.kv; ++r) {
      const std::array<std::int32_t, 3> at = {r / (k[1] * k[2]), r / k[2] % k[1], r % k[2]};
      Site site{s[0], 0, 0, 0};
      for (std::size_t a = 0; a < 3; ++a) {
        site[a + 1] = s[a + 1] * stride[a] - padding[a] + at[a] * dilation[a];
      }
      const auto found = rows.find(site);
      input_row.push_back(found == rows.end() ? -1 : found->second);
    }
  }
  return input_row;
}

// Runs one row on the case; false when the row cannot run here.
bool run_row(const Golden& g, const PairTable& pairs, const std::string& row, std::vector<std::byte>& out) {
  Context context({.threads = 2, .kernels = {.force = row}});
  std::unique_ptr<ImplicitGemm> plan;
  try {
    plan =
        std::make_unique<ImplicitGemm>(context, g.desc, std::span<const std::int8_t>(g.weights), g.epilogue);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kUnsupported) << e.what();
    return false;
  }
  EXPECT_EQ(plan->kernel_name(), row);
  const std::int32_t n_in = pairs.view().n_in;
  const std::int32_t num_out = pairs.view().num_out;
  out.assign(g.out.bytes.size(), std::byte{0});
  const FeatureView in{g.features.data(), DType::kInt8, n_in, g.desc.c_in, g.desc.c_in};
  const FeatureSpan to{out.data(), g.desc.out_dtype, num_out, g.desc.c_out, g.desc.c_out};
  FeatureView residual{};
  if (g.desc.has_residual) residual = {g.residual.data(), DType::kInt8, num_out, g.desc.c_out, g.desc.c_out};
  Buffer workspace(context, plan->workspace_bytes(n_in, num_out));
  const Status status =
      plan->run(context, pairs.view(), in, residual, to, {workspace.data(), workspace.bytes()});
  EXPECT_TRUE(status.ok()) << to_string(status);
  return true;
}

TEST(GoldenInt8, EveryRowEqualsSpconv) {
  const auto folders = case_folders("golden_spconv_int8");
  if (folders.empty()) GTEST_SKIP() << "VOXGEMM_TEST_DATA has no golden_spconv_int8";
  for (const auto& folder : folders) {
    Golden g = read_golden(folder);
    const PairTable pairs(g.desc.kv, static_cast<std::int32_t>(g.in_indices.size() / 4), brute_pairs(g), 256);
    ASSERT_GT(pairs.num_pairs(), 0);
    int rows_run = 0;
    for (const std::string& row : implicit_gemm_kernel_names()) {
      std::vector<std::byte> out;
      if (!run_row(g, pairs, row, out)) continue;
      ++rows_run;
      EXPECT_EQ(std::memcmp(out.data(), g.out.bytes.data(), out.size()), 0)
          << folder.filename().string() << " by " << row;
    }
    EXPECT_GE(rows_run, 1);
  }
}

}  // namespace
}  // namespace voxgemm::test
