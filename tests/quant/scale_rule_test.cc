// Proves: the whole chain of a layer's scales - rule, sum, bias, residual, activation, rounding - gives the
// vectors worked out by hand.
#include <gtest/gtest.h>

#include <vector>

#include "voxgemm/epilogue.h"

namespace voxgemm {
namespace {

const std::vector<float> kWeightScale{0.005F, 0.01F};
const std::vector<float> kBias{0.5F, -0.25F};
constexpr std::int32_t kSums[] = {1000, -800};

TEST(ScaleRule, Vector) {
  const EpilogueParams e = make_epilogue(0.02F, kWeightScale, 0.05F, kBias);
  EXPECT_FLOAT_EQ(e.scale[0], 0.002F);
  EXPECT_FLOAT_EQ(e.scale[1], 0.004F);
  EXPECT_EQ(e.bias, (std::vector<float>{10.0F, -5.0F}));
  const float before[] = {12.0F, -8.2F};
  const int plain[] = {12, -8};
  const int relu[] = {12, 0};
  for (std::size_t n = 0; n < 2; ++n) {
    const float t = apply_epilogue(kSums[n], e.scale[n], e.bias[n], false, 0, 0, Activation::kNone, 0);
    EXPECT_NEAR(t, before[n], 1e-5F);
    EXPECT_EQ(saturate_int8(t), plain[n]);
    EXPECT_EQ(
        saturate_int8(apply_epilogue(kSums[n], e.scale[n], e.bias[n], false, 0, 0, Activation::kReLU, 0)),
        relu[n]);
  }
}

// Multiply first, then divide: the other orders give other bits for these values.
TEST(ScaleRule, OrderOfOperations) {
  int differs = 0;
  for (int i = 1; i < 200; ++i) {
    const float in = 0.01F * static_cast<float>(i);
    const std::vector<float> w{0.003F};
    const EpilogueParams e = make_epilogue(in, w, 0.07F);
    const float product = in * w[0];
    ASSERT_EQ(e.scale[0], product / 0.07F);
    const float quotient = w[0] / 0.07F;
    differs += in * quotient != e.scale[0] ? 1 : 0;
  }
  EXPECT_GT(differs, 10);
}

TEST(ScaleRule, AddRelu) {
  const EpilogueParams e = make_epilogue(0.02F, kWeightScale, 0.05F, kBias, Activation::kReLU, 0.0F, 0.025F);
  const float before[] = {32.0F, 11.8F};
  const int expected[] = {32, 12};
  for (std::size_t n = 0; n < 2; ++n) {
    const float t = apply_epilogue(kSums[n], e.scale[n], e.bias[n], true, e.beta, 40.0F, e.activation, 0);
    EXPECT_NEAR(t, before[n], 1e-5F);
    EXPECT_EQ(saturate_int8(t), expected[n]);
  }
}

}  // namespace
}  // namespace voxgemm
