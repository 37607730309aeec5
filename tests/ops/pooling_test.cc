// Proves: pool and global_pool follow their definitions on random pair tables, for int8, float32 and float16,
// rows without inputs and windows of negatives included; every row of the tables gives the same bytes;
// padding is neither read nor written; threads change nothing; views that do not fit are refused.
#include "kernels/pooling/pooling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/ops/matrix.h"
#include "voxgemm/operators.h"

namespace voxgemm {
namespace {

using test::as_float;
using test::fill;
using test::forced;
using test::Matrix;
using test::runnable_rows;

struct Pairs {
  std::vector<std::int32_t> table;
  IndicePairsView view;

  Pairs(std::int32_t kv, std::int32_t n_in, std::int32_t num_out, unsigned seed, std::int64_t extra = 3) {
    view = {
        .kv = kv, .n_in = n_in, .num_out = num_out, .out_capacity = num_out, .pair_stride = num_out + extra};
    table.assign(static_cast<std::size_t>(kv * view.pair_stride),
                 1 << 30);  // a read beyond num_out would crash
    std::mt19937 random(seed);
    for (std::int64_t k = 0; k < kv; ++k) {
      for (std::int64_t i = 0; i < num_out; ++i) {
        const bool active = i % 7 != 3 && random() % 3 != 0;  // some rows have no input at all
        table[static_cast<std::size_t>(k * view.pair_stride + i)] =
            active ? static_cast<std::int32_t>(random() % static_cast<unsigned>(n_in)) : -1;
      }
    }
    view.pair_fwd = table.data();
  }
  [[nodiscard]] std::vector<std::int32_t> inputs(std::int64_t i) const {
    std::vector<std::int32_t> rows;
    for (std::int64_t k = 0; k < view.kv; ++k) {
      const std::int32_t j = table[static_cast<std::size_t>(k * view.pair_stride + i)];
      if (j >= 0) rows.push_back(j);
    }
    return rows;
  }
};

template <typename T>
float expected_value(Matrix<T>& in, const std::vector<std::int32_t>& rows, std::int64_t c,
                     const PoolOptions& o) {
  if (rows.empty()) return 0.0F;
  if (o.kind == PoolKind::kMax) {
    float m = o.zero_floor ? 0.0F : as_float(in.at(rows[0], c));
    for (const std::int32_t j : rows) m = std::max(m, as_float(in.at(j, c)));
    return m;
  }
  const auto count = static_cast<double>(rows.size());
  if constexpr (std::is_same_v<T, std::int8_t>) {
    int sum = 0;
    for (const std::int32_t j : rows) sum += in.at(j, c);
    return static_cast<float>(std::nearbyint(sum / count));
  }
  float sum = 0.0F;
  for (const std::int32_t j : rows) sum += as_float(in.at(j, c));
  const float mean = sum / static_cast<float>(count);
  return std::is_same_v<T, Half> ? to_float(to_half(mean)) : mean;
}

// Finite values: NaN order is covered by comparing rows with each other.
template <typename T>
void fill_finite(Matrix<T>& m, const FeatureView& shape, unsigned seed, bool negative = false) {
  std::mt19937 random(seed);
  for (std::int64_t r = 0; r < shape.rows; ++r) {
    for (std::int64_t c = 0; c < shape.channels; ++c) {
      const auto q =
          static_cast<std::int8_t>(negative ? -static_cast<int>(random() % 120) - 1 : random() & 0xFFU);
      if constexpr (std::is_same_v<T, std::int8_t>) m.at(r, c) = q;
      if constexpr (std::is_same_v<T, float>) m.at(r, c) = static_cast<float>(q) * 0.37F;
      if constexpr (std::is_same_v<T, Half>) m.at(r, c) = to_half(static_cast<float>(q) * 0.37F);
    }
  }
}

constexpr PoolOptions kOptions[] = {
    {PoolKind::kMax, false}, {PoolKind::kMax, true}, {PoolKind::kAverage, false}};

template <typename T>
void matches_definition(std::int32_t kv, bool negative) {
  const Pairs pairs(kv, 50, 40, static_cast<unsigned>(kv));
  for (const std::string& name : runnable_rows(pooling_kernels())) {
    Context context = forced(name);
    for (std::int32_t channels = 1; channels <= 140; channels += channels < 70 ? 3 : 23) {
      Matrix<T> in(50, channels, channels + channels % 4);
      fill_finite(in, in.view(), 5, negative);
      for (const PoolOptions& o : kOptions) {
        Matrix<T> out(40, channels, channels + 3);
        ASSERT_TRUE(pool(context, pairs.view, in.view(), o, out.span()).ok());
        EXPECT_TRUE(out.untouched_from(channels)) << name;
        for (std::int64_t i = 0; i < 40; ++i) {
          for (std::int64_t c = 0; c < channels; ++c) {
            ASSERT_EQ(as_float(out.at(i, c)), expected_value(in, pairs.inputs(i), c, o))
                << name << " row " << i << " channel " << c << " of " << channels;
          }
        }
      }
    }
  }
}

TEST(Pool, MatchesTheDefinition) {
  for (const std::int32_t kv : {1, 2, 9, 27, 343}) {
    matches_definition<std::int8_t>(kv, false);
    matches_definition<float>(kv, false);
    matches_definition<Half>(kv, false);
  }
}

TEST(Pool, NegativeWindowsKeepTheirMaximumUnlessFloored) {
  matches_definition<std::int8_t>(27, true);
  matches_definition<float>(27, true);
}

TEST(PoolRows, AgreeOnAwkwardFloats) {
  const Pairs pairs(27, 60, 33, 1);
  for (std::int32_t channels = 1; channels <= 80; ++channels) {
    Matrix<float> in(60, channels, channels);
    fill(in, in.view(), static_cast<unsigned>(channels));
    for (const PoolOptions& o : kOptions) {
      Context scalar = forced("scalar_pooling");
      Matrix<float> truth(33, channels, channels);
      ASSERT_TRUE(pool(scalar, pairs.view, in.view(), o, truth.span()).ok());
      for (const std::string& name : runnable_rows(pooling_kernels())) {
        Context context = forced(name);
        Matrix<float> out(33, channels, channels);
        ASSERT_TRUE(pool(context, pairs.view, in.view(), o, out.span()).ok());
        for (std::int64_t i = 0; i < 33; ++i) {
          for (std::int64_t c = 0; c < channels; ++c) {
            const bool both_nan = std::isnan(out.at(i, c)) && std::isnan(truth.at(i, c));
            ASSERT_TRUE(both_nan || std::memcmp(&out.at(i, c), &truth.at(i, c), 4) == 0)
                << name << " " << out.at(i, c) << " " << truth.at(i, c);
          }
        }
      }
    }
  }
}

TEST(Pool, ThreadsChangeNothing) {
  const Pairs pairs(27, 3000, 4000, 2);
  Matrix<std::int8_t> in(3000, 20, 20);
  fill_finite(in, in.view(), 6);
  for (const PoolOptions& o : kOptions) {
    std::vector<std::vector<unsigned char>> results;
    for (const int threads : {1, 2, 5}) {
      Context context({.threads = threads});
      Matrix<std::int8_t> out(4000, 20, 32);
      ASSERT_TRUE(pool(context, pairs.view, in.view(), o, out.span()).ok());
      results.push_back(out.bytes());
    }
    EXPECT_EQ(results[0], results[1]);
    EXPECT_EQ(results[0], results[2]);
  }
}

TEST(Pool, RefusesViewsThatDoNotFit) {
  Context context({.threads = 1});
  const Pairs pairs(9, 20, 10, 3);
  Matrix<std::int8_t> in(20, 4, 4);
  Matrix<std::int8_t> out(10, 4, 4);
  const auto code = [&](auto change) {
    IndicePairsView p = pairs.view;
    FeatureView i = in.view();
    FeatureSpan o = out.span();
    change(p, i, o);
    return pool(context, p, i, {}, o).code;
  };
  EXPECT_EQ(code([](auto&, auto&, auto&) {}), ErrorCode::kOk);
  EXPECT_EQ(code([](auto& p, auto&, auto&) { p.pair_fwd = nullptr; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](auto& p, auto&, auto&) { p.pair_stride = 9; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](auto& p, auto&, auto&) { p.kv = 344; }), ErrorCode::kShape);
  EXPECT_EQ(code([](auto& p, auto&, auto&) { p.kv = 0; }), ErrorCode::kShape);
  EXPECT_EQ(code([](auto&, auto& i, auto&) { i.rows = 19; }), ErrorCode::kShape);
  EXPECT_EQ(code([](auto&, auto&, auto& o) { o.rows = 9; }), ErrorCode::kShape);
  EXPECT_EQ(code([](auto&, auto& i, auto&) { i.channels = 3; }), ErrorCode::kShape);
  EXPECT_EQ(code([](auto&, auto& i, auto&) { i.dtype = DType::kFloat32; }), ErrorCode::kDType);
  EXPECT_EQ(code([](auto&, auto& i, auto& o) { i.dtype = o.dtype = DType::kInt32; }), ErrorCode::kDType);
  EXPECT_EQ(code([](auto& p, auto&, auto&) {
              p.num_out = 0;
              p.pair_fwd = nullptr;
            }),
            ErrorCode::kOk);
}

template <typename T>
void global_matches(PoolKind kind, std::int32_t channels) {
  const std::int32_t batch = 4;
  const std::int32_t n = 300;
  Matrix<T> in(n, channels, channels + 2);
  fill_finite(in, in.view(), 9);
  std::vector<std::int32_t> indices;
  std::mt19937 random(1);
  constexpr std::int32_t kBatches[] = {0, 1, 3};  // 2 has no row
  for (std::int32_t r = 0; r < n; ++r) indices.insert(indices.end(), {kBatches[random() % 3], r, 0});
  Context context({.threads = 2});
  Matrix<T> out(batch, channels, channels + 1);
  const SparseTensorView tensor{indices.data(), in.view(), {1000, 1000}, batch, n, n, nullptr};
  ASSERT_TRUE(global_pool(context, tensor, kind, out.span()).ok());
  EXPECT_TRUE(out.untouched_from(channels));
  for (std::int32_t b = 0; b < batch; ++b) {
    for (std::int64_t c = 0; c < channels; ++c) {
      double sum = 0;
      double top = -1e30;
      int count = 0;
      for (std::int32_t r = 0; r < n; ++r) {
        if (indices[static_cast<std::size_t>(3 * r)] != b) continue;
        sum += as_float(in.at(r, c));
        top = std::max<double>(top, as_float(in.at(r, c)));
        ++count;
      }
      double expected = count == 0 ? 0.0 : kind == PoolKind::kMax ? top : sum / count;
      if (std::is_same_v<T, std::int8_t>) expected = std::nearbyint(expected);
      if (std::is_same_v<T, Half>) expected = to_float(to_half(static_cast<float>(expected)));
      ASSERT_EQ(as_float(out.at(b, c)), static_cast<float>(expected)) << "batch " << b << " channel " << c;
    }
  }
}

TEST(GlobalPool, MatchesTheDefinition) {
  for (const std::int32_t channels : {1, 5, 64, 65, 130}) {
    for (const PoolKind kind : {PoolKind::kMax, PoolKind::kAverage}) {
      global_matches<std::int8_t>(kind, channels);
      global_matches<float>(kind, channels);
      global_matches<Half>(kind, channels);
    }
  }
}

TEST(GlobalPool, RefusesViewsThatDoNotFit) {
  Context context({.threads = 1});
  Matrix<float> in(3, 4, 4);
  Matrix<float> out(2, 4, 4);
  const std::vector<std::int32_t> indices{0, 0, 0, 1, 1, 0};
  const SparseTensorView good{indices.data(), in.view(), {5}, 2, 3, 3, nullptr};
  const auto code = [&](auto change) {
    SparseTensorView v = good;
    change(v);
    return global_pool(context, v, PoolKind::kMax, out.span()).code;
  };
  EXPECT_EQ(code([](auto& v) { v.batch_size = 3; }), ErrorCode::kShape);
  EXPECT_EQ(code([](auto& v) { v.batch_size = 0; }), ErrorCode::kShape);
  EXPECT_EQ(code([](auto& v) { v.indices = nullptr; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](auto& v) { v.num_voxels = -1; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](auto& v) { v.features.channels = 3; }), ErrorCode::kShape);
  EXPECT_EQ(code([](auto& v) { v.features.dtype = DType::kInt8; }), ErrorCode::kDType);
}

}  // namespace
}  // namespace voxgemm
