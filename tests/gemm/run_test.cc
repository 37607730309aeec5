// Proves: run() reports wrong operands as a Status and writes nothing then; rows beyond num_out stay
// untouched; the vectors of a published quantisation guide come out.
#include <gtest/gtest.h>

#include <span>

#include "tests/gemm/layer_case.h"
#include "tests/support/pair_table.h"

namespace voxgemm::test {
namespace {

class ImplicitGemmRun : public testing::Test {
 protected:
  static constexpr std::int32_t kRows = 5;
  Context context_{ContextOptions{.threads = 1}};
  ImplicitGemmDesc desc_{.name = "run", .kv = 1, .c_in = 3, .c_out = 2};
  std::vector<std::int8_t> weights_ = {1, 2, 3, -1, -2, -3};
  PairTable pairs_{1, kRows, {0, 1, 2, 3, 4}, 4};
  std::vector<std::int8_t> in_ = std::vector<std::int8_t>(kRows * 3, 1);
  std::vector<std::int8_t> out_ = std::vector<std::int8_t>(kRows * 2, 99);
  FeatureView in_view_{in_.data(), DType::kInt8, kRows, 3, 3};
  FeatureSpan out_view_{out_.data(), DType::kInt8, kRows, 2, 2};

  Status run(const IndicePairsView& pairs, const FeatureView& residual = {}) {
    const ImplicitGemm plan(context_, desc_, std::span<const std::int8_t>(weights_), {.scale = {1.0F}});
    Buffer workspace(context_, plan.workspace_bytes(kRows, kRows));
    return plan.run(context_, pairs, in_view_, residual, out_view_, {workspace.data(), workspace.bytes()});
  }
  void expect_refused(const Status& status, ErrorCode code, std::int64_t value, std::int64_t limit) {
    EXPECT_NE(status.what, nullptr) << "the operand has no name";
    EXPECT_EQ(status.code, code) << to_string(status);
    EXPECT_EQ(status.value, value);
    EXPECT_EQ(status.limit, limit);
    EXPECT_EQ(out_, std::vector<std::int8_t>(kRows * 2, 99));
  }
};

TEST_F(ImplicitGemmRun, RunsAsSetUp) {
  ASSERT_TRUE(run(pairs_.view()).ok());
  EXPECT_EQ(out_, (std::vector<std::int8_t>{6, -6, 6, -6, 6, -6, 6, -6, 6, -6}));
}

TEST_F(ImplicitGemmRun, ReportsWrongTypes) {
  in_view_.dtype = DType::kFloat32;
  EXPECT_EQ(run(pairs_.view()).code, ErrorCode::kDType);
  in_view_.dtype = DType::kInt8;
  out_view_.dtype = DType::kFloat32;
  EXPECT_EQ(run(pairs_.view()).code, ErrorCode::kDType);
}

TEST_F(ImplicitGemmRun, ReportsWrongShapes) {
  in_view_.channels = 4;
  expect_refused(run(pairs_.view()), ErrorCode::kShape, 4, 3);
  in_view_.channels = 3;
  in_view_.stride = 2;
  expect_refused(run(pairs_.view()), ErrorCode::kShape, 2, 3);
  in_view_.stride = 3;
  in_view_.rows = 4;
  expect_refused(run(pairs_.view()), ErrorCode::kShape, 4, 5);
  in_view_.rows = 5;
  out_view_.stride = 1;
  expect_refused(run(pairs_.view()), ErrorCode::kShape, 1, 2);
  out_view_.stride = 2;
  IndicePairsView other = pairs_.view();
  other.kv = 2;
  expect_refused(run(other), ErrorCode::kShape, 2, 1);
}

TEST_F(ImplicitGemmRun, ReportsMissingOperands) {
  IndicePairsView none = pairs_.view();
  none.pair_fwd = nullptr;
  none.tiles = {};
  EXPECT_EQ(run(none).code, ErrorCode::kInvalidArgument);
  expect_refused(run(pairs_.view(), in_view_), ErrorCode::kInvalidArgument, 1,
                 0);  // a residual nobody planned
  desc_.has_residual = true;
  expect_refused(run(pairs_.view()), ErrorCode::kInvalidArgument, 0, 1);  // the residual is missing
}

TEST_F(ImplicitGemmRun, ReportsTooSmallWorkspace) {
  const ImplicitGemm plan(context_, desc_, std::span<const std::int8_t>(weights_), {.scale = {1.0F}});
  if (plan.workspace_bytes(kRows, kRows) == 0) GTEST_SKIP() << plan.kernel_name() << " needs no workspace";
  const Status status = plan.run(context_, pairs_.view(), in_view_, {}, out_view_, {});
  expect_refused(status, ErrorCode::kInvalidArgument, 0,
                 static_cast<std::int64_t>(plan.workspace_bytes(kRows, kRows)));
}

TEST_F(ImplicitGemmRun, EmptyMapWritesNothing) {
  const PairTable empty(1, 0, {}, 4);
  in_view_.rows = 0;
  out_view_.rows = 0;
  EXPECT_TRUE(run(empty.view()).ok());
  EXPECT_EQ(out_, std::vector<std::int8_t>(kRows * 2, 99));
}

TEST_F(ImplicitGemmRun, RowsBeyondNumOutAreUntouched) {
  const PairTable fewer(1, kRows, {4, 3, 2}, 4);
  ASSERT_TRUE(run(fewer.view()).ok());
  EXPECT_EQ(out_, (std::vector<std::int8_t>{6, -6, 6, -6, 6, -6, 99, 99, 99, 99}));
}

// acc {1000, -800}, scale {0.002, 0.004}, bias {10, -5}: {12, -8.2}; plus a residual of 40 * 0.5: {32, 11.8}.
std::vector<std::int8_t> published_vector(const std::string& row, bool add, Activation activation) {
  Context context({.threads = 1, .kernels = {.force = row}});
  const ImplicitGemmDesc desc{.name = "vector", .kv = 1, .c_in = 10, .c_out = 2, .has_residual = add};
  std::vector<std::int8_t> weights(20, 1);
  std::fill(weights.begin() + 10, weights.begin() + 18, static_cast<std::int8_t>(-1));
  std::fill(weights.begin() + 18, weights.end(), static_cast<std::int8_t>(0));
  const EpilogueParams e{
      .scale = {0.002F, 0.004F}, .bias = {10.0F, -5.0F}, .beta = 0.5F, .activation = activation};
  const ImplicitGemm plan(context, desc, std::span<const std::int8_t>(weights), e);
  const PairTable pairs(1, 1, {0}, 16);
  const std::vector<std::int8_t> in(10, 100);
  const std::vector<std::int8_t> residual(2, 40);
  std::vector<std::int8_t> out(2, 0);
  FeatureView residual_view{};
  if (add) residual_view = {residual.data(), DType::kInt8, 1, 2, 2};
  Buffer workspace(context, plan.workspace_bytes(1, 1));
  const Status status = plan.run(context, pairs.view(), {in.data(), DType::kInt8, 1, 10, 10}, residual_view,
                                 {out.data(), DType::kInt8, 1, 2, 2}, {workspace.data(), workspace.bytes()});
  EXPECT_TRUE(status.ok()) << to_string(status);
  return out;
}

TEST(ImplicitGemmVectors, PublishedScaleRule) {
  using Bytes = std::vector<std::int8_t>;
  const std::string row = "scalar";
  EXPECT_EQ(published_vector(row, false, Activation::kNone), (Bytes{12, -8}));
  EXPECT_EQ(published_vector(row, false, Activation::kReLU), (Bytes{12, 0}));
  EXPECT_EQ(published_vector(row, true, Activation::kNone), (Bytes{32, 12}));
  EXPECT_EQ(published_vector(row, true, Activation::kReLU), (Bytes{32, 12}));
}

}  // namespace
}  // namespace voxgemm::test
