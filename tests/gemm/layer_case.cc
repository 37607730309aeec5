#include "tests/gemm/layer_case.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>

namespace voxgemm::test {
namespace {

std::int8_t random_int8(std::mt19937_64& random, bool non_negative) {
  const auto r = random();
  const auto value = static_cast<std::int32_t>(r % 256) - 128;
  if (r >> 60 == 0) return non_negative ? 127 : -128;  // extremes more often than chance has them
  return static_cast<std::int8_t>(non_negative ? (value & 127) : value);
}

float random_float(std::mt19937_64& random) {
  return static_cast<float>(static_cast<double>(random() >> 11) * 0x1p-52 - 1.0);
}

// [rows][channels] -> [rows][stride]; padding holds `fill`, which no row may let through.
template <typename T>
std::vector<T> padded(const std::vector<T>& tight, std::int64_t channels, std::int64_t stride, T fill) {
  const std::int64_t rows = static_cast<std::int64_t>(tight.size()) / channels;
  std::vector<T> out(static_cast<std::size_t>(rows * stride), fill);
  for (std::int64_t r = 0; r < rows; ++r) {
    std::copy_n(tight.begin() + r * channels, channels, out.begin() + r * stride);
  }
  return out;
}

template <typename T>
std::vector<T> unpadded(const std::vector<T>& wide, std::int64_t channels, std::int64_t stride, T fill) {
  std::vector<T> out;
  for (std::int64_t r = 0; r * stride < static_cast<std::int64_t>(wide.size()); ++r) {
    const auto row = wide.begin() + r * stride;
    out.insert(out.end(), row, row + channels);
    EXPECT_TRUE(std::all_of(row + channels, row + stride, [&](T v) { return v == fill; }))
        << "padding of row " << r << " was written";
  }
  return out;
}

template <typename In, typename Out>
std::vector<Out> run_typed(const LayerCase& c, const IndicePairsView& pairs, const RunOptions& o,
                           LayerOutput& made, const std::vector<In>& features, const std::vector<In>& weights,
                           const std::vector<Out>& residual) {
  const ImplicitGemmDesc& d = c.desc;
  Context context({.threads = o.threads, .kernels = {.force = o.force}});
  const ImplicitGemm plan(context, d, std::span<const In>(weights), c.epilogue);
  made.kernel = plan.kernel_name();
  const std::int64_t in_stride = d.c_in + o.in_padding;
  const std::int64_t out_stride = d.c_out + o.out_padding;
  const std::vector<In> in = padded(features, d.c_in, in_stride, In{77});
  std::vector<Out> res = padded(residual, d.c_out, out_stride, Out{55});
  std::vector<Out> out(static_cast<std::size_t>(pairs.num_out * out_stride), Out{55});
  if (o.residual_in_place) out = res;
  Buffer workspace(context, plan.workspace_bytes(c.n_in, pairs.num_out));
  const FeatureView in_view{in.data(), d.in_dtype, c.n_in, d.c_in, in_stride};
  const FeatureSpan out_view{out.data(), d.out_dtype, pairs.num_out, d.c_out, out_stride};
  FeatureView res_view{};
  if (d.has_residual) res_view = {res.data(), d.out_dtype, pairs.num_out, d.c_out, out_stride};
  if (o.residual_in_place) res_view.data = out.data();
  const Status status = plan.run(context, pairs, in_view, res_view, out_view,
                                 {workspace.data(), workspace.bytes()}, &made.issued_macs);
  EXPECT_TRUE(status.ok()) << to_string(status);
  return unpadded(out, d.c_out, out_stride, Out{55});
}

}  // namespace

std::vector<float> sigmoid_arguments() {
  std::vector<float> values{0.0F, -0.0F, 87.0F, -87.0F, 88.0F, -88.0F, 3e38F, -3e38F, 0x1p-126F};
  std::mt19937_64 random(87);
  for (int exponent = -30; exponent < 9; ++exponent) {
    for (int i = 0; i < 24; ++i) {
      const float value = std::ldexp(1.5F + 0.5F * random_float(random), exponent);
      values.push_back(i % 2 == 0 ? value : -value);
    }
  }
  for (int half = -40; half <= 40; ++half)
    values.push_back(0.34657359F * static_cast<float>(half));  // where n changes
  values.push_back(1.0F);
  return values;
}

void fill_random(LayerCase& c, std::int32_t n_in, std::int32_t num_out, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const ImplicitGemmDesc& d = c.desc;
  const auto count = [](std::int64_t a, std::int64_t b) { return static_cast<std::size_t>(a * b); };
  c.n_in = n_in;
  const bool is_int8 = d.in_dtype == DType::kInt8;
  if (is_int8) {
    c.features.resize(count(n_in, d.c_in));
    c.weights.resize(count(d.c_out, std::int64_t{d.kv} * d.c_in));
    for (auto& v : c.features) v = random_int8(random, d.input_non_negative);
    for (auto& v : c.weights) v = random_int8(random, false);
  } else {
    c.features_f32.resize(count(n_in, d.c_in));
    c.weights_f32.resize(count(d.c_out, std::int64_t{d.kv} * d.c_in));
    for (auto& v : c.features_f32) v = random_float(random);
    for (auto& v : c.weights_f32) v = random_float(random);
  }
  if (d.has_residual) {
    c.residual.resize(count(num_out, d.c_out));
    c.residual_f32.resize(c.residual.size());
    for (auto& v : c.residual) v = random_int8(random, false);
    for (auto& v : c.residual_f32) v = random_float(random) * 50.0F;
    c.epilogue.beta = 0.37F;
  }
  // Typical sums then cover the int8 range and pass it now and then.
  const float spread = is_int8 ? 0.02F / std::sqrt(static_cast<float>(d.kv * d.c_in)) : 1.0F;
  const std::size_t scales = c.epilogue.scale.size() == 1 ? 1 : static_cast<std::size_t>(d.c_out);
  c.epilogue.scale.assign(scales, 1.0F);
  c.epilogue.bias.resize(static_cast<std::size_t>(d.c_out));
  if (is_int8) {
    for (auto& v : c.epilogue.scale) v = spread * (0.5F + 0.5F * random_float(random));
  }
  for (auto& v : c.epilogue.bias) v = 5.0F * random_float(random);
  c.epilogue.act_alpha = 0.1F;
  if (c.epilogue.activation != Activation::kSigmoid) return;
  // Sums in real units, where a sigmoid is neither 0 nor 1; an int8 result covers its half of the range.
  if (is_int8) {
    for (auto& v : c.epilogue.scale) v *= 0.05F;
  }
  for (auto& v : c.epilogue.bias) v *= 0.4F;
  c.epilogue.beta *= 0.05F;
  c.epilogue.act_alpha = d.out_dtype == DType::kInt8 ? 120.0F : 1.0F;
}

LayerOutput run_layer(const LayerCase& c, const IndicePairsView& pairs, const RunOptions& options) {
  LayerOutput out;
  if (c.desc.in_dtype != DType::kInt8) {
    out.f32 = run_typed(c, pairs, options, out, c.features_f32, c.weights_f32, c.residual_f32);
  } else if (c.desc.out_dtype == DType::kInt8) {
    out.int8 = run_typed(c, pairs, options, out, c.features, c.weights, c.residual);
  } else {
    out.f32 = run_typed(c, pairs, options, out, c.features, c.weights, c.residual_f32);
  }
  return out;
}

}  // namespace voxgemm::test
