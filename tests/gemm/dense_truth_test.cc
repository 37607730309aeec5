// Proves: the scalar rows equal a brute-force dense convolution with the epilogue formula written out, on
// random geometries in 1 to 4 dimensions: every kind of convolution, strides, paddings, dilations, residual,
// every activation. int8 is compared bit for bit; float32 within the rounding of its sum.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/gemm/layer_case.h"
#include "tests/support/dense_conv.h"
#include "tests/support/pair_table.h"

namespace voxgemm::test {
namespace {

struct Scene {
  ConvGeometry geometry{};
  DenseConvInput input{};
  Dims out_shape{};
};

std::int32_t pick(std::mt19937_64& random, std::int32_t low, std::int32_t high) {
  return low + static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(high - low + 1));
}

std::int32_t out_extent(const ConvGeometry& g, int a, std::int32_t in) {
  const std::int32_t reach = g.dilation[a] * (g.kernel_size[a] - 1);
  if (g.kind == ConvKind::kSubm) return in;
  if (g.kind == ConvKind::kRegular) return (in + 2 * g.padding[a] - reach - 1) / g.stride[a] + 1;
  return (in - 1) * g.stride[a] - 2 * g.padding[a] + reach + 1 + g.out_padding[a];
}

Scene random_scene(std::mt19937_64& random, int ndim, ConvKind kind, std::int32_t c_in) {
  Scene s;
  s.geometry.kind = kind;
  for (Dims* d : {&s.geometry.kernel_size, &s.geometry.stride, &s.geometry.padding, &s.geometry.dilation,
                  &s.geometry.out_padding, &s.input.spatial_shape, &s.out_shape}) {
    d->ndim = ndim;
  }
  for (int a = 0; a < ndim; ++a) {
    s.geometry.kernel_size[a] = kind == ConvKind::kSubm ? 1 + 2 * pick(random, 0, 1) : pick(random, 1, 3);
    s.geometry.stride[a] = kind == ConvKind::kSubm ? 1 : pick(random, 1, 2);
    s.geometry.padding[a] = kind == ConvKind::kSubm ? 0 : pick(random, 0, 1);
    s.geometry.dilation[a] = pick(random, 1, 2);
    s.input.spatial_shape[a] = ndim == 1 ? pick(random, 60, 90) : pick(random, 6, ndim > 2 ? 7 : 12);
    s.out_shape[a] = out_extent(s.geometry, a, s.input.spatial_shape[a]);
  }
  s.input.batch_size = 2;
  s.input.c_in = c_in;
  for (std::int32_t b = 0; b < 2; ++b) {
    for (std::int64_t at = 0; at < s.input.spatial_shape.product(); ++at) {
      if (random() % 10 >= (ndim == 4 ? 1U : 3U)) continue;
      s.input.indices.push_back(b);
      std::vector<std::int32_t> p;
      std::int64_t rest = at;
      for (int a = ndim - 1; a >= 0; --a) {
        p.insert(p.begin(), static_cast<std::int32_t>(rest % s.input.spatial_shape[a]));
        rest /= s.input.spatial_shape[a];
      }
      s.input.indices.insert(s.input.indices.end(), p.begin(), p.end());
    }
  }
  return s;
}

// The formula of epilogue.h, written out once more.
float expected_float(const LayerCase& c, double sum, std::size_t i, std::size_t n, bool int8_problem) {
  const std::size_t c_out = c.epilogue.bias.size();
  const float scale = c.epilogue.scale.size() == 1 ? c.epilogue.scale[0] : c.epilogue.scale[n];
  float t = std::fma(scale, static_cast<float>(sum), c.epilogue.bias[n]);
  if (c.desc.has_residual) {
    const float r = c.desc.out_dtype == DType::kInt8 && int8_problem
                        ? static_cast<float>(c.residual[i * c_out + n])
                        : c.residual_f32[i * c_out + n];
    t = std::fma(c.epilogue.beta, r, t);
  }
  if (c.epilogue.activation == Activation::kReLU && !(t > 0.0F)) t = 0.0F;
  if (c.epilogue.activation == Activation::kLeakyReLU && !(t >= 0.0F)) t *= c.epilogue.act_alpha;
  // Whether that is a sigmoid is asked in epilogue_test.cc.
  if (c.epilogue.activation == Activation::kSigmoid) t = scaled_sigmoid(t, c.epilogue.act_alpha);
  return t;
}

std::int8_t expected_int8(float t) {
  if (t <= -128.0F) return -128;
  if (t >= 127.0F) return 127;
  return static_cast<std::int8_t>(std::nearbyint(static_cast<double>(t)));
}

class DenseTruth : public testing::TestWithParam<int> {};

TEST_P(DenseTruth, ScalarInt8EqualsDense) {
  const int ndim = GetParam();
  std::mt19937_64 random(static_cast<std::uint64_t>(ndim));
  int index = 0;
  for (ConvKind kind : {ConvKind::kSubm, ConvKind::kRegular, ConvKind::kTransposed}) {
    for (Activation activation :
         {Activation::kNone, Activation::kReLU, Activation::kLeakyReLU, Activation::kSigmoid}) {
      const std::int32_t c_in = pick(random, 1, 9);
      Scene s = random_scene(random, ndim, kind, c_in);
      const std::int32_t kv = s.geometry.kernel_volume();
      LayerCase c{.desc = {.name = "dense", .kv = kv, .c_in = c_in, .c_out = pick(random, 1, 6)}};
      c.desc.has_residual = index % 2 == 1;
      c.desc.out_dtype = index % 3 == 2 ? DType::kFloat32 : DType::kInt8;
      c.epilogue.activation = activation;
      const auto n_in = static_cast<std::int32_t>(s.input.indices.size()) / (1 + ndim);
      const DenseConvOutput sites = dense_conv(s.input, s.geometry, s.out_shape, {}, 0);
      fill_random(c, n_in, sites.num_out, static_cast<std::uint64_t>(100 * ndim + index++));
      s.input.features.assign(c.features.begin(), c.features.end());
      const DenseConvOutput truth =
          dense_conv(s.input, s.geometry, s.out_shape, {c.weights.begin(), c.weights.end()}, c.desc.c_out);
      ASSERT_GT(truth.num_out, 10);
      const PairTable pairs(kv, n_in, truth.input_row, 64);
      const LayerOutput out = run_layer(c, pairs.view(), {.force = "scalar"});
      EXPECT_EQ(out.kernel, "scalar");
      const auto c_out = static_cast<std::size_t>(c.desc.c_out);
      for (std::size_t e = 0; e < truth.sums.size(); ++e) {
        const float t = expected_float(c, truth.sums[e], e / c_out, e % c_out, true);
        if (c.desc.out_dtype == DType::kInt8) {
          ASSERT_EQ(out.int8[e], expected_int8(t)) << "element " << e;
        } else {
          ASSERT_EQ(out.f32[e], t) << "element " << e;
        }
      }
    }
  }
}

TEST_P(DenseTruth, ScalarFloatIsCloseToDense) {
  const int ndim = GetParam();
  std::mt19937_64 random(static_cast<std::uint64_t>(50 + ndim));
  for (ConvKind kind : {ConvKind::kSubm, ConvKind::kRegular, ConvKind::kTransposed}) {
    const std::int32_t c_in = pick(random, 1, 9);
    Scene s = random_scene(random, ndim, kind, c_in);
    const std::int32_t kv = s.geometry.kernel_volume();
    LayerCase c{.desc = {.name = "dense", .kv = kv, .c_in = c_in, .c_out = 3}};
    c.desc.in_dtype = DType::kFloat32;
    c.desc.out_dtype = DType::kFloat32;
    c.desc.has_residual = true;
    c.epilogue.activation = Activation::kReLU;
    const auto n_in = static_cast<std::int32_t>(s.input.indices.size()) / (1 + ndim);
    const DenseConvOutput sites = dense_conv(s.input, s.geometry, s.out_shape, {}, 0);
    fill_random(c, n_in, sites.num_out, static_cast<std::uint64_t>(ndim));
    s.input.features.assign(c.features_f32.begin(), c.features_f32.end());
    const DenseConvOutput truth = dense_conv(s.input, s.geometry, s.out_shape,
                                             {c.weights_f32.begin(), c.weights_f32.end()}, c.desc.c_out);
    const PairTable pairs(kv, n_in, truth.input_row, 64);
    const LayerOutput out = run_layer(c, pairs.view(), {.force = "scalar_f32"});
    // |error| <= terms * 2^-24 * sum of |terms|, each term below 1; the epilogue adds less than 1e-5.
    const double bound = 1e-5 + static_cast<double>(kv * c_in) * kv * c_in * 0x1p-24;
    for (std::size_t e = 0; e < truth.sums.size(); ++e) {
      const float t = expected_float(c, truth.sums[e], e / 3, e % 3, false);
      ASSERT_NEAR(out.f32[e], t, bound) << "element " << e;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dimensions, DenseTruth, testing::Values(1, 2, 3, 4));

}  // namespace
}  // namespace voxgemm::test
