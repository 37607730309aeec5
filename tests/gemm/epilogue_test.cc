// Proves: the scale rules divide and multiply in the documented order; bad scales are named; the scalar
// epilogue rounds half to even, saturates to [-128, 127], maps NaN to 0 and rounds once where a residual is
// fused; a sigmoid is as near to that of real numbers as it is said to be, and has the same bits everywhere.
#include "voxgemm/epilogue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "voxgemm/error.h"

namespace voxgemm {
namespace {

TEST(MakeEpilogue, PublishedVector) {
  const std::array weight_scale = {0.005F, 0.01F};
  const std::array bias = {0.5F, -0.25F};
  const EpilogueParams e = make_epilogue(0.02F, weight_scale, 0.05F, bias, Activation::kReLU, 0.0F, 0.025F);
  EXPECT_EQ(e.scale, (std::vector<float>{0.02F * 0.005F / 0.05F, 0.02F * 0.01F / 0.05F}));
  EXPECT_NEAR(e.scale[0], 0.002F, 1e-9F);
  EXPECT_EQ(e.bias, (std::vector<float>{10.0F, -5.0F}));
  EXPECT_EQ(e.beta, 0.5F);
  EXPECT_EQ(e.activation, Activation::kReLU);
}

TEST(MakeEpilogue, NamesBadScales) {
  const std::array good = {1.0F};
  const std::array bad = {std::numeric_limits<float>::quiet_NaN()};
  const auto text = [](auto&& make) {
    try {
      make();
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_NE(text([&] { make_epilogue(1.0F, good, 0.0F); }).find("out_scale is 0"), std::string::npos);
  EXPECT_NE(text([&] { make_epilogue(1.0F, bad, 1.0F); }).find("weight_scale[0] is nan"), std::string::npos);
  EXPECT_NE(text([&] { make_epilogue(bad[0], good, 1.0F); }).find("in_scale is nan"), std::string::npos);
  EXPECT_NE(text([&] { make_epilogue(0.0F, good, 1.0F); }).find("in_scale is 0"), std::string::npos);
  EXPECT_NE(text([&] { make_epilogue(-1.0F, good, 1.0F); }).find("in_scale is -1"), std::string::npos);
  EXPECT_NE(text([&] {
              make_epilogue(1.0F, good, 1.0F, {}, Activation::kLeakyReLU, bad[0]);
            }).find("act_alpha is nan"),
            std::string::npos);
  EXPECT_NE(text([&] { make_epilogue(1.0F, good, 1.0F, bad); }).find("bias[0] is nan"), std::string::npos);
}

/// What make_epilogue() says of these scales.
std::string refusal(float in, std::vector<float> w, float out, float residual = 0.0F,
                    std::vector<float> bias = {}) {
  try {
    make_epilogue(in, w, out, bias, Activation::kNone, 0.0F, residual);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "accepted";
}

TEST(MakeEpilogue, RefusesSubnormalScales) {
  const std::string limit = "1.1754944e-38";
  EXPECT_EQ(refusal(1e-40F, {1.0F}, 1.0F),
            "invalid argument: epilogue: in_scale is 1e-40, must be finite and at least " + limit);
  EXPECT_EQ(refusal(1.0F, {1.0F}, 1e-40F),
            "invalid argument: epilogue: out_scale is 1e-40, must be finite and at least " + limit);
  EXPECT_EQ(refusal(1.0F, {1.0F, 0.0F, -1e-40F}, 1.0F),
            "invalid argument: epilogue: weight_scale[2] is -1e-40, must be 0 or at least " + limit +
                " in magnitude");
  EXPECT_EQ(refusal(1.0F, {1.0F}, 1.0F, 1e-40F),
            "invalid argument: epilogue: residual_scale is 1e-40, must be finite and 0 or at least " + limit +
                " in magnitude");
  const float least = std::numeric_limits<float>::min();
  EXPECT_EQ(refusal(least, {1.0F, -1.0F, 0.0F}, 1.0F, least), "accepted");
  EXPECT_EQ(refusal(1.0F, {least}, least), "accepted");
}

// The quotient may be a number as good as any: 1e-20 * 1e-20 / 1e-30 is 1e-10, but the product has 17 bits
// of 24 left, and 1e-25 * 1e-25 none.
TEST(MakeEpilogue, RefusesProductsBeyondTheNormalFloats) {
  EXPECT_EQ(refusal(1e-20F, {1.0F, 1e-20F}, 1e-30F),
            "invalid argument: epilogue: in_scale 1e-20 * weight_scale[1] 1e-20 is 1e-40, must be at least "
            "1.1754944e-38 in magnitude");
  EXPECT_EQ(refusal(1e-25F, {-1e-25F}, 1e-30F),
            "invalid argument: epilogue: in_scale 1e-25 * weight_scale[0] -1e-25 is -0, must be at least "
            "1.1754944e-38 in magnitude");
  EXPECT_EQ(refusal(1e20F, {1e20F}, 1e30F),
            "invalid argument: epilogue: in_scale 1e+20 * weight_scale[0] 1e+20 is inf, limit 3.4028235e+38");
  EXPECT_EQ(
      refusal(1e20F, {1e-15F, 1e17F}, 1e-20F),
      "invalid argument: epilogue: in_scale 1e+20 * weight_scale[1] 1e+17 / out_scale 1e-20 is inf, limit "
      "3.4028235e+38");
  EXPECT_EQ(refusal(1.0F, {1.0F}, 1e-30F, 1e20F),
            "invalid argument: epilogue: residual_scale 1e+20 / out_scale 1e-30 is inf, limit 3.4028235e+38");
  EXPECT_EQ(refusal(1.0F, {1.0F}, 1e-30F, 0.0F, {0.0F, 1e20F}),
            "invalid argument: epilogue: bias[1] 1e+20 / out_scale 1e-30 is inf, limit 3.4028235e+38");
}

TEST(MakeEpilogue, QuotientsBelowTheNormalFloatsAreZero) {
  const float least = std::numeric_limits<float>::min();
  const std::vector<float> weight_scale{1.0F, 2.0F, -1.0F};
  const EpilogueParams e =
      make_epilogue(least, weight_scale, 2.0F, {}, Activation::kNone, 0.0F, 1.5F * least);
  EXPECT_EQ(e.scale, (std::vector<float>{0.0F, least, 0.0F}));
  EXPECT_EQ(e.beta, 0.0F);
}

TEST(ApplyEpilogue, RoundsHalfToEvenAndSaturates) {
  const std::array<std::pair<float, int>, 13> cases = {{{0.5F, 0},
                                                        {1.5F, 2},
                                                        {2.5F, 2},
                                                        {-0.5F, 0},
                                                        {-1.5F, -2},
                                                        {-2.5F, -2},
                                                        {127.5F, 127},
                                                        {128.0F, 127},
                                                        {-128.5F, -128},
                                                        {-129.0F, -128},
                                                        {std::numeric_limits<float>::infinity(), 127},
                                                        {-std::numeric_limits<float>::infinity(), -128},
                                                        {std::numeric_limits<float>::quiet_NaN(), 0}}};
  for (const auto& [t, q] : cases) EXPECT_EQ(saturate_int8(t), q) << t;
}

TEST(ApplyEpilogue, ActivationsMapNaNAsDocumented) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(apply_epilogue(1, nan, 0.0F, false, 0.0F, 0.0F, Activation::kReLU, 0.0F), 0.0F);
  EXPECT_TRUE(std::isnan(apply_epilogue(1, nan, 0.0F, false, 0.0F, 0.0F, Activation::kLeakyReLU, 0.1F)));
  EXPECT_EQ(apply_epilogue(-10, 1.0F, 0.0F, false, 0.0F, 0.0F, Activation::kLeakyReLU, 0.5F), -5.0F);
}

TEST(MakeEpilogue, ASigmoidActsOnRealUnits) {
  const std::array weight_scale = {0.005F, 0.01F};
  const std::array bias = {0.5F, -0.25F};
  const EpilogueParams e =
      make_epilogue(0.02F, weight_scale, 1.0F / 64, bias, Activation::kSigmoid, 0.3F, 0.025F);
  EXPECT_EQ(e.scale, (std::vector<float>{0.02F * 0.005F, 0.02F * 0.01F}));
  EXPECT_EQ(e.bias, (std::vector<float>{0.5F, -0.25F}));
  EXPECT_EQ(e.beta, 0.025F);
  EXPECT_EQ(e.act_alpha, 64.0F);
  // The sigmoid of 1.5 is 0.8176: 52.3 units of 1/64.
  const float t = apply_epilogue(10000, e.scale[0], e.bias[0], false, 0.0F, 0.0F, e.activation, e.act_alpha);
  EXPECT_EQ(saturate_int8(t), 52);
  EXPECT_THROW(make_epilogue(1.0F, weight_scale, 1e-45F, {}, Activation::kSigmoid), Error) << "1 / out_scale";
}

/// Distance from the sigmoid in units of its last place as a float32.
double sigmoid_error(float t) {
  const double exact = 1.0 / (1.0 + std::exp(-static_cast<double>(t)));
  int exponent = 0;
  std::frexp(exact, &exponent);
  return std::fabs(static_cast<double>(scaled_sigmoid(t, 1.0F)) - exact) / std::ldexp(1.0, exponent - 24);
}

// One float in 1009 of those up to 87; all of them were compared once.
TEST(ScaledSigmoid, ErrorIsWhatTheDocumentationSays) {
  double positive = 0.0;
  double negative = 0.0;
  for (std::uint32_t bits = 0x30000000; bits <= 0x42AE0000; bits += 1009) {
    positive = std::max(positive, sigmoid_error(std::bit_cast<float>(bits)));
    negative = std::max(negative, sigmoid_error(std::bit_cast<float>(bits | 0x80000000)));
  }
  EXPECT_LE(positive, 1.5);
  EXPECT_LE(negative, 2.5);
  EXPECT_GT(positive, 1.3) << "not computed in float32";
  EXPECT_LE(sigmoid_error(0x1.f6fd5p+2F), 1.5) << "the largest error of all, t >= 0";
  EXPECT_LE(sigmoid_error(-0x1.0a2bd8p+4F), 2.5) << "the largest error of all, t < 0";
}

TEST(ScaledSigmoid, BoundsAndNaN) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(scaled_sigmoid(0.0F, 1.0F), 0.5F);
  EXPECT_EQ(scaled_sigmoid(-0.0F, 1.0F), 0.5F);
  EXPECT_EQ(scaled_sigmoid(0.0F, 127.0F), 63.5F);
  EXPECT_EQ(scaled_sigmoid(infinity, 1.0F), 1.0F);
  EXPECT_EQ(scaled_sigmoid(-infinity, 1.0F), scaled_sigmoid(-87.0F, 1.0F));
  EXPECT_EQ(scaled_sigmoid(-1000.0F, 1.0F), scaled_sigmoid(-87.0F, 1.0F));
  EXPECT_GE(scaled_sigmoid(-87.0F, 1.0F), std::numeric_limits<float>::min()) << "not denormal";
  EXPECT_TRUE(std::isnan(scaled_sigmoid(std::numeric_limits<float>::quiet_NaN(), 1.0F)));
}

// The expected bits come from the formula evaluated by another program, in exact fractions rounded by hand.
TEST(ScaledSigmoid, BitsAreTheSameOnEveryMachine) {
  struct Case {
    float t;
    float factor;
    float y;
  };
  for (const Case& c :
       {Case{0x1p+0F, 0x1p+0F, 0x1.764d5p-1F}, Case{-0x1p+0F, 0x1p+0F, 0x1.136562p-2F},
        Case{0x1.4p+1F, 0x1.fcp+6F, 0x1.d576ccp+6F}, Case{-0x1.0a2bd8p+4F, 0x1p+0F, 0x1.ffe978p-25F},
        Case{0x1.f6fd5p+2F, 0x1p+0F, 0x1.ffcd6ap-1F}, Case{0x1.62e43p-2F, 0x1p+0F, 0x1.2bec32p-1F},
        Case{-0x1.99999ap-4F, 0x1.9p+5F, 0x1.7c0442p+4F}, Case{-0x1.4p+5F, 0x1p+0F, 0x1.397924p-58F},
        Case{-0x1.5cp+6F, 0x1p+0F, 0x1.666d0ep-126F}, Case{0x1.e66666p+3F, 0x1.fcp+6F, 0x1.fbfff8p+6F},
        Case{-0x1.cp+2F, 0x1.388p+13F, 0x1.23895p+3F}}) {
    EXPECT_EQ(scaled_sigmoid(c.t, c.factor), c.y) << c.t;
  }
}

TEST(ApplyEpilogue, RoundsOnceWithAResidual) {
  // 1.4 from the sum and 1.4 from the residual: fused 2.8 -> 3, rounded apart 1 + 1 = 2.
  const float t = apply_epilogue(14, 0.1F, 0.0F, true, 0.1F, 14.0F, Activation::kNone, 0.0F);
  EXPECT_EQ(saturate_int8(t), 3);
}

}  // namespace
}  // namespace voxgemm
