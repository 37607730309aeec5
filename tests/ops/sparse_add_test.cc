// Proves: sparse_add gives the union of the sites in ascending order with the sum by formula, against a map;
// operands in any order and type; duplicates, rows outside and unlike operands are refused by row and value.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "voxgemm/operators.h"

namespace voxgemm {
namespace {

constexpr std::int32_t kChannels = 3;

SparseTensor make(Context& context, const Dims& shape, unsigned seed, std::int32_t n, DType dtype) {
  std::mt19937 random(seed);
  std::map<std::vector<std::int32_t>, int> seen;
  std::vector<std::int32_t> indices;
  while (static_cast<std::int32_t>(seen.size()) < n) {
    std::vector<std::int32_t> row{static_cast<std::int32_t>(random() % 2)};
    for (int a = 0; a < shape.ndim; ++a) {
      row.push_back(static_cast<std::int32_t>(random() % static_cast<unsigned>(shape[a])));
    }
    if (!seen.emplace(row, 0).second) continue;
    indices.insert(indices.end(), row.begin(), row.end());
  }
  std::vector<float> floats(static_cast<std::size_t>(n * kChannels));
  std::vector<std::int8_t> bytes(floats.size());
  for (std::size_t i = 0; i < floats.size(); ++i) {
    bytes[i] = static_cast<std::int8_t>(random() & 0xFFU);
    floats[i] = static_cast<float>(bytes[i]) * 0.013F;
  }
  const void* features = dtype == DType::kInt8 ? static_cast<const void*>(bytes.data()) : floats.data();
  return SparseTensor::from_host(context, shape, 2, indices, features, kChannels, dtype);
}

float value(const SparseTensorView& t, std::int32_t row, std::int32_t c) {
  const std::int64_t at = row * t.features.stride + c;
  return t.features.dtype == DType::kInt8 ? static_cast<const std::int8_t*>(t.features.data)[at]
                                          : static_cast<const float*>(t.features.data)[at];
}

void check_union(const SparseTensorView& a, const SparseTensorView& b, const SparseTensorView& out, float fa,
                 float fb) {
  const std::int32_t width = 1 + a.spatial_shape.ndim;
  std::map<std::vector<std::int32_t>, std::pair<std::int32_t, std::int32_t>> sites;
  for (std::int32_t r = 0; r < a.num_voxels; ++r) {
    sites[{a.indices + r * width, a.indices + (r + 1) * width}] = {r, -1};
  }
  for (std::int32_t r = 0; r < b.num_voxels; ++r) {
    auto& site =
        sites.try_emplace({b.indices + r * width, b.indices + (r + 1) * width}, -1, -1).first->second;
    site.second = r;
  }
  ASSERT_EQ(static_cast<std::size_t>(out.num_voxels), sites.size());
  std::int32_t row = 0;
  for (const auto& [coordinate, rows] : sites) {
    ASSERT_TRUE(std::equal(coordinate.begin(), coordinate.end(), out.indices + row * width));
    for (std::int32_t c = 0; c < kChannels; ++c) {
      const float x = rows.first >= 0 ? fa * value(a, rows.first, c) : 0.0F;
      const float t = rows.second < 0   ? x
                      : rows.first >= 0 ? std::fma(fb, value(b, rows.second, c), x)
                                        : fb * value(b, rows.second, c);
      const float expected =
          out.features.dtype == DType::kInt8 ? std::fmin(127.0F, std::fmax(-128.0F, std::nearbyint(t))) : t;
      ASSERT_EQ(value(out, row, c), expected) << "row " << row;
    }
    ++row;
  }
}

TEST(SparseAdd, UnionByFormula) {
  Context context({.threads = 1});
  for (const Dims& shape : {Dims{9, 10}, Dims{4, 5, 6}, Dims{2, 3, 4, 5}, Dims{100}}) {
    for (const DType in : {DType::kFloat32, DType::kInt8}) {
      const SparseTensor a = make(context, shape, 1, 60, in);
      const SparseTensor b = make(context, shape, 2, 75, in);
      for (const DType out : {DType::kFloat32, DType::kInt8}) {
        check_union(a.view(), b.view(), sparse_add(context, a.view(), b.view(), 0.7F, 1.3F, out).view(), 0.7F,
                    1.3F);
      }
      check_union(a.view(), a.view(), sparse_add(context, a.view(), a.view()).view(), 1.0F, 1.0F);
    }
  }
}

TEST(SparseAdd, EmptyOperands) {
  Context context({.threads = 1});
  const SparseTensor none(context, {4, 5, 6}, 2, 0, kChannels, DType::kFloat32);
  const SparseTensor some = make(context, {4, 5, 6}, 3, 11, DType::kFloat32);
  check_union(none.view(), some.view(), sparse_add(context, none.view(), some.view(), 2.0F, 3.0F).view(),
              2.0F, 3.0F);
  check_union(some.view(), none.view(), sparse_add(context, some.view(), none.view(), 2.0F, 3.0F).view(),
              2.0F, 3.0F);
  EXPECT_EQ(sparse_add(context, none.view(), none.view()).num_voxels(), 0);
}

TEST(SparseAdd, ThreadsChangeNothing) {
  Context one({.threads = 1});
  Context many({.threads = 4});
  const Dims shape{40, 50, 60};
  const SparseTensor a = make(one, shape, 5, 20000, DType::kInt8);
  const SparseTensor b = make(one, shape, 6, 15000, DType::kInt8);
  const SparseTensor want = sparse_add(one, a.view(), b.view(), 0.7F, 1.3F, DType::kInt8);
  const SparseTensor got = sparse_add(many, a.view(), b.view(), 0.7F, 1.3F, DType::kInt8);
  check_union(a.view(), b.view(), want.view(), 0.7F, 1.3F);
  ASSERT_EQ(got.num_voxels(), want.num_voxels());
  const auto n = static_cast<std::size_t>(want.num_voxels());
  EXPECT_TRUE(std::equal(want.indices(), want.indices() + 4 * n, got.indices()));
  const auto* values = static_cast<const std::int8_t*>(want.features());
  EXPECT_TRUE(std::equal(values, values + kChannels * n, static_cast<const std::int8_t*>(got.features())));
}

TEST(SparseAdd, RefusesAnInt8ScaleThatIsNone) {
  Context context({.threads = 1});
  const SparseTensor a = make(context, {4, 5, 6}, 1, 10, DType::kFloat32);
  for (const float scale : {0.0F, -1.0F, NAN, INFINITY, 1e-40F}) {
    EXPECT_THROW(sparse_add(context, a.view(), a.view(), 1.0F, 1.0F, DType::kInt8, scale), Error) << scale;
  }
}

TEST(SparseAdd, RefusesBadOperands) {
  Context context({.threads = 1});
  const SparseTensor a = make(context, {4, 5, 6}, 1, 10, DType::kFloat32);
  const SparseTensor other = make(context, {4, 5, 7}, 1, 10, DType::kFloat32);
  const auto text = [&](SparseTensorView b, float factor = 1.0F, DType dtype = DType::kFloat32) {
    try {
      sparse_add(context, a.view(), b, 1.0F, factor, dtype);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("accepted");
  };
  EXPECT_NE(text(other.view()).find("[z 4, y 5, x 7]"), std::string::npos);
  EXPECT_NE(text(a.view(), NAN).find("nan"), std::string::npos);
  EXPECT_NE(text(a.view(), 1.0F, DType::kInt32).find("int32"), std::string::npos);
  SparseTensor bad = make(context, {4, 5, 6}, 4, 10, DType::kFloat32);
  std::copy_n(bad.indices() + 8, 4, bad.indices() + 28);
  EXPECT_NE(text(bad.view()).find("row 7: "), std::string::npos);
  bad.indices()[13] = 4;
  EXPECT_NE(text(bad.view()).find("row 3: "), std::string::npos);
  SparseTensorView fewer = a.view();
  fewer.features.channels = 2;
  EXPECT_NE(text(fewer).find("with 2 channels"), std::string::npos);
  SparseTensorView null = a.view();
  null.features.data = nullptr;
  EXPECT_NE(text(null).find("features"), std::string::npos);
}

}  // namespace
}  // namespace voxgemm
