// Proves: channel blocks cover every unit once and are even, register blocks fit 32 registers, and every
// weight has a place of its own inside the packed array.
#include "kernels/implicit_gemm/block_layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace voxgemm {
namespace {

TEST(BlockLayout, BlocksCoverUnitsEvenly) {
  for (std::int32_t c_out = 1; c_out <= 600; ++c_out) {
    std::int32_t units = 0;
    std::int32_t least = kMaxUnits;
    std::int32_t most = 0;
    for (std::int32_t b = 0; b < num_blocks(c_out); ++b) {
      EXPECT_EQ(first_unit(c_out, b), units);
      units += block_units(c_out, b);
      least = std::min(least, block_units(c_out, b));
      most = std::max(most, block_units(c_out, b));
    }
    EXPECT_EQ(units, (c_out + 15) / 16);
    EXPECT_LE(most - least, 1) << c_out;
    EXPECT_EQ(most, widest_block(c_out)) << c_out;
    EXPECT_LE(most, kMaxUnits);
  }
}

TEST(BlockLayout, RegisterBlocksFit) {
  for (std::int32_t steps = 1; steps <= 64; ++steps) {
    for (std::int32_t units = 1; units <= kMaxUnits; ++units) {
      const BlockShape shape = vnni_shape(steps, units);
      const std::int32_t weights = shape.stationary ? steps * units : units;
      EXPECT_LE(shape.rows * units + weights + 1, 32) << steps << " steps, " << units << " units";
      EXPECT_GE(shape.rows, 1);
    }
  }
  EXPECT_TRUE(vnni_shape(4, 1).stationary);    // 16 -> 16
  EXPECT_TRUE(vnni_shape(8, 2).stationary);    // 32 -> 32
  EXPECT_FALSE(vnni_shape(16, 4).stationary);  // 64 -> 64
  EXPECT_EQ(vnni_shape(16, 4).rows, 6);
}

TEST(BlockLayout, AccumulatorsFitTheirBlock) {
  for (std::int32_t units = 1; units <= kMaxUnits; ++units) {
    EXPECT_LE(units * accumulator_plane(units), kMostSums);
    EXPECT_GE(accumulator_rows(units), 128);
  }
}

TEST(BlockLayout, EveryWeightHasItsPlace) {
  for (const std::int32_t depth : {1, 2, 4}) {
    for (const std::int32_t c_in : {1, 5, 16}) {
      for (const std::int32_t c_out : {1, 17, 70, 130}) {
        const std::int32_t kv = 3;
        const std::int64_t size = offset_weights(c_in, depth, num_units(c_out)) * kv;
        std::vector<int> used(static_cast<std::size_t>(size), 0);
        for (std::int32_t n = 0; n < c_out; ++n) {
          for (std::int32_t k = 0; k < kv; ++k) {
            for (std::int32_t c = 0; c < c_in; ++c) {
              const std::int64_t at = weight_at(kv, c_in, c_out, depth, n, k, c);
              ASSERT_GE(at, 0);
              ASSERT_LT(at, size);
              ASSERT_EQ(used[static_cast<std::size_t>(at)]++, 0);
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace voxgemm
