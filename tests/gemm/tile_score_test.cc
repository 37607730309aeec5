// Proves: the tile chosen for a CUDA layer is a tile of the table, keeps its weights in shared memory when
// one can, and grows with the rows. Does not prove that it is the fastest: bench/kernels measures that.
#include "gemm/tile_score.h"

#include <gtest/gtest.h>

#include "kernels/implicit_gemm/sm80_layout.h"

namespace voxgemm {
namespace {

constexpr std::int32_t kShared = 232448;  // an H100 or H200

Tile tile_of(std::int32_t c_in, std::int32_t c_out, std::int32_t rows, DType dtype = DType::kInt8,
             std::int32_t shared = kShared) {
  return best_tile({.kv = 27, .c_in = c_in, .c_out = c_out, .in_dtype = dtype},
                   {.max_rows = rows, .num_sms = 132, .shared_bytes = shared});
}

void expect_tile(const Tile& got, std::int32_t rows, std::int32_t channels, std::int32_t depth) {
  EXPECT_EQ(got.rows, rows);
  EXPECT_EQ(got.channels, channels);
  EXPECT_EQ(got.depth, depth);
}

TEST(TileScore, LayersOfABackbone) {
  expect_tile(tile_of(5, 16, 80000), 32, 16, 16);
  expect_tile(tile_of(16, 16, 80000), 32, 16, 16);
  expect_tile(tile_of(32, 32, 70000), 16, 32, 32);
  expect_tile(tile_of(32, 32, 700000), 32, 32, 32);
  expect_tile(tile_of(32, 64, 30000), 32, 32, 32);
  expect_tile(tile_of(64, 64, 30000), 32, 32, 64);
  expect_tile(tile_of(64, 128, 10000), 16, 32, 64);
  expect_tile(tile_of(128, 128, 10000), 16, 32, 64);
  expect_tile(tile_of(16, 16, 80000, DType::kFloat16), 32, 16, 16);
  expect_tile(tile_of(8, 16, 1000, DType::kFloat16), 16, 16, 8);
}

TEST(TileScore, NarrowsTheSliceUntilItFits) {
  expect_tile(tile_of(128, 128, 10000, DType::kFloat16), 16, 32, 32);
  expect_tile(tile_of(64, 64, 30000, DType::kFloat16, 150 * 1024), 16, 32, 32);
  expect_tile(tile_of(512, 512, 30000), 32, 16, 64);
}

TEST(TileScore, TakesTheWidestWhenNothingFits) {
  expect_tile(tile_of(2048, 64, 30000, DType::kFloat16), 16, 64, 32);
}

TEST(TileScore, ASigmoidHasOneTile) {
  for (const std::int32_t c : {5, 16, 64, 128}) {
    const ImplicitGemmProblem problem{.kv = 27, .c_in = c, .c_out = c, .sigmoid = true};
    expect_tile(best_tile(problem, {.max_rows = 700000, .num_sms = 132, .shared_bytes = kShared}), 16, 32,
                c <= 16 ? 16 : 64);
  }
}

TEST(TileScore, UnknownRowsCountAsMany) { expect_tile(tile_of(64, 64, 0), 32, 32, 64); }

TEST(TileScore, ChosenTilesHoldEveryProblem) {
  for (const DType dtype : {DType::kInt8, DType::kFloat16}) {
    for (std::int32_t c_in = 1; c_in <= 300; ++c_in) {
      const Tile t = tile_of(c_in, c_in, 50000, dtype);
      const auto bytes = static_cast<std::int32_t>(size_of(dtype));
      EXPECT_TRUE(t.depth * bytes == 64 || c_in <= t.depth) << c_in;
      EXPECT_TRUE(t.channels == 64 || t.channels == 32 || t.channels == 16);
    }
  }
}

}  // namespace
}  // namespace voxgemm
