// Proves: shapes and coordinates are checked with the offending row in the message, host and dense data
// arrive unchanged, active sites of a dense array come in ascending key order.
#include "voxgemm/sparse_tensor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace voxgemm {
namespace {

// Runs fn, which must throw Error(code) with every one of `words` in its message.
void expect_error(ErrorCode code, const std::vector<std::string>& words, const std::function<void()>& fn) {
  try {
    fn();
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_EQ(to_string(e.code()), to_string(code)) << e.what();
    for (const std::string& word : words) {
      EXPECT_NE(std::string(e.what()).find(word), std::string::npos)
          << "no \"" << word << "\" in: " << e.what();
    }
  }
}

SparseTensorView view_of(const std::vector<std::int32_t>& indices, const Dims& shape,
                         std::int32_t batch = 2) {
  const auto n = static_cast<std::int32_t>(indices.size()) / (1 + shape.ndim);
  return {
      .indices = indices.data(), .spatial_shape = shape, .batch_size = batch, .capacity = n, .num_voxels = n};
}

TEST(ValidateShape, NamesWhatIsWrong) {
  const std::vector<std::int32_t> row{0, 0, 0, 0};
  const SparseTensorView good = view_of(row, {4, 4, 4});
  EXPECT_NO_THROW(validate_shape(good));
  const auto broken = [&](auto change) {
    SparseTensorView v = good;
    change(v);
    return [v] { validate_shape(v); };
  };
  expect_error(ErrorCode::kShape, {"0 spatial axes", "1 to 4"},
               broken([](auto& v) { v.spatial_shape = {}; }));
  expect_error(ErrorCode::kShape, {"5 spatial axes"}, broken([](auto& v) {
                 v.spatial_shape = {1, 1, 1, 1, 1};
               }));
  expect_error(ErrorCode::kShape, {"axis y is -3", "[z 4, y -3, x 4]"}, broken([](auto& v) {
                 v.spatial_shape = {4, -3, 4};
               }));
  expect_error(ErrorCode::kShape, {"batch_size is 0"}, broken([](auto& v) { v.batch_size = 0; }));
  expect_error(ErrorCode::kShape, {"w 65536, z 65536", "3.689e+19 cells", "9223372036854775807"},
               broken([](auto& v) { v.spatial_shape = Dims::filled(4, 1 << 16); }));
  expect_error(ErrorCode::kInvalidArgument, {"-1"}, broken([](auto& v) { v.num_voxels = -1; }));
  expect_error(ErrorCode::kInvalidArgument, {"2", "capacity 1"}, broken([](auto& v) { v.num_voxels = 2; }));
  expect_error(ErrorCode::kInvalidArgument, {"capacity is -5"}, broken([](auto& v) { v.capacity = -5; }));
  expect_error(ErrorCode::kInvalidArgument, {"indices"}, broken([](auto& v) { v.indices = nullptr; }));
  expect_error(ErrorCode::kInvalidArgument, {"features"},
               broken([](auto& v) { v.features.channels = v.features.stride = 4; }));
  expect_error(ErrorCode::kShape, {"4 channels", "stride 3"}, broken([](auto& v) {
                 v.features.channels = 4;
                 v.features.stride = 3;
               }));
}

TEST(ValidateShape, LargestKeyThatFitsIsTaken) {
  const std::vector<std::int32_t> row{0, 0, 0, 0};
  SparseTensorView v = view_of(row, {1 << 30, 1 << 30, 4}, 1);  // 2^62
  EXPECT_NO_THROW(validate_shape(v));
  v.spatial_shape = {1 << 30, 1 << 30, 8};  // 2^63
  EXPECT_THROW(validate_shape(v), Error);
}

TEST(Validate, NamesFirstRowOutside) {
  Context context({.threads = 2});
  const Dims shape{4, 5, 6};
  for (const std::array<std::int32_t, 4> bad :
       {std::array{-1, 0, 0, 0}, std::array{2, 0, 0, 0}, std::array{0, 4, 0, 0}, std::array{0, 0, -1, 0},
        std::array{1, 0, 5, 0}, std::array{0, 0, 0, 6}}) {
    std::vector<std::int32_t> indices{0, 1, 2, 3, 1, 1, 2, 3};
    indices.insert(indices.end(), bad.begin(), bad.end());
    indices.insert(indices.end(), {0, 0, 0, 99});
    expect_error(ErrorCode::kOutOfRange, {"row 2:", "[z 4, y 5, x 6]"},
                 [&] { validate(context, view_of(indices, shape)); });
  }
}

TEST(Validate, FirstBadRowDoesNotDependOnThreads) {
  const std::int32_t n = 100000;
  std::vector<std::int32_t> indices;
  for (std::int32_t i = 0; i < n; ++i) indices.insert(indices.end(), {0, i});
  for (const std::int32_t bad : {99999, 70001, 33333}) indices[static_cast<std::size_t>(2 * bad + 1)] = -7;
  for (const int threads : {1, 2, 5}) {
    Context context({.threads = threads});
    expect_error(ErrorCode::kOutOfRange, {"row 33333:", "-7"},
                 [&] { validate(context, view_of(indices, {n}, 1)); });
  }
}

TEST(Validate, NamesBothRowsOfADuplicate) {
  Context context({.threads = 1});
  // Row 3 repeats row 2, row 4 repeats row 0: the first of the two is named.
  const auto run = [&](std::vector<std::int32_t> values) {
    return [&context, values] { validate(context, view_of(values, {4})); };
  };
  expect_error(ErrorCode::kDuplicate, {"row 3:", "(0, 1)", "in row 2"}, run({1, 3, 0, 2, 0, 1, 0, 1, 1, 3}));
  EXPECT_NO_THROW(run({1, 3, 0, 2, 0, 1, 1, 1, 0, 3})());
  EXPECT_NO_THROW(run({})());
  // The same coordinate three times: the second occurrence, against the first.
  expect_error(ErrorCode::kDuplicate, {"row 1:", "in row 0"}, run({1, 3, 1, 3, 1, 3}));
}

TEST(SparseTensor, FromHostKeepsBytesAndChecks) {
  Context context({.threads = 1});
  const std::vector<std::int32_t> indices{0, 1, 1, 0, 0, 2};
  const std::vector<float> features{1, 2, 3, 4};
  const SparseTensor t =
      SparseTensor::from_host(context, {3, 3}, 1, indices, features.data(), 2, DType::kFloat32, 5);
  EXPECT_EQ(t.num_voxels(), 2);
  EXPECT_EQ(t.capacity(), 5);
  EXPECT_TRUE(std::equal(indices.begin(), indices.end(), t.indices()));
  EXPECT_TRUE(
      std::equal(features.begin(), features.end(), static_cast<const float*>(t.view().features.data)));
  const auto make = [&](std::vector<std::int32_t> values, std::int32_t capacity, std::int32_t channels) {
    return [&, values, capacity, channels] {
      SparseTensor::from_host(context, {3, 3}, 1, values, features.data(), channels, DType::kFloat32,
                              capacity);
    };
  };
  expect_error(ErrorCode::kShape, {"5 index values", "rows of 3"}, make({0, 0, 0, 0, 0}, 0, 2));
  expect_error(ErrorCode::kCapacity, {"2 rows", "capacity 1"}, make(indices, 1, 2));
  expect_error(ErrorCode::kShape, {"0 channels"}, make(indices, 0, 0));
  expect_error(ErrorCode::kOutOfRange, {"row 1:"}, make({0, 0, 0, 0, 3, 0}, 0, 2));
  expect_error(ErrorCode::kDuplicate, {"row 1:"}, make({0, 0, 0, 0, 0, 0}, 0, 2));
  EXPECT_EQ(SparseTensor::from_host(context, {3, 3}, 1, {}, nullptr, 2, DType::kInt8).num_voxels(), 0);
}

TEST(SparseTensor, CountStaysWithinCapacity) {
  Context context({.threads = 1});
  SparseTensor t(context, {3, 3}, 1, 4, 2, DType::kInt8, 16);
  EXPECT_EQ(t.num_voxels(), 0);
  EXPECT_EQ(t.view().features.stride, 16);
  t.set_num_voxels(4);
  EXPECT_EQ(t.view().features.rows, 4);
  EXPECT_EQ(t.feature_span().rows, 4);
  expect_error(ErrorCode::kCapacity, {"5", "4"}, [&] { t.set_num_voxels(5); });
  expect_error(ErrorCode::kCapacity, {"-1"}, [&] { t.set_num_voxels(-1); });
}

// The truth: every site in row-major order, kept when a channel differs from zero.
template <typename T>
void check_from_dense(DType dtype, const std::vector<T>& values, const std::function<bool(T)>& is_zero) {
  Context context({.threads = 1});
  const Dims shape{3, 4, 5};
  const std::int32_t channels = 2;
  const SparseTensor t = SparseTensor::from_dense(context, shape, 2, values.data(), channels, dtype);
  const auto* features = static_cast<const T*>(t.view().features.data);
  std::int32_t row = 0;
  std::size_t site = 0;
  for (int b = 0; b < 2; ++b) {
    for (int z = 0; z < 3; ++z) {
      for (int y = 0; y < 4; ++y) {
        for (int x = 0; x < 5; ++x, ++site) {
          if (is_zero(values[2 * site]) && is_zero(values[2 * site + 1])) continue;
          ASSERT_LT(row, t.num_voxels());
          const std::array<std::int32_t, 4> at{b, z, y, x};
          EXPECT_TRUE(std::equal(at.begin(), at.end(), t.indices() + 4 * row));
          EXPECT_EQ(std::memcmp(features + 2 * row, &values[2 * site], 2 * sizeof(T)), 0);
          ++row;
        }
      }
    }
  }
  EXPECT_EQ(row, t.num_voxels());
  EXPECT_GT(row, 10);
}

TEST(SparseTensor, FromDenseFindsActiveSites) {
  std::mt19937 random(7);
  std::vector<float> floats(240, 0.0F);
  std::vector<std::int8_t> bytes(240, 0);
  std::vector<Half> halves(240);
  for (std::size_t i = 0; i < 240; ++i) {
    const auto pick = random() % 6;
    if (pick == 0) floats[i] = 0.5F, bytes[i] = -1, halves[i].bits = 1;
    if (pick == 1) floats[i] = -0.0F, halves[i].bits = 0x8000;  // a zero
  }
  check_from_dense<float>(DType::kFloat32, floats, [](float v) { return v == 0.0F; });
  check_from_dense<std::int8_t>(DType::kInt8, bytes, [](std::int8_t v) { return v == 0; });
  check_from_dense<Half>(DType::kFloat16, halves, [](Half v) { return to_float(v) == 0.0F; });
}

TEST(SparseTensor, FromDenseIsTheSameForAnyNumberOfThreads) {
  std::mt19937 random(8);
  std::vector<std::int8_t> dense(2 * 3 * 110 * 210 * 2, 0);  // more sites than one task looks through
  for (std::int8_t& v : dense) v = random() % 9 == 0 ? 7 : 0;
  std::vector<std::int32_t> indices;
  std::vector<std::int8_t> features;
  for (std::size_t site = 0; site < dense.size() / 2; ++site) {
    if (dense[2 * site] == 0 && dense[2 * site + 1] == 0) continue;
    const auto at = static_cast<std::int32_t>(site);
    indices.insert(indices.end(), {at / 69300, at / 23100 % 3, at / 210 % 110, at % 210});
    features.insert(features.end(), {dense[2 * site], dense[2 * site + 1]});
  }
  for (const int threads : {1, 2, 5}) {
    Context context({.threads = threads});
    const SparseTensor t = SparseTensor::from_dense(context, {3, 110, 210}, 2, dense.data(), 2, DType::kInt8);
    ASSERT_EQ(static_cast<std::size_t>(t.num_voxels()), features.size() / 2);
    EXPECT_TRUE(std::equal(indices.begin(), indices.end(), t.indices()));
    EXPECT_TRUE(std::equal(features.begin(), features.end(), static_cast<const std::int8_t*>(t.features())));
  }
}

}  // namespace
}  // namespace voxgemm
