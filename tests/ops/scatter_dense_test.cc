// Proves: every element of the dense array is what the layout's definition says, zero elsewhere, for 1 to 4
// axes, all layouts, every element size, any number of threads and every row of the table, for rows in
// ascending and in any order, and for any alignment of the array; rows outside are reported by number and
// write nothing.
#include "kernels/scatter_dense/scatter_dense.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "tests/ops/matrix.h"
#include "voxgemm/operators.h"

namespace voxgemm {
namespace {

using test::forced;
using test::Matrix;
using test::runnable_rows;

struct Scene {
  Dims shape;
  std::int32_t batch;
  std::int32_t n;
  std::vector<std::int32_t> indices;

  Scene(Dims s, std::int32_t b, std::int32_t rows, unsigned seed, bool ascending = false)
      : shape(s), batch(b), n(rows) {
    std::vector<std::int32_t> keys(static_cast<std::size_t>(shape.product() * batch));
    std::iota(keys.begin(), keys.end(), 0);
    std::shuffle(keys.begin(), keys.end(), std::mt19937(seed));
    if (ascending) std::sort(keys.begin(), keys.begin() + rows);
    for (std::int32_t r = 0; r < n; ++r) {
      std::vector<std::int32_t> row(static_cast<std::size_t>(1 + shape.ndim));
      std::int64_t key = keys[static_cast<std::size_t>(r)];
      for (int a = shape.ndim - 1; a >= 0; --a) {
        row[static_cast<std::size_t>(1 + a)] = static_cast<std::int32_t>(key % shape[a]);
        key /= shape[a];
      }
      row[0] = static_cast<std::int32_t>(key);
      indices.insert(indices.end(), row.begin(), row.end());
    }
  }
};

constexpr std::array kLayouts{DenseLayout::kNCHW, DenseLayout::kNHWC, DenseLayout::kNCHWFoldLast,
                              DenseLayout::kNHWCFoldLast};

// The truth, element by element, through an array indexed [b][c][f][p][q] or [b][p][q][c][f]: f is the cell
// of the folded axes, p and q are those of the plane.
template <typename T>
std::vector<T> expected_dense(const Scene& s, Matrix<T>& features, std::int32_t channels,
                              DenseLayout layout) {
  const int n = s.shape.ndim;
  const bool channels_last = layout == DenseLayout::kNHWC || layout == DenseLayout::kNHWCFoldLast;
  const bool fold_last = layout == DenseLayout::kNCHWFoldLast || layout == DenseLayout::kNHWCFoldLast;
  const int p_axis = n == 1 ? -1 : fold_last ? 0 : n - 2;
  const int q_axis = fold_last && n > 1 ? 1 : n - 1;
  const std::int64_t q_size = s.shape[q_axis];
  const std::int64_t p_size = p_axis >= 0 ? s.shape[p_axis] : 1;
  const std::int64_t f_size = s.shape.product() / (q_size * p_size);
  std::vector<T> out(static_cast<std::size_t>(dense_elements(s.shape, s.batch, channels)), T{});
  for (std::int32_t r = 0; r < s.n; ++r) {
    const std::int32_t* row = s.indices.data() + r * (1 + n);
    const std::int64_t q = row[1 + q_axis];
    const std::int64_t p = p_axis >= 0 ? row[1 + p_axis] : 0;
    std::int64_t f = 0;
    for (int axis = 0; axis < n; ++axis) {
      if (axis != p_axis && axis != q_axis) f = f * s.shape[axis] + row[1 + axis];
    }
    for (std::int64_t c = 0; c < channels; ++c) {
      const std::int64_t folded = c * f_size + f;
      const std::int64_t at = channels_last
                                  ? ((row[0] * p_size + p) * q_size + q) * channels * f_size + folded
                                  : ((row[0] * channels * f_size + folded) * p_size + p) * q_size + q;
      out[static_cast<std::size_t>(at)] = features.at(r, c);
    }
  }
  return out;
}

template <typename T>
void check_scene(const Scene& s, std::int32_t channels) {
  Matrix<T> features(s.n, channels, channels + 2);
  std::mt19937 random(3);
  for (std::int64_t r = 0; r < s.n; ++r) {
    for (std::int64_t c = 0; c < channels; ++c) {
      const auto bits = random();
      std::memcpy(static_cast<void*>(&features.at(r, c)), &bits, sizeof(T));
    }
  }
  const SparseTensorView tensor{s.indices.data(), features.view(), s.shape, s.batch, s.n, s.n, nullptr};
  for (const std::string& name : runnable_rows(scatter_dense_kernels())) {
    for (const int threads : {1, 2, 5}) {
      Context context = forced(name, threads);
      for (const DenseLayout layout : kLayouts) {
        const auto truth = expected_dense(s, features, channels, layout);
        Matrix<T> out(1, static_cast<std::int32_t>(truth.size()), static_cast<std::int64_t>(truth.size()));
        ASSERT_TRUE(scatter_dense(context, tensor, layout, out.data()).ok());
        ASSERT_EQ(std::memcmp(out.data(), truth.data(), truth.size() * sizeof(T)), 0)
            << name << " layout " << static_cast<int>(layout) << " " << to_string(s.shape) << " channels "
            << channels << " threads " << threads;
        EXPECT_TRUE(out.untouched_from(static_cast<std::int64_t>(truth.size())));
      }
    }
  }
}

TEST(ScatterDense, MatchesTheDefinition) {
  for (const std::int32_t channels : {1, 3, 16, 33, 64, 100}) {
    for (const Scene& s :
         {Scene({37}, 2, 20, 1), Scene({9, 11}, 3, 100, 2), Scene({3, 8, 10}, 2, 200, 3),
          Scene({2, 3, 4, 5}, 2, 77, 4), Scene({1, 6, 6}, 1, 36, 5), Scene({2, 5, 7}, 1, 0, 6)}) {
      check_scene<std::int8_t>(s, channels);
      check_scene<Half>(s, channels);
      check_scene<float>(s, channels);
    }
  }
}

TEST(ScatterDense, LargeSceneOnSeveralThreads) {
  check_scene<std::int8_t>(Scene({2, 96, 100}, 2, 9000, 7), 64);
  check_scene<float>(Scene({2, 96, 100}, 2, 9000, 7), 32);
  check_scene<float>(Scene({2, 96, 100}, 2, 9000, 7, true), 32);
  check_scene<std::int8_t>(Scene({2, 96, 100}, 2, 9000, 7, true), 120);
  check_scene<float>(Scene({96, 100, 2}, 2, 9000, 7, true), 32);
  check_scene<float>(Scene({96, 10, 4, 5}, 2, 9000, 7, true), 32);
}

void check_any_alignment(const ScatterDenseKernel& row, const Scene& s, bool fold_last) {
  const std::int32_t channels = 19;
  Matrix<float> features(s.n, channels, channels + 2);
  for (std::int64_t i = 0; i < s.n * channels; ++i) {
    features.at(i / channels, i % channels) = static_cast<float>(i + 1);
  }
  const std::vector<float> truth =
      expected_dense(s, features, channels, fold_last ? DenseLayout::kNCHWFoldLast : DenseLayout::kNCHW);
  for (std::size_t shift = 0; shift < 16; ++shift) {
    std::vector<float> out(truth.size() + 32, -1.0F);
    const ScatterDenseArgs args{.fold_last = fold_last,
                                .element_bytes = 4,
                                .ndim = s.shape.ndim,
                                .spatial_shape = s.shape,
                                .batch_size = s.batch,
                                .channels = channels,
                                .indices = s.indices.data(),
                                .features = features.data(),
                                .stride = channels + 2,
                                .out = out.data() + shift,
                                .rows = s.n};
    const std::int64_t strips = row.ordered_strips(args);
    ASSERT_GT(strips, 0);
    row.run_ordered(args, {strips / 2, strips});
    row.run_ordered(args, {0, strips / 2});
    const auto begin = out.begin() + static_cast<std::ptrdiff_t>(shift);
    const auto end = begin + static_cast<std::ptrdiff_t>(truth.size());
    ASSERT_TRUE(std::equal(begin, end, truth.begin())) << to_string(s.shape) << " shift " << shift;
    const auto untouched = [](float v) { return v == -1.0F; };
    ASSERT_TRUE(std::all_of(out.begin(), begin, untouched) && std::all_of(end, out.end(), untouched));
  }
}

// Rows that stream, called for every place that an array can have in a line of 64 bytes.
TEST(ScatterDense, OrderedRowsAtAnyAlignment) {
  for (const ScatterDenseKernel& row : scatter_dense_kernels()) {
    if (row.run_ordered == nullptr || !Context({.threads = 1}).supports(row.isa)) continue;
    for (const Scene& s : {Scene({3, 8, 10}, 2, 200, 3, true), Scene({64}, 2, 60, 4, true),
                           Scene({2, 2, 4, 60}, 1, 333, 5, true), Scene({40, 32}, 1, 0, 6, true),
                           Scene({8, 10, 3}, 2, 240, 7, true), Scene({4, 36, 2, 5}, 2, 1100, 8, true)}) {
      for (const bool fold_last : {false, true}) {
        const std::int64_t plane = std::int64_t{s.shape[0]} * (s.shape.ndim > 1 ? s.shape[1] : 1);
        if (fold_last && plane % 16 != 0) continue;
        check_any_alignment(row, s, fold_last);
      }
    }
  }
}

TEST(ScatterDense, NamesTheFirstRowOutside) {
  const Scene good({3, 4, 5}, 2, 60, 8);
  Matrix<std::int8_t> features(60, 2, 2);
  for (const auto& [row, column, value] :
       {std::array{40, 0, 2}, std::array{40, 0, -1}, std::array{40, 1, 3}, std::array{40, 2, 4},
        std::array{40, 3, -5}, std::array{40, 3, 5}}) {
    Scene bad = good;
    bad.indices[static_cast<std::size_t>(4 * row + column)] = value;
    bad.indices[4 * 55] = 99;
    for (const int threads : {1, 2}) {
      Context context({.threads = threads});
      const SparseTensorView tensor{bad.indices.data(), features.view(), bad.shape, 2, 60, 60, nullptr};
      Matrix<std::int8_t> out(1, 240, 240);
      const Status status = scatter_dense(context, tensor, DenseLayout::kNCHW, out.data());
      EXPECT_EQ(status.code, ErrorCode::kOutOfRange);
      EXPECT_EQ(status.value, 40);
      EXPECT_TRUE(out.untouched_from(240));
    }
  }
}

TEST(ScatterDense, RefusesViewsThatDoNotFit) {
  Context context({.threads = 1});
  const Scene s({3, 4}, 1, 5, 9);
  Matrix<float> features(5, 2, 2);
  std::vector<float> out(24);
  const SparseTensorView good{s.indices.data(), features.view(), s.shape, 1, 5, 5, nullptr};
  const auto code = [&](auto change) {
    SparseTensorView v = good;
    change(v);
    return scatter_dense(context, v, DenseLayout::kNHWC, out.data()).code;
  };
  EXPECT_EQ(code([](auto&) {}), ErrorCode::kOk);
  EXPECT_EQ(code([](auto& v) { v.spatial_shape = {}; }), ErrorCode::kShape);
  EXPECT_EQ(code([](auto& v) { v.spatial_shape = {3, 0}; }), ErrorCode::kShape);
  EXPECT_EQ(code([](auto& v) { v.batch_size = 0; }), ErrorCode::kShape);
  EXPECT_EQ(code([](auto& v) { v.features.stride = 1; }), ErrorCode::kShape);
  EXPECT_EQ(code([](auto& v) { v.indices = nullptr; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([](auto& v) { v.num_voxels = -1; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(scatter_dense(context, good, DenseLayout::kNHWC, nullptr).code, ErrorCode::kInvalidArgument);
}

TEST(DenseElements, RefusesWhatDoesNotFitInt64) {
  EXPECT_EQ(dense_elements({41, 1440, 1440}, 2, 128), std::int64_t{41} * 1440 * 1440 * 2 * 128);
  EXPECT_EQ(dense_elements({0, 5}, 2, 3), 0);
  const Dims huge = Dims::filled(3, 2000000000);
  EXPECT_THROW(dense_elements(huge, 100, 400), Error);
  EXPECT_THROW(dense_elements({-1, 5}, 2, 3), Error);
  Context context({.threads = 1});
  SparseTensorView view;
  view.features.channels = 400;
  view.features.stride = 400;
  view.spatial_shape = huge;
  float out = 0.0F;
  EXPECT_EQ(scatter_dense(context, view, DenseLayout::kNCHW, &out).code, ErrorCode::kShape);
}

}  // namespace
}  // namespace voxgemm
