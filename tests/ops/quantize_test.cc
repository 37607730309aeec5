// Proves: quantize, dequantize, requantize, convert and concat follow their formulas (recomputed here, with
// the exact tie cases by hand), every row of the table gives the scalar bytes around every vector width,
// padding is zeroed where promised and untouched elsewhere, rows can be moved on the way, threads change
// nothing, operands that disagree are refused.
#include "kernels/quantize/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "ops/row_map.h"
#include "tests/ops/matrix.h"
#include "voxgemm/operators.h"

namespace voxgemm {
namespace {

using test::fill;
using test::forced;
using test::Matrix;
using test::runnable_rows;

int quantized(float x) {
  if (std::isnan(x)) return 0;
  const double r = std::nearbyint(static_cast<double>(x));
  return r < -128.0 ? -128 : r > 127.0 ? 127 : static_cast<int>(r);
}

template <typename In, typename Out>
using Op = Status (*)(Context&, Matrix<In>&, Matrix<Out>&);

constexpr float kScales[] = {1.0F, 0.1F, 0.037F, 3.0F, 1e-30F, 1e30F, 0.0078125F, 1.1754944e-38F};
float scale_of_test = 1.0F;  // read by the captureless operators below

Status do_quantize(Context& context, Matrix<float>& in, Matrix<std::int8_t>& out) {
  return quantize(context, in.view(), scale_of_test, out.span());
}
Status do_quantize_half(Context& context, Matrix<Half>& in, Matrix<std::int8_t>& out) {
  return quantize(context, in.view(), scale_of_test, out.span());
}
Status do_dequantize(Context& context, Matrix<std::int8_t>& in, Matrix<float>& out) {
  return dequantize(context, in.view(), scale_of_test, out.span());
}
Status do_dequantize_half(Context& context, Matrix<std::int8_t>& in, Matrix<Half>& out) {
  return dequantize(context, in.view(), scale_of_test, out.span());
}
Status do_requantize(Context& context, Matrix<std::int8_t>& in, Matrix<std::int8_t>& out) {
  return requantize(context, in.view(), scale_of_test, 0.05F, out.span());
}
template <typename In, typename Out>
Status do_convert(Context& context, Matrix<In>& in, Matrix<Out>& out) {
  return convert(context, in.view(), out.span());
}

// Every row of the table against scalar: sizes around the vector widths, both contiguous and strided.
template <typename In, typename Out>
void rows_agree(Op<In, Out> op, bool zeroes_padding = false) {
  const auto names = runnable_rows(quantize_kernels());
  for (const float scale : kScales) {
    scale_of_test = scale;
    for (std::int32_t channels = 1; channels <= 140; channels += channels < 70 ? 1 : 23) {
      for (const std::int64_t extra : {0, 5}) {
        Matrix<In> in(3, channels, channels + extra);
        fill(in, in.view(), static_cast<unsigned>(channels),
             40.0F * (scale < 1e10F && scale > 1e-10F ? scale : 1.0F));
        Matrix<Out> truth(3, channels, channels + extra);
        Context scalar = forced("scalar_quantize");
        ASSERT_TRUE(op(scalar, in, truth).ok());
        EXPECT_TRUE(zeroes_padding || truth.untouched_from(channels));
        for (const std::string& name : names) {
          Matrix<Out> out(3, channels, channels + extra);
          Context context = forced(name);
          ASSERT_TRUE(op(context, in, out).ok());
          ASSERT_EQ(out.bytes(), truth.bytes()) << name << " channels " << channels << " scale " << scale;
        }
      }
    }
  }
}

TEST(QuantizeRows, AgreeBitForBit) {
  rows_agree<float, std::int8_t>(do_quantize, true);
  rows_agree<Half, std::int8_t>(do_quantize_half, true);
  rows_agree<std::int8_t, float>(do_dequantize);
  rows_agree<std::int8_t, Half>(do_dequantize_half);
  rows_agree<std::int8_t, std::int8_t>(do_requantize);
  rows_agree<float, Half>(do_convert<float, Half>);
  rows_agree<Half, float>(do_convert<Half, float>);
  rows_agree<float, float>(do_convert<float, float>);
  rows_agree<std::int8_t, std::int8_t>(do_convert<std::int8_t, std::int8_t>);
}

TEST(Quantize, HalfEvenByHand) {
  const std::vector<float> x{0.5F,   1.5F,   2.5F,    -0.5F,   -1.5F, -2.5F,    127.5F,
                             128.0F, 126.5F, -128.5F, -129.0F, NAN,   INFINITY, -INFINITY};
  const std::vector<int> expected{0, 2, 2, 0, -2, -2, 127, 127, 126, -128, -128, 0, 127, -128};
  for (const std::string& name : runnable_rows(quantize_kernels())) {
    Context context = forced(name);
    std::vector<std::int8_t> q(x.size());
    const auto n = static_cast<std::int32_t>(x.size());
    ASSERT_TRUE(
        quantize(context, {x.data(), DType::kFloat32, 1, n, n}, 1.0F, {q.data(), DType::kInt8, 1, n, n})
            .ok());
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_EQ(q[i], expected[i]) << name << " " << x[i];
  }
}

// The formula divides. For each of many scales, every half-way point and its 2 * 24 nearest neighbours.
TEST(Quantize, DividesOnTheHalfWaySet) {
  int reciprocal_differs = 0;
  for (float scale = 0.001F; scale < 2.0F; scale *= 1.0571F) {
    std::vector<float> x;
    for (int k = -130; k < 130; ++k) {
      float below = (static_cast<float>(k) + 0.5F) * scale;
      float above = below;
      for (int step = 0; step < 24; ++step) {
        x.insert(x.end(), {below, above});
        below = std::nextafter(below, -1e9F);
        above = std::nextafter(above, 1e9F);
      }
    }
    const auto n = static_cast<std::int32_t>(x.size());
    std::vector<std::int8_t> q(x.size());
    const float reciprocal = 1.0F / scale;
    for (const std::string& name : runnable_rows(quantize_kernels())) {
      Context context = forced(name);
      ASSERT_TRUE(
          quantize(context, {x.data(), DType::kFloat32, 1, n, n}, scale, {q.data(), DType::kInt8, 1, n, n})
              .ok());
      for (std::size_t i = 0; i < x.size(); ++i) {
        ASSERT_EQ(q[i], quantized(x[i] / scale)) << name << " " << x[i] << " / " << scale;
        reciprocal_differs += q[i] != quantized(x[i] * reciprocal) ? 1 : 0;
      }
    }
  }
  EXPECT_GT(reciprocal_differs, 0);  // so a row that only multiplied would be caught
}

TEST(Quantize, EveryHalfValue) {
  std::vector<Half> x(65536);
  for (std::size_t i = 0; i < x.size(); ++i) x[i].bits = static_cast<std::uint16_t>(i);
  for (const std::string& name : runnable_rows(quantize_kernels())) {
    Context context = forced(name);
    std::vector<std::int8_t> q(x.size());
    ASSERT_TRUE(quantize(context, {x.data(), DType::kFloat16, 256, 256, 256}, 0.3F,
                         {q.data(), DType::kInt8, 256, 256, 256})
                    .ok());
    std::vector<float> wide(x.size());
    ASSERT_TRUE(convert(context, {x.data(), DType::kFloat16, 256, 256, 256},
                        {wide.data(), DType::kFloat32, 256, 256, 256})
                    .ok());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const float f = to_float(x[i]);
      ASSERT_EQ(q[i], quantized(f / 0.3F)) << name << " bits " << i;
      ASSERT_TRUE(f == wide[i] || (std::isnan(f) && std::isnan(wide[i]))) << name << " bits " << i;
    }
  }
}

TEST(Quantize, EveryInt8Value) {
  std::vector<std::int8_t> q(256);
  for (int i = 0; i < 256; ++i) q[static_cast<std::size_t>(i)] = static_cast<std::int8_t>(i - 128);
  const FeatureView in{q.data(), DType::kInt8, 1, 256, 256};
  for (const std::string& name : runnable_rows(quantize_kernels())) {
    Context context = forced(name);
    for (const float ratio : {0.5F, 1.0F, 1.5F, 2.0F, 0.37F, 100.0F, 0.0F + 1e-6F}) {
      std::vector<std::int8_t> y(256);
      std::vector<float> x(256);
      ASSERT_TRUE(requantize(context, in, ratio * 0.25F, 0.25F, {y.data(), DType::kInt8, 1, 256, 256}).ok());
      ASSERT_TRUE(dequantize(context, in, ratio, {x.data(), DType::kFloat32, 1, 256, 256}).ok());
      for (std::size_t i = 0; i < 256; ++i) {
        ASSERT_EQ(y[i], quantized(static_cast<float>(q[i]) * (ratio * 0.25F / 0.25F)))
            << name << " " << ratio;
        ASSERT_EQ(x[i], static_cast<float>(q[i]) * ratio) << name;
      }
    }
  }
}

TEST(Quantize, PaddingIsZeroedUpToTheStrideAndNotBeyondTheRows) {
  for (const std::string& name : runnable_rows(quantize_kernels())) {
    Matrix<float> in(4, 5, 7);
    fill(in, in.view(), 1);
    Matrix<std::int8_t> out(6, 16, 32);
    Context context = forced(name);
    ASSERT_TRUE(quantize(context, in.view(), 0.5F, out.span()).ok());
    for (int r = 0; r < 6; ++r) {
      for (int c = 5; c < 32; ++c) ASSERT_EQ(out.at(r, c), r < 4 ? 0 : 0x5A) << name << " " << r << " " << c;
    }
  }
}

TEST(Quantize, ThreadsChangeNothing) {
  Matrix<float> in(5000, 37, 40);
  fill(in, in.view(), 3);
  scale_of_test = 0.7F;
  std::vector<std::vector<unsigned char>> results;
  for (const int threads : {1, 2, 5}) {
    Context context({.threads = threads});
    Matrix<std::int8_t> out(5000, 37, 64);
    ASSERT_TRUE(do_quantize(context, in, out).ok());
    results.push_back(out.bytes());
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

// Rows moved on the way equal rows moved before or after.
template <typename In, typename Out>
void moves_rows(Status (*op)(Context&, const FeatureView&, const FeatureSpan&, const ops::RowMap&)) {
  constexpr std::int32_t kRows = 50;
  std::vector<std::int32_t> order(kRows);
  for (std::int32_t r = 0; r < kRows; ++r) order[static_cast<std::size_t>(r)] = (r * 17 + 5) % kRows;
  for (const std::string& name : runnable_rows(quantize_kernels())) {
    Context context = forced(name);
    for (const std::int32_t channels : {1, 5, 16, 37, 64}) {
      Matrix<In> in(kRows, channels, channels);
      fill(in, in.view(), 9, 3.0F);
      Matrix<Out> plain(kRows, channels, channels);
      Matrix<Out> gathered(kRows, channels, channels);
      Matrix<Out> scattered(kRows, channels, channels);
      ASSERT_TRUE(op(context, in.view(), plain.span(), {}).ok());
      ASSERT_TRUE(op(context, in.view(), gathered.span(), {.in = order.data()}).ok());
      ASSERT_TRUE(op(context, in.view(), scattered.span(), {.out = order.data()}).ok());
      for (std::int32_t r = 0; r < kRows; ++r) {
        const std::int32_t to = order[static_cast<std::size_t>(r)];
        const std::size_t bytes = static_cast<std::size_t>(channels) * sizeof(Out);
        ASSERT_EQ(std::memcmp(&gathered.at(r, 0), &plain.at(to, 0), bytes), 0) << name << " " << channels;
        ASSERT_EQ(std::memcmp(&scattered.at(to, 0), &plain.at(r, 0), bytes), 0) << name << " " << channels;
      }
      EXPECT_TRUE(scattered.untouched_from(channels)) << name;
    }
  }
}

Status quantize_moved(Context& context, const FeatureView& in, const FeatureSpan& out,
                      const ops::RowMap& rows) {
  return ops::quantize(context, in, 0.03F, out, nullptr, rows);
}
Status dequantize_moved(Context& context, const FeatureView& in, const FeatureSpan& out,
                        const ops::RowMap& rows) {
  return ops::dequantize(context, in, 0.03F, out, nullptr, rows);
}
Status convert_moved(Context& context, const FeatureView& in, const FeatureSpan& out,
                     const ops::RowMap& rows) {
  return ops::convert(context, in, out, nullptr, rows);
}

TEST(RowMap, MovesRows) {
  moves_rows<float, std::int8_t>(quantize_moved);
  moves_rows<Half, std::int8_t>(quantize_moved);
  moves_rows<std::int8_t, float>(dequantize_moved);
  moves_rows<std::int8_t, Half>(dequantize_moved);
  moves_rows<float, Half>(convert_moved);
  moves_rows<Half, float>(convert_moved);
  moves_rows<float, float>(convert_moved);
  moves_rows<Half, Half>(convert_moved);
  moves_rows<std::int8_t, std::int8_t>(convert_moved);
}

TEST(Requantize, RunsInPlace) {
  for (const std::string& name : runnable_rows(quantize_kernels())) {
    Context context = forced(name);
    Matrix<std::int8_t> in(3, 100, 100);
    fill(in, in.view(), 4);
    Matrix<std::int8_t> truth(3, 100, 100);
    ASSERT_TRUE(requantize(context, in.view(), 0.3F, 0.2F, truth.span()).ok());
    ASSERT_TRUE(requantize(context, in.view(), 0.3F, 0.2F, in.span()).ok());
    EXPECT_EQ(in.bytes(), truth.bytes()) << name;
  }
}

TEST(Quantize, RefusesOperandsThatDisagree) {
  Context context({.threads = 1});
  std::vector<float> x(16);
  std::vector<std::int8_t> q(16);
  const FeatureView in{x.data(), DType::kFloat32, 2, 4, 4};
  const FeatureSpan out{q.data(), DType::kInt8, 2, 4, 8};
  const auto code = [&](auto change, float scale = 1.0F) {
    FeatureView i = in;
    FeatureSpan o = out;
    change(i, o);
    return quantize(context, i, scale, o).code;
  };
  const auto same = [](auto&, auto&) {};
  EXPECT_EQ(code(same), ErrorCode::kOk);
  EXPECT_EQ(to_string(quantize(context, in, 0.0F, out)),
            "invalid argument: a scale is not finite and at least 2^-126");
  EXPECT_EQ(to_string(quantize(context, {nullptr, DType::kFloat32, 2, 4, 4}, 1.0F, out)),
            "invalid argument: the input's data is null");
  EXPECT_EQ(code([](auto& i, auto&) {
              i.rows = 0;
              i.data = nullptr;
            }),
            ErrorCode::kOk);
  EXPECT_EQ(code([](auto& i, auto&) { i.rows = -1; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](auto& i, auto&) { i.data = nullptr; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](auto&, auto& o) { o.data = nullptr; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](auto& i, auto&) { i.channels = 0; }), ErrorCode::kShape);
  EXPECT_EQ(code([](auto& i, auto&) { i.stride = 3; }), ErrorCode::kShape);
  EXPECT_EQ(code([](auto&, auto& o) { o.stride = 3; }), ErrorCode::kShape);
  EXPECT_EQ(code([](auto&, auto& o) { o.rows = 1; }), ErrorCode::kShape);
  EXPECT_EQ(code([](auto&, auto& o) { o.channels = 3; }), ErrorCode::kShape);
  EXPECT_EQ(code([](auto&, auto& o) { o.channels = 9; }), ErrorCode::kShape);
  EXPECT_EQ(code([](auto& i, auto&) { i.dtype = DType::kInt32; }), ErrorCode::kDType);
  EXPECT_EQ(code([](auto&, auto& o) { o.dtype = DType::kFloat32; }), ErrorCode::kDType);
  for (const float bad : {0.0F, -1.0F, NAN, INFINITY, 1e-40F})
    EXPECT_EQ(code(same, bad), ErrorCode::kInvalidArgument) << bad;
  const FeatureView int8{q.data(), DType::kInt8, 2, 4, 4};
  EXPECT_EQ(to_string(requantize(context, int8, 1e30F, 1e-30F, out)),
            "invalid argument: in_scale / out_scale is not finite");
  EXPECT_EQ(to_string(requantize(context, int8, 1e-40F, 1.0F, out)),
            "invalid argument: a scale is not finite and at least 2^-126");
  EXPECT_EQ(requantize(context, int8, 1.0F, 1e-40F, out).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(requantize(context, in, 1.0F, 1.0F, out).code, ErrorCode::kDType);
  EXPECT_EQ(dequantize(context, in, 1.0F, out).code, ErrorCode::kDType);
  for (const float scale : {NAN, INFINITY, 1e-40F, -1e-40F, 0.0F, -2.0F}) {
    const bool good = scale == 0.0F || scale == -2.0F;
    EXPECT_EQ(to_string(dequantize(context, int8, scale, {x.data(), DType::kFloat32, 2, 4, 4})),
              good ? "ok" : "invalid argument: the scale is subnormal or not finite")
        << scale;
  }
  EXPECT_EQ(convert(context, in, out).code, ErrorCode::kDType);
}

TEST(Concat, PutsChannelsSideBySide) {
  Context context({.threads = 1});
  for (const std::string& name : runnable_rows(quantize_kernels())) {
    Context row = forced(name);
    Matrix<float> a(3, 2, 5);
    Matrix<float> b(3, 7, 7);
    Matrix<float> c(3, 1, 4);
    fill(a, a.view(), 1);
    fill(b, b.view(), 2);
    fill(c, c.view(), 3);
    Matrix<float> out(3, 10, 12);
    const std::vector<FeatureView> inputs{a.view(), b.view(), c.view()};
    ASSERT_TRUE(concat(row, inputs, out.span()).ok());
    EXPECT_TRUE(out.untouched_from(10));
    for (int r = 0; r < 3; ++r) {
      EXPECT_EQ(std::memcmp(&out.at(r, 0), &a.at(r, 0), 8), 0);
      EXPECT_EQ(std::memcmp(&out.at(r, 2), &b.at(r, 0), 28), 0);
      EXPECT_EQ(std::memcmp(&out.at(r, 9), &c.at(r, 0), 4), 0);
    }
  }
  Matrix<float> a(3, 2, 2);
  Matrix<float> fewer(2, 2, 2);
  Matrix<std::int8_t> other(3, 2, 2);
  Matrix<float> out(3, 4, 4);
  const auto code = [&](std::vector<FeatureView> inputs) { return concat(context, inputs, out.span()).code; };
  EXPECT_EQ(code({}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({a.view()}), ErrorCode::kShape);
  EXPECT_EQ(code({a.view(), fewer.view()}), ErrorCode::kShape);
  EXPECT_EQ(code({a.view(), other.view()}), ErrorCode::kDType);
}

}  // namespace
}  // namespace voxgemm
