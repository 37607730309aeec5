// Proves: add and relu follow their formulas (fused where written: a case where two roundings would differ is
// included), every row of the table gives the scalar bytes around every vector width, in place too, padding
// is untouched, threads change nothing, operands that disagree are refused.
#include "kernels/elementwise/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/ops/matrix.h"
#include "voxgemm/operators.h"

namespace voxgemm {
namespace {

using test::fill;
using test::forced;
using test::Matrix;
using test::runnable_rows;

struct Factors {
  float a;
  float b;
};
constexpr Factors kFactors[] = {{1.0F, 1.0F}, {0.5F, 0.5F}, {0.37F, -1.9F}, {1e-3F, 40.0F}, {0.1F, 0.7F}};

template <typename T>
void add_rows_agree() {
  const auto names = runnable_rows(elementwise_kernels());
  for (const Factors& f : kFactors) {
    for (const Activation activation : {Activation::kNone, Activation::kReLU}) {
      for (std::int32_t channels = 1; channels <= 140; channels += channels < 70 ? 1 : 23) {
        const std::int64_t stride = channels + channels % 3;
        Matrix<T> a(3, channels, stride);
        Matrix<T> b(3, channels, stride + 1);
        fill(a, a.view(), static_cast<unsigned>(channels));
        fill(b, b.view(), static_cast<unsigned>(channels) + 1000U);
        Matrix<T> truth(3, channels, stride);
        Context scalar = forced("scalar_elementwise");
        ASSERT_TRUE(add(scalar, a.view(), b.view(), f.a, f.b, activation, truth.span()).ok());
        EXPECT_TRUE(truth.untouched_from(channels));
        for (const std::string& name : names) {
          Context context = forced(name);
          Matrix<T> out(3, channels, stride);
          ASSERT_TRUE(add(context, a.view(), b.view(), f.a, f.b, activation, out.span()).ok());
          ASSERT_EQ(out.bytes(), truth.bytes()) << name << " channels " << channels << " factors " << f.a;
          Matrix<T> in_place = a;
          ASSERT_TRUE(add(context, in_place.view(), b.view(), f.a, f.b, activation, in_place.span()).ok());
          for (std::int64_t r = 0; r < 3; ++r) {
            ASSERT_EQ(std::memcmp(&in_place.at(r, 0), &truth.at(r, 0),
                                  static_cast<std::size_t>(channels) * sizeof(T)),
                      0)
                << name << " in place";
          }
        }
      }
    }
  }
}

TEST(AddRows, AgreeBitForBit) {
  add_rows_agree<std::int8_t>();
  add_rows_agree<float>();
  add_rows_agree<Half>();
}

template <typename T>
void relu_rows_agree() {
  for (const std::string& name : runnable_rows(elementwise_kernels())) {
    Context context = forced(name);
    for (std::int32_t channels = 1; channels <= 140; ++channels) {
      const std::int64_t stride = channels + channels % 3;
      Matrix<T> in(3, channels, stride);
      fill(in, in.view(), static_cast<unsigned>(channels));
      Matrix<T> out(3, channels, stride);
      ASSERT_TRUE(relu(context, in.view(), out.span()).ok());
      EXPECT_TRUE(out.untouched_from(channels)) << name;
      for (std::int64_t r = 0; r < 3; ++r) {
        for (std::int64_t c = 0; c < channels; ++c) {
          const T zero{};
          const T expected = test::as_float(in.at(r, c)) > 0.0F ? in.at(r, c) : zero;
          ASSERT_EQ(std::memcmp(&out.at(r, c), &expected, sizeof(T)), 0)
              << name << " x " << test::as_float(in.at(r, c));
        }
      }
      const auto before = out.bytes();
      ASSERT_TRUE(relu(context, out.view(), out.span()).ok());
      ASSERT_EQ(out.bytes(), before) << name << ": relu of relu, in place";
    }
  }
}

TEST(ReluRows, MatchTheDefinition) {
  relu_rows_agree<std::int8_t>();
  relu_rows_agree<float>();
  relu_rows_agree<Half>();
}

// All 65536 pairs of int8, the formula recomputed in float64 steps that are exact up to the two roundings.
TEST(Add, EveryPairOfInt8) {
  std::vector<std::int8_t> a(65536);
  std::vector<std::int8_t> b(65536);
  for (std::size_t i = 0; i < a.size(); ++i) {
    a[i] = static_cast<std::int8_t>(i & 0xFFU);
    b[i] = static_cast<std::int8_t>(i >> 8);
  }
  for (const Factors& f : kFactors) {
    for (const std::string& name : runnable_rows(elementwise_kernels())) {
      Context context = forced(name);
      std::vector<std::int8_t> out(65536);
      ASSERT_TRUE(add(context, {a.data(), DType::kInt8, 256, 256, 256},
                      {b.data(), DType::kInt8, 256, 256, 256}, f.a, f.b, Activation::kNone,
                      {out.data(), DType::kInt8, 256, 256, 256})
                      .ok());
      for (std::size_t i = 0; i < a.size(); ++i) {
        const float product = f.a * static_cast<float>(a[i]);
        const auto t = static_cast<float>(static_cast<double>(f.b) * b[i] + static_cast<double>(product));
        const double r = std::nearbyint(static_cast<double>(t));
        const int expected = r < -128 ? -128 : r > 127 ? 127 : static_cast<int>(r);
        ASSERT_EQ(out[i], expected) << name << " " << int{a[i]} << " " << int{b[i]} << " factors " << f.a
                                    << " " << f.b;
      }
    }
  }
}

TEST(Add, SecondProductIsFused) {
  // 1/3 rounded: b_factor * b is not exact, so rounding it before the sum loses the difference.
  const float third = 1.0F / 3.0F;
  const float a = -1.0F;
  const float b = 3.0F;
  float out = 0.0F;
  for (const std::string& name : runnable_rows(elementwise_kernels())) {
    Context context = forced(name);
    ASSERT_TRUE(add(context, {&a, DType::kFloat32, 1, 1, 1}, {&b, DType::kFloat32, 1, 1, 1}, 1.0F, third,
                    Activation::kNone, {&out, DType::kFloat32, 1, 1, 1})
                    .ok());
    EXPECT_EQ(out, std::fma(third, b, a)) << name;
    EXPECT_NE(out, 0.0F) << name;
  }
}

TEST(Add, ThreadsChangeNothing) {
  Matrix<std::int8_t> a(6000, 33, 48);
  Matrix<std::int8_t> b(6000, 33, 33);
  fill(a, a.view(), 3);
  fill(b, b.view(), 4);
  std::vector<std::vector<unsigned char>> results;
  for (const int threads : {1, 2, 5}) {
    Context context({.threads = threads});
    Matrix<std::int8_t> out(6000, 33, 64);
    ASSERT_TRUE(add(context, a.view(), b.view(), 0.3F, 0.9F, Activation::kReLU, out.span()).ok());
    results.push_back(out.bytes());
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(Add, RefusesOperandsThatDisagree) {
  Context context({.threads = 1});
  Matrix<std::int8_t> a(2, 4, 4);
  Matrix<std::int8_t> rows(3, 4, 4);
  Matrix<std::int8_t> channels(2, 5, 5);
  Matrix<float> floats(2, 4, 4);
  Matrix<std::int8_t> out(2, 4, 4);
  const auto code = [&](const FeatureView& b, float factor = 1.0F, Activation act = Activation::kNone) {
    return add(context, a.view(), b, 1.0F, factor, act, out.span()).code;
  };
  EXPECT_EQ(code(a.view()), ErrorCode::kOk);
  EXPECT_EQ(code(rows.view()), ErrorCode::kShape);
  EXPECT_EQ(code(channels.view()), ErrorCode::kShape);
  EXPECT_EQ(code(floats.view()), ErrorCode::kDType);
  EXPECT_EQ(code(a.view(), NAN), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(a.view(), 1.0F, Activation::kLeakyReLU), ErrorCode::kUnsupported);
  EXPECT_EQ(code(a.view(), 1.0F, Activation::kSigmoid), ErrorCode::kUnsupported);
  FeatureView null = a.view();
  null.data = nullptr;
  EXPECT_EQ(code(null), ErrorCode::kInvalidArgument);
  EXPECT_EQ(relu(context, a.view(), floats.span()).code, ErrorCode::kDType);
  EXPECT_EQ(relu(context, rows.view(), out.span()).code, ErrorCode::kShape);
}

}  // namespace
}  // namespace voxgemm
