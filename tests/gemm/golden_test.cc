// Proves: int8 outputs that spconv itself computed are reproduced bit for bit, per coordinate, by every
// kernel row of this machine. Pairs come from the brute-force definition here, so that this test rests on the
// GEMM alone.
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
