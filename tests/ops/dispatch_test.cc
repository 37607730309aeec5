// Proves: an operator runs the first row that its context supports, a forced row alone when the table has it,
// and ignores names of other tables; ISA limits of the policy hold.
#include "ops/dispatch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "kernels/quantize/quantize.h"
#include "voxgemm/operators.h"

namespace voxgemm {
namespace {

struct FakeKernel {
  std::string_view name;
  Isa isa = Isa::kScalar;
};

constexpr std::array kTable{FakeKernel{"gpu", Isa::kSm80}, FakeKernel{"amx", Isa::kAmxInt8},
                            FakeKernel{"wide", Isa::kAvx2}, FakeKernel{"plain", Isa::kScalar}};

std::string_view picked(const KernelPolicy& policy) {
  const Context context({.threads = 1, .kernels = policy});
  const FakeKernel* row = pick_kernel(context, std::span<const FakeKernel>(kTable));
  return row == nullptr ? "none" : row->name;
}

TEST(PickKernel, BestThatThePolicyAllows) {
  EXPECT_EQ(picked({.max_isa = Isa::kScalar}), "plain");
  const Context context({.threads = 1});
  EXPECT_EQ(picked({.max_isa = Isa::kAvx512Vnni}), context.supports(Isa::kAvx2) ? "wide" : "plain");
}

TEST(PickKernel, ForcedNames) {
  EXPECT_EQ(picked({.force = "plain"}), "plain");
  EXPECT_EQ(picked({.force = "gpu"}), "none");
  EXPECT_EQ(picked({.force = "wide", .max_isa = Isa::kScalar}), "none");
  EXPECT_EQ(picked({.force = "a GEMM row", .max_isa = Isa::kScalar}), "plain");
}

TEST(PickKernel, OperatorReportsThatNothingRuns) {
  Context context({.threads = 1, .kernels = {.force = "avx2_quantize", .max_isa = Isa::kScalar}});
  float x = 1.0F;
  std::int8_t q = 0;
  const auto table = quantize_kernels();
  const bool has_row = std::any_of(table.begin(), table.end(),
                                   [](const QuantizeKernel& row) { return row.name == "avx2_quantize"; });
  if (!has_row) GTEST_SKIP() << "no vector row in this build";
  EXPECT_EQ(quantize(context, {&x, DType::kFloat32, 1, 1, 1}, 1.0F, {&q, DType::kInt8, 1, 1, 1}).code,
            ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace voxgemm
