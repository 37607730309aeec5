// Proves: every CPU row of the implicit-GEMM table equals the scalar row bit for bit (float32 rows too: one
// order of sums), over channel counts at, below and above every block edge, kernel volumes, row counts at
// tile edges, signs, residuals, activations, output types, scale forms, strides, tile sizes, thread counts
// and in-place residuals; that the row that was forced is the row that ran; and what a row counts as issued.
// Rows that this machine cannot run are skipped by name.
#include "kernels/implicit_gemm/implicit_gemm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "tests/gemm/layer_case.h"
#include "tests/support/pair_table.h"

namespace voxgemm::test {
namespace {

constexpr std::int32_t kChannels[] = {1,  3,  4,  5,  8,  15,  16,  17,  31, 32,
                                      33, 63, 64, 65, 96, 127, 128, 129, 256};
constexpr std::int32_t kVolumes[] = {1, 2, 8, 27, 64, 125, kMaxKernelVolume};

struct Shape {
  std::int32_t n_in = 50;
  std::int32_t num_out = 61;
  std::int32_t tile_rows = 32;
  double density = 0.35;
};

class ImplicitGemmRow : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const Context context({.threads = 1});
    if (!context.supports(row().isa)) GTEST_SKIP() << "this machine lacks " << to_string(row().isa);
  }
  [[nodiscard]] static const ImplicitGemmKernel& row() {
    const std::span<const ImplicitGemmKernel> table = implicit_gemm_kernels();
    return *std::find_if(table.begin(), table.end(), [](const auto& r) { return r.name == GetParam(); });
  }
  [[nodiscard]] static bool is_float() {
    const ImplicitGemmProblem problem{
        .c_in = 4, .c_out = 4, .in_dtype = DType::kFloat32, .out_dtype = DType::kFloat32};
    return row().rejects(problem) == nullptr;
  }
  // The row leaves layers of these sizes to other rows.
  [[nodiscard]] static bool refuses(const ImplicitGemmDesc& d) {
    return row().rejects({.kv = d.kv,
                          .c_in = d.c_in,
                          .c_out = d.c_out,
                          .in_dtype = d.in_dtype,
                          .out_dtype = d.out_dtype,
                          .input_non_negative = d.input_non_negative}) != nullptr;
  }
  // A desc that the row takes if it takes these sizes.
  [[nodiscard]] static ImplicitGemmDesc desc(std::int32_t kv, std::int32_t c_in, std::int32_t c_out) {
    ImplicitGemmDesc d{.name = "row", .kv = kv, .c_in = c_in, .c_out = c_out};
    if (is_float()) d.in_dtype = d.out_dtype = DType::kFloat32;
    const ImplicitGemmProblem problem{
        .kv = kv, .c_in = c_in, .c_out = c_out, .in_dtype = d.in_dtype, .out_dtype = d.out_dtype};
    d.input_non_negative = row().rejects(problem) != nullptr;
    return d;
  }
  static void expect_equal(const LayerOutput& got, const LayerOutput& want, const std::string& what) {
    EXPECT_EQ(got.kernel, row().name);
    ASSERT_EQ(got.int8.size(), want.int8.size());
    ASSERT_EQ(got.f32.size(), want.f32.size());
    for (std::size_t i = 0; i < want.int8.size(); ++i) {
      ASSERT_EQ(got.int8[i], want.int8[i]) << what << " element " << i;
    }
    if (want.f32.empty()) return;
    if (std::memcmp(got.f32.data(), want.f32.data(), want.f32.size() * sizeof(float)) == 0) return;
    for (std::size_t i = 0; i < want.f32.size(); ++i) {
      ASSERT_EQ(got.f32[i], want.f32[i]) << what << " element " << i;
    }
  }
  // Runs the row and the scalar row on one random layer.
  static void compare(LayerCase c, const Shape& s, RunOptions options, std::uint64_t seed) {
    if (refuses(c.desc)) return;
    fill_random(c, s.n_in, s.num_out, seed);
    const PairTable pairs(c.desc.kv, s.n_in, random_input_rows(c.desc.kv, s.n_in, s.num_out, s.density, seed),
                          s.tile_rows);
    options.force = row().name;
    const LayerOutput got = run_layer(c, pairs.view(), options);
    const LayerOutput want = run_layer(c, pairs.view(), {.force = is_float() ? "scalar_f32" : "scalar"});
    const std::string what = "kv " + std::to_string(c.desc.kv) + " " + std::to_string(c.desc.c_in) + "->" +
                             std::to_string(c.desc.c_out) + " out " +
                             std::string(to_string(c.desc.out_dtype));
    expect_equal(got, want, what);
    if (row().reads_blocks == nullptr) return;
    IndicePairsView plain = pairs.view();
    plain.blocks = {};
    expect_equal(run_layer(c, plain, options), want, what + " without blocks");
  }
};

TEST_P(ImplicitGemmRow, ChannelCounts) {
  std::uint64_t seed = 1;
  for (const std::int32_t c_in : kChannels) {
    for (const std::int32_t c_out : kChannels) {
      LayerCase c{.desc = desc(3, c_in, c_out)};
      c.desc.has_residual = seed % 3 == 0;
      if (!is_float() && seed % 4 == 0) c.desc.out_dtype = DType::kFloat32;
      c.epilogue.activation = static_cast<Activation>(seed / 2 % 4);
      if (seed % 5 == 0) c.epilogue.scale.resize(1);
      compare(c, {}, {}, seed++);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(ImplicitGemmRow, KernelVolumes) {
  std::uint64_t seed = 1000;
  for (const std::int32_t kv : kVolumes) {
    for (const std::int32_t channels : {5, 16, 32, 64, 128}) {
      if (kv > 125 && channels != 5 && channels != 64) continue;  // slow, and nothing new
      compare({.desc = desc(kv, channels, channels)}, {.num_out = 40, .tile_rows = 16}, {}, seed++);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(ImplicitGemmRow, RowCountsAtTileEdges) {
  std::uint64_t seed = 2000;
  for (const std::int32_t channels : {16, 48, 64, 80}) {
    for (const std::int32_t tile_rows : {1, 16, 100, 128, 1024, 65536}) {
      for (const std::int32_t num_out : {0, 1, 2, 7, 99, 100, 101, 127, 128, 129, 1023, 1100}) {
        compare({.desc = desc(2, channels, channels)}, {.num_out = num_out, .tile_rows = tile_rows}, {},
                seed++);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_P(ImplicitGemmRow, SparseRowsOfSeveralWindows) {
  std::uint64_t seed = 2500;
  for (const std::int32_t channels : {64, 128}) {
    for (const std::int32_t num_out : {1, 31, 33, 1025, 2100}) {
      for (const std::int32_t threads : {1, 3}) {
        compare({.desc = desc(27, channels, channels)},
                {.num_out = num_out, .tile_rows = 256, .density = 0.05}, {.threads = threads}, seed++);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_P(ImplicitGemmRow, ListLengths) {
  std::uint64_t seed = 3000;
  for (const std::int32_t channels : {4, 8, 16, 32, 40, 64}) {
    for (std::int32_t num_out = 1; num_out <= 30; ++num_out) {  // density 1: lists of num_out pairs
      compare({.desc = desc(2, channels, channels)}, {.num_out = num_out, .tile_rows = 64, .density = 1.0},
              {}, seed++);
      if (HasFatalFailure()) return;
    }
  }
}

// A row that multiplies absent pairs too issues what is useful when all are present, and a whole block for a
// single pair. Rows that work on pairs count nothing.
TEST_P(ImplicitGemmRow, CountsMacsOfAbsentPairs) {
  constexpr std::int32_t kRows = 64;
  LayerCase c{.desc = desc(27, 64, 64)};
  fill_random(c, kRows, kRows, 1);
  const auto issued = [&](double density) {
    std::vector<std::int32_t> input_row = random_input_rows(27, kRows, kRows, density, 1);
    if (density == 0.0) input_row[27 * 40 + 5] = 7;  // one pair, of row 40
    const PairTable pairs(27, kRows, input_row, kRows);
    return run_layer(c, pairs.view(), {.force = std::string(row().name)}).issued_macs;
  };
  const bool counts = row().isa == Isa::kAmxInt8;
  EXPECT_EQ(issued(1.0), counts ? std::int64_t{kRows} * 27 * 64 * 64 : 0);
  EXPECT_EQ(issued(0.0), counts ? 32 * 64 * 64 : 0);
}

TEST_P(ImplicitGemmRow, OutputsActivationsResiduals) {
  std::uint64_t seed = 4000;
  for (const DType out : {DType::kInt8, DType::kFloat32}) {
    if (is_float() && out == DType::kInt8) continue;
    for (const bool residual : {false, true}) {
      for (const Activation act :
           {Activation::kNone, Activation::kReLU, Activation::kLeakyReLU, Activation::kSigmoid}) {
        for (const bool one_scale : {false, true}) {
          for (const std::int32_t c_out : {1, 16, 21, 64, 100}) {
            LayerCase c{.desc = desc(5, c_out < 48 ? 12 : 50, c_out)};
            c.desc.out_dtype = out;
            c.desc.has_residual = residual;
            c.epilogue.activation = act;
            if (one_scale) c.epilogue.scale.resize(1);
            compare(c, {},
                    {.in_padding = static_cast<std::int64_t>(seed % 7),
                     .out_padding = 3,
                     .residual_in_place = residual && seed % 2 == 0},
                    seed);
            ++seed;
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

// Extremes: every product -128 * -128 or 127 * -128, sums as large as kv * c_in allows.
TEST_P(ImplicitGemmRow, ExtremeValues) {
  if (is_float()) GTEST_SKIP() << "int8 only";
  for (const int weight : {-128, 127}) {
    for (const int value : {-128, 127}) {
      LayerCase c{.desc = desc(1, 4096, 49)};
      if (c.desc.input_non_negative && value < 0) continue;
      c.desc.out_dtype = DType::kFloat32;
      fill_random(c, 8, 8, 1);
      std::fill(c.weights.begin(), c.weights.end(), static_cast<std::int8_t>(weight));
      std::fill(c.features.begin(), c.features.end(), static_cast<std::int8_t>(value));
      c.epilogue.scale.assign(49, 1.0F);
      c.epilogue.bias.assign(49, 0.0F);
      const PairTable pairs(1, 8, {0, 1, 2, 3, 4, 5, 6, 7}, 16);
      const LayerOutput got = run_layer(c, pairs.view(), {.force = std::string(row().name)});
      for (const float v : got.f32) ASSERT_EQ(v, 4096.0F * static_cast<float>(weight * value));
    }
  }
}

TEST_P(ImplicitGemmRow, LargestReductionIsExact) {
  if (is_float()) GTEST_SKIP() << "int8 only";
  LayerCase c{.desc = desc(1, 131071, 48)};
  c.desc.out_dtype = DType::kFloat32;
  fill_random(c, 1, 1, 1);
  const std::int8_t value = c.desc.input_non_negative ? 127 : -128;
  std::fill(c.weights.begin(), c.weights.end(), static_cast<std::int8_t>(-128));
  std::fill(c.features.begin(), c.features.end(), value);
  c.epilogue.scale.assign(48, 1.0F);
  c.epilogue.bias.assign(48, 0.0F);
  const PairTable pairs(1, 1, {0}, 16);
  const LayerOutput got = run_layer(c, pairs.view(), {.force = std::string(row().name)});
  const auto want = static_cast<float>(std::int64_t{131071} * -128 * value);
  EXPECT_EQ(got.f32, std::vector<float>(48, want));
}

TEST_P(ImplicitGemmRow, ThreadsAndTilesChangeNothing) {
  LayerCase c{.desc = desc(27, 56, 72)};
  c.desc.has_residual = true;
  for (const std::int32_t threads : {1, 2, 3, 8}) {
    for (const std::int32_t tile_rows : {16, 64, 500}) {
      compare(c, {.n_in = 700, .num_out = 777, .tile_rows = tile_rows, .density = 0.2}, {.threads = threads},
              5000);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(ImplicitGemmRow, NoPairsGivesTheBias) {
  compare({.desc = desc(27, 52, 50)}, {.num_out = 40, .density = 0.0}, {}, 6000);
  compare({.desc = desc(27, 52, 50)}, {.n_in = 0, .num_out = 40}, {}, 6001);
}

// The vector forms of the sigmoid over every magnitude: sums of nothing leave the bias alone. 32 channels:
// AMX takes no fewer.
TEST_P(ImplicitGemmRow, SigmoidOfEveryMagnitude) {
  const std::vector<float> values = sigmoid_arguments();
  const auto channels = static_cast<std::int32_t>(values.size());
  for (const DType out : {DType::kInt8, DType::kFloat32}) {
    if (is_float() && out == DType::kInt8) continue;
    LayerCase c{.desc = desc(1, 32, channels)};
    c.desc.out_dtype = out;
    c.epilogue.activation = Activation::kSigmoid;
    fill_random(c, 1, 3, 1);
    c.epilogue.bias = values;
    c.epilogue.act_alpha = 127.0F;
    const PairTable pairs(1, 1, {-1, -1, -1}, 16);
    const LayerOutput got = run_layer(c, pairs.view(), {.force = std::string(row().name)});
    for (std::size_t i = 0; i < 3 * values.size(); ++i) {
      const float want = scaled_sigmoid(values[i % values.size()], 127.0F);
      if (out == DType::kInt8) {
        ASSERT_EQ(got.int8[i], saturate_int8(want)) << values[i % values.size()];
      } else {
        ASSERT_EQ(got.f32[i], want) << values[i % values.size()];
      }
    }
  }
}

// Epilogues whose float part overflows: infinities saturate, NaN gives 0.
TEST_P(ImplicitGemmRow, HugeScales) {
  if (is_float()) GTEST_SKIP() << "int8 only";
  for (const Activation act :
       {Activation::kNone, Activation::kReLU, Activation::kLeakyReLU, Activation::kSigmoid}) {
    LayerCase c{.desc = desc(3, 48, 64)};
    c.desc.has_residual = true;
    c.epilogue.activation = act;
    fill_random(c, 50, 61, 7000);
    c.epilogue.beta = -3e38F;
    for (std::size_t n = 0; n < c.epilogue.scale.size(); ++n) c.epilogue.scale[n] = n % 2 == 0 ? 3e38F : 1e9F;
    const PairTable pairs(3, 50, random_input_rows(3, 50, 61, 0.7, 7000), 32);
    const LayerOutput got = run_layer(c, pairs.view(), {.force = std::string(row().name)});
    expect_equal(got, run_layer(c, pairs.view(), {.force = "scalar"}), "huge scales");
  }
}

// Every CPU row but the two that the others are compared with: plain C++ rows are under test too.
std::vector<std::string> rows_under_test() {
  std::vector<std::string> rows;
  for (const ImplicitGemmKernel& row : implicit_gemm_kernels()) {
    const bool truth = row.name == "scalar" || row.name == "scalar_f32";
    if (!truth && row.isa < Isa::kSm80) rows.emplace_back(row.name);
  }
  return rows;
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(
    ImplicitGemmRow);  // no rows but those two on other machines than x86
INSTANTIATE_TEST_SUITE_P(Table, ImplicitGemmRow, testing::ValuesIn(rows_under_test()),
                         [](const auto& row) { return row.param; });

}  // namespace
}  // namespace voxgemm::test
