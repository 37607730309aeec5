// Proves: a mask order is the stable permutation that sorts rows by the masked words, for any words and
// splits; splits partition the offsets as evenly as can be; the pattern order sorts by the Gray rank of the
// short key.
#include "kernels/mask_sort/mask_sort.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <numeric>
#include <random>
#include <vector>

#include "kernels/pattern_key.h"
#include "tests/support/scenes.h"
#include "voxgemm/indice_pairs.h"

namespace voxgemm {
namespace {

std::uint32_t filter_of(std::int32_t w, std::int32_t lo, std::int32_t hi) {
  std::uint32_t filter = 0;
  for (std::int32_t k = std::max(lo, w * 32); k < std::min(hi, w * 32 + 32); ++k) filter |= 1U << (k % 32);
  return filter;
}

TEST(MaskSort, IsTheStableOrderOfTheFilteredMasks) {
  std::mt19937_64 random(1);
  for (std::int32_t words : {1, 2, 4, 11}) {
    for (std::int32_t n : {0, 1, 2, 255, 3000}) {
      std::vector<std::uint32_t> mask(static_cast<std::size_t>(n * words));
      // few distinct values, so that stability shows
      for (std::uint32_t& m : mask)
        m = static_cast<std::uint32_t>(random() & random() & random()) & 0x81008101U;
      for (const auto& [lo, hi] : {std::pair{0, words * 32}, std::pair{7, 9}, std::pair{0, words * 16}}) {
        std::vector<std::int32_t> order(static_cast<std::size_t>(n), -7);
        std::vector<std::int32_t> scratch(order.size());
        mask_sort({mask.data(), n, words, lo, hi, false, order.data(), scratch.data()});
        std::vector<std::int32_t> want(order.size());
        std::iota(want.begin(), want.end(), 0);
        std::stable_sort(want.begin(), want.end(), [&, first = lo, end = hi](std::int32_t a, std::int32_t b) {
          for (std::int32_t w = 0; w < words; ++w) {
            const std::uint32_t filter = filter_of(w, first, end);
            const std::uint32_t x = mask[static_cast<std::size_t>(a * words + w)] & filter;
            const std::uint32_t y = mask[static_cast<std::size_t>(b * words + w)] & filter;
            if (x != y) return x < y;
          }
          return false;
        });
        ASSERT_EQ(order, want) << words << " words, " << n << " rows, offsets " << lo << ".." << hi;
      }
    }
  }
}

TEST(MaskSort, PatternKeyIsTheGrayRankOfTheNeighbourPattern) {
  std::mt19937_64 random(2);
  for (int trial = 0; trial < 2000; ++trial) {
    const auto mask = static_cast<std::uint32_t>(random() & random()) & 0x7FFFFFFU;
    std::uint32_t bits = 0;
    std::int32_t column = 0;
    for (std::int32_t yx = 0; yx < 9; ++yx) {
      if (yx == 4) continue;
      for (std::int32_t z = 0; z < 3; ++z) bits |= (mask >> (9 * z + yx) & 1U) << column;
      ++column;
    }
    for (std::int32_t yx = 0; yx < 9; ++yx) {
      bits |= (mask >> yx & 1U) << 8;
      bits |= (mask >> (18 + yx) & 1U) << 9;
    }
    const std::uint32_t rank = pattern_key(mask);
    ASSERT_LT(rank, kPatternKeys);
    ASSERT_EQ(rank ^ (rank >> 1), bits);
  }
}

TEST(MaskSort, SplitsPartitionTheOffsets) {
  Context context({.threads = 1});
  const test::Scene scene = test::random_scene({6, 9, 30}, 1, 0.2, 3);
  for (const Dims& kernel : {Dims{3, 3, 3}, Dims{5, 3, 3}, Dims{1, 1, 5}}) {
    for (std::int32_t splits = 1; splits <= kMaxMaskSplits; ++splits) {
      const IndicePairs pairs = build_indice_pairs(context, scene.view(), {.kernel_size = kernel},
                                                   {.order = RowOrder::kFullMask, .mask_splits = splits});
      const IndicePairsView& v = pairs.view();
      std::int32_t at = 0;
      for (std::int32_t j = 0; j < splits; ++j) {
        const auto [lo, hi] = v.split_offsets[static_cast<std::size_t>(j)];
        EXPECT_EQ(lo, at);
        EXPECT_GE(hi - lo, v.kv / splits);
        EXPECT_LE(hi - lo, v.kv / splits + 1);
        at = hi;
        std::vector<std::int32_t> order(static_cast<std::size_t>(v.num_out));
        std::vector<std::int32_t> scratch(order.size());
        mask_sort({v.mask, v.num_out, v.mask_words, lo, hi, false, order.data(), scratch.data()});
        const std::int32_t* got = v.mask_argsort[static_cast<std::size_t>(j)];
        ASSERT_NE(got, nullptr);
        EXPECT_TRUE(std::equal(order.begin(), order.end(), got));
      }
      EXPECT_EQ(at, v.kv);
    }
  }
}

TEST(MaskSort, PatternOrderOfSubmanifold) {
  Context context({.threads = 1});
  const test::Scene scene = test::random_scene({6, 9, 30}, 1, 0.2, 4);
  const IndicePairs pairs =
      build_indice_pairs(context, scene.view(), {.kernel_size = {3, 3, 3}}, {.order = RowOrder::kPatternKey});
  const IndicePairsView& v = pairs.view();
  std::vector<bool> seen(static_cast<std::size_t>(v.num_out));
  for (std::int32_t t = 0; t < v.num_out; ++t) {
    const std::int32_t row = v.mask_argsort[0][t];
    ASSERT_FALSE(seen[static_cast<std::size_t>(row)]);
    seen[static_cast<std::size_t>(row)] = true;
    if (t == 0) continue;
    const std::int32_t before = v.mask_argsort[0][t - 1];
    const std::uint32_t a = pattern_key(v.mask[before]);
    const std::uint32_t b = pattern_key(v.mask[row]);
    ASSERT_TRUE(a < b || (a == b && before < row));
  }
}

}  // namespace
}  // namespace voxgemm
