// Proves: planning refuses every bad operand with an error that names the layer, the value and the limit; a
// forced row is the row that is chosen; describe() reports the rows that refused and why; looking at the
// weights costs no allocation.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "gemm/tile_rows.h"
#include "kernels/implicit_gemm/implicit_gemm.h"
#include "tests/support/counted_new.h"
#include "voxgemm/context.h"
#include "voxgemm/implicit_gemm.h"

namespace voxgemm {
namespace {

struct Request {
  ImplicitGemmDesc desc{.name = "conv1", .kv = 27, .c_in = 16, .c_out = 8};
  std::vector<std::int8_t> weights = std::vector<std::int8_t>(27 * 16 * 8, 1);
  EpilogueParams epilogue{.scale = {0.5F}};
};

// Code and text of the error that planning throws; kOk and "" when it does not.
std::pair<ErrorCode, std::string> plan_error(const Request& r, const KernelPolicy& policy = {}) {
  Context context({.threads = 1, .kernels = policy});
  try {
    const ImplicitGemm plan(context, r.desc, std::span<const std::int8_t>(r.weights), r.epilogue);
  } catch (const Error& e) {
    return {e.code(), e.what()};
  }
  return {ErrorCode::kOk, ""};
}

void expect_error(const Request& r, ErrorCode code, const std::vector<std::string>& parts,
                  const KernelPolicy& policy = {}) {
  const auto [got, text] = plan_error(r, policy);
  EXPECT_EQ(got, code) << text;
  EXPECT_NE(text.find("conv1"), std::string::npos) << text;
  for (const std::string& part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
}

TEST(ImplicitGemmPlan, AcceptsAGoodLayer) { EXPECT_EQ(plan_error(Request()).first, ErrorCode::kOk); }

TEST(ImplicitGemmPlan, RefusesChannelCounts) {
  Request r;
  r.desc.c_in = 0;
  expect_error(r, ErrorCode::kInvalidArgument, {"c_in", "0", "1"});
  r = Request();
  r.desc.c_out = -3;
  expect_error(r, ErrorCode::kInvalidArgument, {"c_out", "-3"});
}

TEST(ImplicitGemmPlan, RefusesKernelVolume) {
  Request r;
  r.desc.kv = 344;
  expect_error(r, ErrorCode::kInvalidArgument, {"344", "343"});
  r.desc.kv = 0;
  expect_error(r, ErrorCode::kInvalidArgument, {"0"});
}

TEST(ImplicitGemmPlan, RefusesReductionThatCouldOverflow) {
  Request r;
  r.desc = {.name = "conv1", .kv = 1, .c_in = 131072, .c_out = 1};
  r.weights.assign(131072, 1);
  expect_error(r, ErrorCode::kInvalidArgument, {"131072", "131071"});
  r.desc.c_in = 131071;
  r.weights.assign(131071, 1);
  EXPECT_EQ(plan_error(r).first, ErrorCode::kOk);
}

TEST(ImplicitGemmPlan, RefusesWrongLengths) {
  Request r;
  r.weights.pop_back();
  expect_error(r, ErrorCode::kShape, {"3455", "3456"});
  r = Request();
  r.epilogue.scale.assign(7, 1.0F);
  expect_error(r, ErrorCode::kShape, {"scale", "7", "8"});
  r = Request();
  r.epilogue.scale.clear();
  expect_error(r, ErrorCode::kShape, {"scale", "0", "8"});
  r = Request();
  r.epilogue.bias.assign(9, 1.0F);
  expect_error(r, ErrorCode::kShape, {"bias", "9", "8"});
}

TEST(ImplicitGemmPlan, RefusesValuesThatAreNotFinite) {
  Request r;
  r.epilogue.scale.assign(8, 1.0F);
  r.epilogue.scale[3] = std::numeric_limits<float>::infinity();
  expect_error(r, ErrorCode::kInvalidArgument, {"scale[3]", "inf"});
  r = Request();
  r.epilogue.bias.assign(8, 1.0F);
  r.epilogue.bias[7] = std::numeric_limits<float>::quiet_NaN();
  expect_error(r, ErrorCode::kInvalidArgument, {"bias[7]", "nan"});
}

TEST(ImplicitGemmPlan, RefusesSubnormalScales) {
  Request r;
  r.epilogue.scale.assign(8, 1.0F);
  r.epilogue.scale[5] = -1e-40F;
  expect_error(r, ErrorCode::kInvalidArgument, {"layer 'conv1': scale[5] is -1e-40", "1.1754944e-38"});
  r.epilogue.scale[5] = 0.0F;
  r.epilogue.scale[6] = -std::numeric_limits<float>::min();
  EXPECT_EQ(plan_error(r).first, ErrorCode::kOk);
  r.epilogue.beta = 1e-40F;
  expect_error(r, ErrorCode::kInvalidArgument, {"layer 'conv1': beta is 1e-40", "1.1754944e-38"});
}

TEST(ImplicitGemmPlan, RefusesActivationsItDoesNotKnow) {
  Request r;
  r.epilogue.activation = static_cast<Activation>(4);
  expect_error(r, ErrorCode::kInvalidArgument, {"activation is 4", "0 to 3"});
  r.epilogue.activation = Activation::kSigmoid;  // act_alpha 0 would make every output 0
  expect_error(r, ErrorCode::kInvalidArgument, {"act_alpha of a sigmoid is 0", "1 / out_scale"});
  r.epilogue.act_alpha = 127.0F;
  EXPECT_EQ(plan_error(r).first, ErrorCode::kOk);
}

TEST(ImplicitGemmPlan, RefusesTypes) {
  Request r;
  r.desc.in_dtype = DType::kFloat16;
  expect_error(r, ErrorCode::kDType, {"float16"});
  r.desc.in_dtype = DType::kFloat32;
  r.desc.out_dtype = DType::kFloat32;
  expect_error(r, ErrorCode::kDType, {"int8 weights", "float32"});
  r = Request();
  r.desc.out_dtype = DType::kInt32;
  expect_error(r, ErrorCode::kDType, {"int32"});
}

TEST(ImplicitGemmPlan, RefusesFloatScale) {
  Context context({.threads = 1});
  const std::vector<float> weights(8, 1.0F);
  const ImplicitGemmDesc desc{.name = "conv1",
                              .kv = 1,
                              .c_in = 2,
                              .c_out = 4,
                              .in_dtype = DType::kFloat32,
                              .out_dtype = DType::kFloat32};
  EXPECT_NO_THROW(ImplicitGemm(context, desc, std::span<const float>(weights), {.scale = {1.0F}}));
  EXPECT_THROW(ImplicitGemm(context, desc, std::span<const float>(weights), {.scale = {0.5F}}), Error);
}

TEST(ImplicitGemmPlan, ForcedRowIsChosenOrRefused) {
  const Request r;
  expect_error(r, ErrorCode::kUnsupported, {"'nosuch'", "scalar"}, {.force = "nosuch"});
  expect_error(r, ErrorCode::kUnsupported, {"scalar_f32", "float32 input only"}, {.force = "scalar_f32"});
  Context context({.threads = 1, .kernels = {.force = "scalar"}});
  const ImplicitGemm plan(context, r.desc, std::span<const std::int8_t>(r.weights), r.epilogue);
  EXPECT_EQ(plan.kernel_name(), "scalar");
  EXPECT_NE(plan.describe().find("scalar, tile 1x1x1"), std::string::npos) << plan.describe();
}

TEST(ImplicitGemmPlan, PolicyLimitsTheRowAndSaysSo) {
  const Request r;
  Context context({.threads = 1, .kernels = {.max_isa = Isa::kScalar}});
  const ImplicitGemm plan(context, r.desc, std::span<const std::int8_t>(r.weights), r.epilogue);
  const auto table = implicit_gemm_kernels();
  const auto chosen = std::find_if(table.begin(), table.end(),
                                   [&](const auto& row) { return row.name == plan.kernel_name(); });
  ASSERT_NE(chosen, table.end());
  EXPECT_EQ(chosen->isa, Isa::kScalar) << chosen->name;
  for (const RefusedKernel& refused : plan.refused()) {
    EXPECT_FALSE(refused.reason.empty()) << refused.name;
    EXPECT_NE(plan.describe().find("refused " + refused.name), std::string::npos) << plan.describe();
  }
}

TEST(ImplicitGemmPlan, NarrowLayersTakeLongTiles) {
  EXPECT_EQ(preferred_tile_rows(1), 512);
  EXPECT_EQ(preferred_tile_rows(16), 512);
  EXPECT_EQ(preferred_tile_rows(17), 256);
  EXPECT_EQ(preferred_tile_rows(32), 256);
  EXPECT_EQ(preferred_tile_rows(33), 128);
  EXPECT_EQ(preferred_tile_rows(512), 128);
}

TEST(ImplicitGemmPlan, TableNamesAreUnique) {
  std::vector<std::string> names = implicit_gemm_kernel_names();
  ASSERT_FALSE(names.empty());
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

// Every weight, scale and bias is looked at; a text made for each would be an allocation each.
TEST(PlanImplicitGemm, AllocationsDoNotGrowWithTheWeights) {
#if !VOXGEMM_COUNTS_NEW
  GTEST_SKIP() << "operator new belongs to the sanitizer";
#endif
  Context context({.threads = 1});
  const auto made = [&](std::int32_t kv) {
    const ImplicitGemmDesc desc{.name = "conv1",
                                .kv = kv,
                                .c_in = 64,
                                .c_out = 64,
                                .in_dtype = DType::kFloat32,
                                .out_dtype = DType::kFloat32};
    const std::vector<float> weights(static_cast<std::size_t>(kv) * 64 * 64, 0.5F);
    const EpilogueParams epilogue{.bias = std::vector<float>(64, 1.0F)};
    return test::allocations_of(
        [&] { const ImplicitGemm plan(context, desc, std::span<const float>(weights), epilogue); });
  };
  // Every kernel that is refused leaves its name and reason, so the number depends on the build's table.
  const long few = made(3);
  EXPECT_GT(few, 0);
  EXPECT_EQ(made(27), few);
}

}  // namespace
}  // namespace voxgemm
