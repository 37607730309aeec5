// Proves: every CUDA row of the implicit GEMM gives the bytes of the scalar row (int8 and float32; float16
// within its rounding), for channel counts at, below and above every tile, kernel volumes up to 125, counts
// around the tile sizes, strides that need the padded copy, all epilogues, sorted rows and absent masks; that
// rows beyond the count on the device stay untouched; and that a captured graph replays for any count. Does
// not prove: pairs of real scenes (engine_cuda_test.cc), speed.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <memory>

#include "core/cuda_device.h"
#include "tests/cuda/gemm_on_device.h"
#include "tests/support/pair_table.h"

namespace voxgemm::test {
namespace {

constexpr std::array kChannelCounts = {1,  3,  4,  5,  8,  15,  16,  17,  31, 32,
                                       33, 63, 64, 65, 96, 127, 128, 129, 256};

class GemmCuda : public ::testing::Test {
 protected:
  void SetUp() override {
    if (cuda::device_count() == 0) GTEST_SKIP() << "no CUDA device";
    context_ = std::make_unique<Context>(ContextOptions{.device = Device::cuda()});
  }

  /// Expected bytes of the scalar row.
  static std::vector<std::uint8_t> expected(const LayerCase& c, const std::vector<std::int32_t>& rows) {
    const PairTable pairs(c.desc.kv, c.n_in, rows, 64);
    const bool f32 = c.desc.in_dtype == DType::kFloat32;
    const LayerOutput out = run_layer(c, pairs.view(), {.force = f32 ? "scalar_f32" : "scalar"});
    const bool bytes = c.desc.out_dtype == DType::kInt8;
    std::vector<std::uint8_t> raw(bytes ? out.int8.size() : out.f32.size() * 4);
    if (!raw.empty()) {
      std::memcpy(raw.data(), bytes ? static_cast<const void*>(out.int8.data()) : out.f32.data(), raw.size());
    }
    return raw;
  }

  std::vector<std::uint8_t> on_device(const LayerCase& c, const DeviceMap& map, std::int32_t num_out,
                                      const DeviceRun& run) {
    const auto size = static_cast<std::int64_t>(size_of(c.desc.out_dtype));
    const auto raw = run_on_device(*context_, c, map, run);
    return written_rows(raw, num_out, c.desc.c_out * size, (c.desc.c_out + run.out_padding) * size);
  }

  /// Every row that takes the problem against the scalar row.
  void check_all_rows(const LayerCase& c, const std::vector<std::int32_t>& rows, MapOptions map_options,
                      DeviceRun run = {}) {
    const auto num_out = static_cast<std::int32_t>(rows.size() / static_cast<std::size_t>(c.desc.kv));
    const auto want = expected(c, rows);
    const DeviceMap map(*context_, c.desc.kv, c.n_in, rows, map_options);
    const auto names = device_rows(*context_, {.kv = c.desc.kv,
                                               .c_in = c.desc.c_in,
                                               .c_out = c.desc.c_out,
                                               .in_dtype = c.desc.in_dtype,
                                               .sigmoid = c.epilogue.activation == Activation::kSigmoid});
    ASSERT_FALSE(names.empty());
    for (const std::string& name : names) {
      run.kernel = name;
      ASSERT_EQ(on_device(c, map, num_out, run), want)
          << name << " c_in " << c.desc.c_in << " c_out " << c.desc.c_out << " kv " << c.desc.kv << " n "
          << num_out;
    }
  }

  std::unique_ptr<Context> context_;
};

LayerCase make_case(std::int32_t kv, std::int32_t c_in, std::int32_t c_out, std::int32_t n_in,
                    std::int32_t num_out, std::uint64_t seed) {
  LayerCase c;
  c.desc = {.name = "layer", .kv = kv, .c_in = c_in, .c_out = c_out};
  c.desc.has_residual = seed % 2 == 1;
  c.epilogue.activation = static_cast<Activation>(seed / 2 % 4);
  fill_random(c, n_in, num_out, seed);
  return c;
}

// In parts that run side by side: a sanitizer takes minutes for each.
constexpr std::int32_t kParts = 6;
class GemmCudaChannels : public GemmCuda, public testing::WithParamInterface<std::int32_t> {};

TEST_P(GemmCudaChannels, EveryPairEqualsScalar) {
  std::uint64_t seed = 0;
  for (const std::int32_t c_in : kChannelCounts) {
    for (const std::int32_t c_out : kChannelCounts) {
      if (static_cast<std::int32_t>(++seed % kParts) != GetParam()) continue;
      const auto rows = random_input_rows(8, 50, 65, 0.4, seed);
      check_all_rows(make_case(8, c_in, c_out, 50, 65, seed), rows, {.capacity = 68});
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Parts, GemmCudaChannels, testing::Range(0, kParts));

TEST_F(GemmCuda, EveryVolumeAndCountEqualsScalar) {
  std::uint64_t seed = 1000;
  constexpr std::array<std::array<std::int32_t, 2>, 6> kPairs{
      {{5, 16}, {16, 16}, {16, 32}, {32, 64}, {64, 64}, {128, 128}}};
  for (const std::int32_t kv : {1, 8, 27, 125}) {
    for (const std::int32_t n : {0, 1, 63, 64, 65, 1000}) {
      for (const auto& [c_in, c_out] : kPairs) {
        if (kv == 125 && n == 1000 && c_in > 32) continue;  // the scalar row takes too long
        const auto rows = random_input_rows(kv, n, n, kv == 1 ? 0.9 : 0.3, ++seed);
        check_all_rows(make_case(kv, c_in, c_out, n, n, seed), rows, {.capacity = n + 4 - n % 4});
      }
    }
  }
}

TEST_F(GemmCuda, LargestVolumeEqualsScalar) {
  const auto rows = random_input_rows(343, 100, 100, 0.1, 5);
  check_all_rows(make_case(343, 16, 16, 100, 100, 5), rows, {});
  check_all_rows(make_case(343, 64, 64, 100, 100, 6), rows, {});
}

TEST_F(GemmCuda, EveryEpilogueEqualsScalar) {
  std::uint64_t seed = 2000;
  for (const DType out : {DType::kInt8, DType::kFloat32}) {
    for (const auto activation :
         {Activation::kNone, Activation::kReLU, Activation::kLeakyReLU, Activation::kSigmoid}) {
      for (const bool residual : {false, true}) {
        for (const std::int32_t channels : {16, 23, 32, 64, 128}) {
          LayerCase c;
          c.desc = {.name = "layer", .kv = 27, .c_in = channels, .c_out = channels, .out_dtype = out};
          c.desc.has_residual = residual;
          c.epilogue.activation = activation;
          fill_random(c, 90, 90, ++seed);
          const auto rows = random_input_rows(27, 90, 90, 0.3, seed);
          check_all_rows(c, rows, {});
          if (residual) check_all_rows(c, rows, {.capacity = 96}, {.residual_in_place = true});
        }
      }
    }
  }
}

// The sigmoid over every magnitude: sums of nothing leave the bias alone.
TEST_F(GemmCuda, SigmoidOfEveryMagnitude) {
  const std::vector<float> values = sigmoid_arguments();
  const auto channels = static_cast<std::int32_t>(values.size());
  const std::vector<std::int32_t> rows{-1, -1, -1};
  for (const DType in : {DType::kInt8, DType::kFloat32, DType::kFloat16}) {
    for (const DType out : {DType::kInt8, DType::kFloat32, DType::kFloat16}) {
      if (in != DType::kInt8 && in != out) continue;
      LayerCase c;
      c.desc = {.name = "sigmoid", .kv = 1, .c_in = 16, .c_out = channels};
      c.desc.in_dtype = in == DType::kInt8 ? in : DType::kFloat32;
      c.epilogue.activation = Activation::kSigmoid;
      fill_random(c, 1, 3, 1);
      c.desc.in_dtype = in;
      c.desc.out_dtype = out;
      c.epilogue.bias = values;
      c.epilogue.act_alpha = 127.0F;
      const DeviceMap map(*context_, 1, 1, rows, {});
      for (const std::string& name : device_rows(
               *context_,
               {.kv = 1, .c_in = 16, .c_out = channels, .in_dtype = in, .out_dtype = out, .sigmoid = true})) {
        const auto got = on_device(c, map, 3, {.kernel = name});
        ASSERT_EQ(got.size(), 3 * values.size() * size_of(out)) << name;
        for (std::size_t i = 0; i < 3 * values.size(); ++i) {
          const float t = values[i % values.size()];
          const float want = scaled_sigmoid(t, 127.0F);
          const auto* at = got.data() + i * size_of(out);
          if (out == DType::kInt8) {
            ASSERT_EQ(static_cast<std::int8_t>(*at), saturate_int8(want)) << name << " " << t;
          } else if (out == DType::kFloat16) {
            Half half;
            std::memcpy(&half, at, 2);
            ASSERT_EQ(half.bits, to_half(want).bits) << name << " " << t;
          } else {
            float value = 0.0F;
            std::memcpy(&value, at, 4);
            ASSERT_EQ(value, want) << name << " " << t;
          }
        }
      }
    }
  }
}

TEST_F(GemmCuda, MapsOfEveryFormEqualScalar) {
  std::uint64_t seed = 3000;
  for (const std::int32_t channels : {16, 64}) {
    for (const bool with_mask : {false, true}) {
      for (const bool shuffled : {false, true}) {
        for (const std::int64_t extra : {0, 1}) {
          const auto rows = random_input_rows(27, 200, 210, 0.2, ++seed);
          check_all_rows(
              make_case(27, channels, channels, 200, 210, seed), rows,
              {.capacity = 300, .stride_extra = extra, .with_mask = with_mask, .shuffled = shuffled});
        }
      }
    }
  }
}

TEST_F(GemmCuda, OddStridesEqualScalar) {
  std::uint64_t seed = 4000;
  for (const std::int32_t channels : {5, 16, 64}) {
    for (const std::int64_t padding : {0, 1, 3, 4, 8, 11, 16}) {
      const auto rows = random_input_rows(8, 100, 100, 0.4, ++seed);
      check_all_rows(make_case(8, channels, channels, 100, 100, seed), rows, {},
                     {.in_padding = padding, .out_padding = padding});
    }
  }
}

TEST_F(GemmCuda, Float32HasTheBitsOfTheScalarRow) {
  std::uint64_t seed = 5000;
  for (const std::int32_t channels : {5, 16, 33, 64}) {
    LayerCase c;
    c.desc = {.name = "layer", .kv = 27, .c_in = channels, .c_out = channels + 3};
    c.desc.in_dtype = c.desc.out_dtype = DType::kFloat32;
    c.desc.has_residual = seed % 2 == 1;
    c.epilogue.activation = Activation::kReLU;
    fill_random(c, 150, 170, ++seed);
    check_all_rows(c, random_input_rows(27, 150, 170, 0.3, seed), {.capacity = 200}, {.in_padding = 1});
  }
}

// |out - ref| / |ref| against float32 on operands rounded to binary16.
TEST_F(GemmCuda, Float16IsWithinItsRounding) {
  std::uint64_t seed = 6000;
  for (const std::int32_t c_in : {1, 5, 8, 16, 24, 33, 64, 128}) {
    for (const std::int32_t c_out : {3, 16, 32, 65, 128}) {
      LayerCase c;
      c.desc = {.name = "layer", .kv = 27, .c_in = c_in, .c_out = c_out};
      c.desc.in_dtype = c.desc.out_dtype = DType::kFloat32;
      c.desc.has_residual = ++seed % 2 == 1;
      fill_random(c, 150, 170, seed);
      for (auto* values : {&c.features_f32, &c.weights_f32, &c.residual_f32}) {
        for (float& v : *values) v = to_float(to_half(v));
      }
      const auto rows = random_input_rows(27, 150, 170, 0.3, seed);
      const auto want = expected(c, rows);
      c.desc.in_dtype = c.desc.out_dtype = DType::kFloat16;
      const DeviceMap map(*context_, 27, 150, rows, {.capacity = 172});
      for (const std::string& name :
           device_rows(*context_, {.kv = 27, .c_in = c_in, .c_out = c_out, .in_dtype = DType::kFloat16})) {
        const auto got = on_device(c, map, 170, {.kernel = name, .in_padding = seed % 3 == 0 ? 3 : 0});
        double difference = 0;
        double norm = 0;
        for (std::size_t i = 0; i < got.size() / 2; ++i) {
          Half half;
          float reference = 0;
          std::memcpy(&half, got.data() + 2 * i, 2);
          std::memcpy(&reference, want.data() + 4 * i, 4);
          difference += std::pow(to_float(half) - reference, 2);
          norm += std::pow(reference, 2);
        }
        ASSERT_GT(norm, 0);
        ASSERT_LT(std::sqrt(difference / norm), 5e-4) << name << " c_in " << c_in << " c_out " << c_out;
      }
    }
  }
}

TEST_F(GemmCuda, ReadsTheCountOnTheDevice) {
  constexpr std::int32_t kBound = 1000;
  const auto rows = random_input_rows(27, 500, kBound, 0.3, 1);
  const LayerCase c = make_case(27, 64, 64, 500, kBound, 7001);
  const auto want = expected(c, rows);
  DeviceMap map(*context_, 27, 500, rows, {});
  for (const std::int32_t count : {0, 1, 31, 32, 33, 517, kBound}) {
    map.set_count(*context_, count);
    for (const std::string& name : device_rows(*context_, {.kv = 27, .c_in = 64, .c_out = 64})) {
      const auto got = on_device(c, map, count, {.kernel = name});
      ASSERT_TRUE(std::equal(got.begin(), got.end(), want.begin())) << name << " count " << count;
      ASSERT_EQ(got.size(), static_cast<std::size_t>(count) * 64);
    }
  }
}

// One captured launch, replayed while the count on the device changes.
TEST_F(GemmCuda, CapturedGraphReplaysForAnyCount) {
  constexpr std::int32_t kBound = 3000;
  constexpr std::int32_t kChannels = 32;
  const auto rows = random_input_rows(27, 900, kBound, 0.3, 2);
  const LayerCase c = make_case(27, kChannels, kChannels, 900, kBound, 7002);
  const auto want = expected(c, rows);
  DeviceMap map(*context_, 27, 900, rows, {});
  const ImplicitGemm plan(*context_, c.desc, std::span<const std::int8_t>(c.weights), c.epilogue);
  Buffer in(*context_, c.features.size());
  in.upload(*context_, c.features.data(), c.features.size());
  Buffer out(*context_, static_cast<std::size_t>(kBound) * kChannels);
  auto stream = static_cast<cudaStream_t>(context_->stream());
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  const Status status = plan.run(*context_, map.view(), {in.data(), DType::kInt8, 900, kChannels, kChannels},
                                 {}, {out.data(), DType::kInt8, kBound, kChannels, kChannels}, {});
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  ASSERT_TRUE(status.ok()) << to_string(status);
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
  for (const std::int32_t count : {0, 1, 700, kBound, 64, 2999}) {
    map.set_count(*context_, count);
    const std::vector<std::uint8_t> poison(out.bytes(), kPoison);
    out.upload(*context_, poison.data(), poison.size());
    ASSERT_EQ(cudaGraphLaunch(executable, stream), cudaSuccess);
    ASSERT_TRUE(context_->synchronize().ok());
    std::vector<std::uint8_t> raw(out.bytes());
    out.download(*context_, raw.data(), raw.size());
    const auto got = written_rows(raw, count, kChannels, kChannels);
    ASSERT_TRUE(std::equal(got.begin(), got.end(), want.begin())) << "count " << count;
  }
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);
}

}  // namespace
}  // namespace voxgemm::test
