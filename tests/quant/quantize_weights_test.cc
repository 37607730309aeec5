// Proves: weights are divided by amax/127 per channel or per tensor, rounded half to even and kept in
// [-127, 127]; a channel of zeros gets scale 1, one of tiny weights 2^-63; a real pruned layer with a zero
// channel comes back within half a step; bad weights are named.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/test_data.h"
#include "voxgemm/error.h"
#include "voxgemm/quantize.h"

namespace voxgemm {
namespace {

TEST(QuantizeWeights, PerChannelByHand) {
  // Channel 0: amax 127 -> scale 1. Channel 1: all zero. Channel 2: amax 0.5, negative.
  const std::vector<float> krsc{127.0F, -0.5F, 1.5F, 2.5F, 0.0F, -0.0F, 0.0F, 0.0F, -0.5F, 0.25F, 0.0F, 0.5F};
  const QuantizedWeights q = quantize_weights(krsc, 3);
  EXPECT_EQ(q.scale, (std::vector<float>{1.0F, 1.0F, 0.5F / 127.0F}));
  EXPECT_EQ(q.values, (std::vector<std::int8_t>{127, 0, 2, 2, 0, 0, 0, 0, -127, 64, 0, 127}));
}

TEST(QuantizeWeights, PerTensorSharesOneScale) {
  const std::vector<float> krsc{-2.0F, 1.0F, 0.0F, 0.0F};
  const QuantizedWeights q = quantize_weights(krsc, 2, WeightScaling::kPerTensor);
  EXPECT_EQ(q.scale, (std::vector<float>{2.0F / 127.0F, 2.0F / 127.0F}));
  EXPECT_EQ(q.values, (std::vector<std::int8_t>{-127, 64, 0, 0}));
}

// Weights too small for it round to few steps or to 0; a subnormal scale would be coarser still, or 0.
TEST(QuantizeWeights, LeastScaleIsTwoToTheMinus63) {
  const float least = std::ldexp(1.0F, -63);
  const QuantizedWeights at = quantize_weights(std::vector<float>{127.0F * least, -3.0F * least}, 1);
  EXPECT_EQ(at.scale, (std::vector<float>{least}));
  EXPECT_EQ(at.values, (std::vector<std::int8_t>{127, -3}));
  const QuantizedWeights under =
      quantize_weights(std::vector<float>{126.0F * least, -2.5F * least, 0.5F * least}, 1);
  EXPECT_EQ(under.scale, (std::vector<float>{least}));
  EXPECT_EQ(under.values, (std::vector<std::int8_t>{126, -2, 0}));
  for (const float tiny : {std::numeric_limits<float>::denorm_min(), 8e-44F, 1e-40F, 1e-30F}) {
    const QuantizedWeights q = quantize_weights(std::vector<float>{tiny, -tiny}, 1);
    EXPECT_EQ(q.scale, (std::vector<float>{least})) << tiny;
    EXPECT_EQ(q.values, (std::vector<std::int8_t>{0, 0})) << tiny;
  }
  // One channel's scale is not another's.
  const QuantizedWeights two = quantize_weights(std::vector<float>{126.0F * least, 254.0F}, 2);
  EXPECT_EQ(two.scale, (std::vector<float>{least, 2.0F}));
  EXPECT_EQ(two.values, (std::vector<std::int8_t>{126, 127}));
}

TEST(QuantizeWeights, RefusesBadInput) {
  const auto text = [](std::vector<float> w, std::int32_t c_out) {
    try {
      quantize_weights(w, c_out);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("accepted");
  };
  EXPECT_NE(text({1, 2, 3}, 2).find("3 weights"), std::string::npos);
  EXPECT_NE(text({1, 2}, 0).find("0 output channels"), std::string::npos);
  EXPECT_NE(text({1, std::numeric_limits<float>::infinity()}, 1).find("weight 1 is inf"), std::string::npos);
  EXPECT_NE(text({std::nanf(""), 1}, 1).find("weight 0 is nan"), std::string::npos);
  EXPECT_EQ(text({}, 1), "accepted");
}

// |w - scale*q| <= scale/2 up to float rounding, and each channel that is not zero reaches +-127.
TEST(QuantizeWeights, RealLayersComeBackWithinHalfAStep) {
  const auto root = test::test_data();
  if (root.empty()) GTEST_SKIP() << "VOXGEMM_TEST_DATA names no folder";
  int layers = 0;
  int zero_channels = 0;
  for (const auto& entry : std::filesystem::directory_iterator(root / "trained_conv")) {
    if (entry.path().extension() != ".npy") continue;
    const auto array = test::read_array(entry.path());
    if (array.shape.size() != 4) continue;
    const auto w = array.as<float>();
    const auto c_out = static_cast<std::int32_t>(array.rows());
    const QuantizedWeights q = quantize_weights(w, c_out);
    const std::size_t per_channel = w.size() / static_cast<std::size_t>(c_out);
    for (std::size_t n = 0; n < static_cast<std::size_t>(c_out); ++n) {
      int reach = 0;
      for (std::size_t i = n * per_channel; i < (n + 1) * per_channel; ++i) {
        ASSERT_LE(std::fabs(w[i] - q.scale[n] * q.values[i]), 0.50001F * q.scale[n])
            << entry.path() << " " << i;
        reach = std::max(reach, std::abs(q.values[i]));
      }
      zero_channels += reach == 0 ? 1 : 0;
      EXPECT_TRUE(reach == 127 || (reach == 0 && q.scale[n] == 1.0F)) << entry.path() << " channel " << n;
    }
    ++layers;
  }
  EXPECT_GE(layers, 6);
  EXPECT_GE(zero_channels, 1);
}

}  // namespace
}  // namespace voxgemm
