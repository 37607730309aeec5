// Proves: int8 outputs that spconv itself computed are reproduced bit for bit, per coordinate, by every
// kernel row of this machine: once over pairs from the brute-force definition, which rests on the GEMM alone,
// and once over those of build_indice_pairs(), the path that users take.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <span>

#include "tests/gemm/golden_case.h"
#include "tests/support/pair_table.h"
#include "tests/support/test_data.h"
#include "voxgemm/context.h"
#include "voxgemm/implicit_gemm.h"

namespace voxgemm::test {
namespace {

// Runs one row on the case; false when the row cannot run here.
bool run_row(const Golden& g, const IndicePairsView& pairs, const std::string& row,
             std::vector<std::byte>& out) {
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
  const std::int32_t n_in = pairs.n_in;
  const std::int32_t num_out = pairs.num_out;
  out.assign(g.out.bytes.size(), std::byte{0});
  const FeatureView in{g.features.data(), DType::kInt8, n_in, g.desc.c_in, g.desc.c_in};
  const FeatureSpan to{out.data(), g.desc.out_dtype, num_out, g.desc.c_out, g.desc.c_out};
  FeatureView residual{};
  if (g.desc.has_residual) residual = {g.residual.data(), DType::kInt8, num_out, g.desc.c_out, g.desc.c_out};
  Buffer workspace(context, plan->workspace_bytes(n_in, num_out));
  const Status status = plan->run(context, pairs, in, residual, to, {workspace.data(), workspace.bytes()});
  EXPECT_TRUE(status.ok()) << to_string(status);
  return true;
}

void expect_every_row_equal(const Golden& g, const IndicePairsView& pairs) {
  int rows_run = 0;
  for (const std::string& row : implicit_gemm_kernel_names()) {
    std::vector<std::byte> out;
    if (!run_row(g, pairs, row, out)) continue;
    ++rows_run;
    EXPECT_EQ(std::memcmp(out.data(), g.out.bytes.data(), out.size()), 0) << g.desc.name << " by " << row;
  }
  EXPECT_GE(rows_run, 1);
}

TEST(GoldenInt8, EveryRowEqualsSpconv) {
  const auto folders = case_folders("golden_spconv_int8");
  if (folders.empty()) GTEST_SKIP() << "VOXGEMM_TEST_DATA has no golden_spconv_int8";
  for (const auto& folder : folders) {
    const Golden g = read_golden(folder);
    const PairTable pairs(g.desc.kv, static_cast<std::int32_t>(g.in_indices.size() / 4), brute_pairs(g), 256);
    ASSERT_GT(pairs.num_pairs(), 0);
    expect_every_row_equal(g, pairs.view());
  }
}

TEST(GoldenInt8, EveryRowEqualsSpconvOverBuiltPairs) {
  const auto folders = case_folders("golden_spconv_int8");
  if (folders.empty()) GTEST_SKIP() << "VOXGEMM_TEST_DATA has no golden_spconv_int8";
  Context context({.threads = 2});
  for (const auto& folder : folders) {
    Golden g = read_golden(folder);
    const IndicePairs pairs = build_indice_pairs(context, golden_sites(g), golden_geometry(g));
    const IndicePairsView& view = pairs.view();
    ASSERT_EQ(view.num_out, static_cast<std::int32_t>(g.out_indices.size() / 4)) << g.desc.name;
    ASSERT_TRUE(reorder_outputs(g, {view.out_indices, g.out_indices.size()})) << g.desc.name;
    expect_every_row_equal(g, view);
  }
}

}  // namespace
}  // namespace voxgemm::test
