// Proves: the AMX weight layout gives every weight a place of its own inside the packed bytes, channels side
// by side by offset; and which layers share slabs between offsets or read pair blocks.
#include "kernels/implicit_gemm/amx_layout.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

namespace voxgemm::test {
namespace {

TEST(AmxLayout, EveryWeightHasItsOwnByte) {
  for (const std::int32_t kv : {1, 3, 8, 27}) {
    for (const std::int32_t c_in : {1, 5, 16, 17, 32, 33, 64, 65, 130}) {
      for (const std::int32_t c_out : {1, 16, 17, 40, 64}) {
        const SlabShape shape = slab_shape(kv, c_in);
        const std::int32_t units = (c_out + 15) / 16;
        std::vector<bool> taken(static_cast<std::size_t>(group_weights(shape, units)));
        for (std::int32_t n = 0; n < c_out; ++n) {
          for (std::int32_t k = 0; k < kv; ++k) {
            for (std::int32_t c = 0; c < c_in; ++c) {
              const std::int64_t at = slab_weight_at(shape, units, n, k, c);
              ASSERT_GE(at, 0);
              ASSERT_LT(at, static_cast<std::int64_t>(taken.size()));
              ASSERT_FALSE(taken[static_cast<std::size_t>(at)]) << n << " " << k << " " << c;
              taken[static_cast<std::size_t>(at)] = true;
            }
          }
        }
      }
    }
  }
}

TEST(AmxLayout, NarrowInputsShareSlabs) {
  EXPECT_EQ(slab_shape(27, 16).share, 4);
  EXPECT_EQ(slab_shape(27, 16).steps, 7);
  EXPECT_EQ(slab_shape(27, 17).share, 2);
  EXPECT_EQ(slab_shape(27, 32).steps, 14);
  EXPECT_EQ(slab_shape(27, 33).share, 1);
  EXPECT_EQ(slab_shape(27, 64).chunks, 1);
  EXPECT_EQ(slab_shape(27, 65).chunks, 2);
  // offset 3 of a step of 4, channel 5: byte 53 of the slab
  EXPECT_EQ(slab_weight_at(slab_shape(27, 16), 1, 2, 3, 5), 53 / 4 * 64 + 2 * 4 + 1);
}

TEST(AmxLayout, WideLayersReadBlocks) {
  EXPECT_FALSE(blocks_pay(slab_shape(27, 32)));
  EXPECT_FALSE(blocks_pay(slab_shape(3, 128)));
  EXPECT_TRUE(blocks_pay(slab_shape(27, 33)));
  EXPECT_TRUE(blocks_pay(slab_shape(9, 128)));
}

}  // namespace
}  // namespace voxgemm::test
