// Proves: the operators and a planned Voxelizer allocate nothing when they run (one thread: what a scheduler
// allocates is its own).
#include <gtest/gtest.h>

#include <vector>

#include "tests/ops/matrix.h"
#include "tests/support/counted_new.h"
#include "voxgemm/operators.h"
#include "voxgemm/voxelize.h"

namespace voxgemm {
namespace {

using test::Matrix;

template <typename Fn>
long allocations_of(Fn fn) {
  return test::allocations_of([&] { EXPECT_TRUE(fn().ok()); });
}

TEST(NoAllocation, TheCounterCounts) {
#if !VOXGEMM_COUNTS_NEW
  GTEST_SKIP() << "operator new belongs to the sanitizer";
#endif
  EXPECT_GT(allocations_of([] {
              const std::vector<int> some(1000, 1);
              return Status{.code = some[999] == 1 ? ErrorCode::kOk : ErrorCode::kShape};
            }),
            0);
}

TEST(NoAllocation, Operators) {
  Context context({.threads = 1});
  Matrix<float> floats(700, 40, 40);
  Matrix<std::int8_t> a(700, 40, 48);
  Matrix<std::int8_t> b(700, 40, 48);
  fill(floats, floats.view(), 1);
  fill(a, a.view(), 2);
  std::vector<std::int32_t> pairs(3 * 700, -1);
  std::vector<std::int32_t> indices(700 * 2);
  for (std::size_t i = 0; i < 700; ++i) pairs[i] = indices[2 * i + 1] = static_cast<std::int32_t>(i);
  const IndicePairsView map{
      .kv = 3, .n_in = 700, .num_out = 700, .pair_stride = 700, .pair_fwd = pairs.data()};
  const SparseTensorView tensor{indices.data(), a.view(), {700}, 1, 700, 700, nullptr};
  Matrix<std::int8_t> dense(700, 40, 40);
  Matrix<std::int8_t> pooled(1, 40, 40);
  Matrix<std::int8_t> wide(700, 80, 80);
  const std::vector<FeatureView> inputs{a.view(), b.view()};
  EXPECT_EQ(allocations_of([&] { return quantize(context, floats.view(), 0.1F, b.span()); }), 0);
  EXPECT_EQ(allocations_of([&] { return requantize(context, a.view(), 0.1F, 0.2F, b.span()); }), 0);
  EXPECT_EQ(allocations_of([&] { return dequantize(context, a.view(), 0.1F, floats.span()); }), 0);
  EXPECT_EQ(
      allocations_of([&] { return add(context, a.view(), b.view(), 1, 1, Activation::kReLU, b.span()); }), 0);
  EXPECT_EQ(allocations_of([&] { return relu(context, a.view(), b.span()); }), 0);
  EXPECT_EQ(allocations_of([&] { return concat(context, inputs, wide.span()); }), 0);
  EXPECT_EQ(allocations_of([&] { return pool(context, map, a.view(), {}, b.span()); }), 0);
  EXPECT_EQ(allocations_of([&] { return global_pool(context, tensor, PoolKind::kAverage, pooled.span()); }),
            0);
  EXPECT_EQ(allocations_of([&] { return scatter_dense(context, tensor, DenseLayout::kNCHW, dense.data()); }),
            0);
}

TEST(NoAllocation, Voxelizer) {
  Context context({.threads = 1});
  const VoxelGrid grid{.min_xyz = {-4, -4, -4},
                       .max_xyz = {4, 4, 4},
                       .voxel_size_xyz = {0.5F, 0.5F, 0.5F},
                       .max_voxels = 5000,
                       .max_points_per_voxel = 3};
  Matrix<float> points(3000, 4, 4);
  fill(points, points.view(), 3, 2.0F);
  const Voxelizer voxelizer(context, grid, 4, 3000);
  const Buffer workspace(context, voxelizer.workspace_bytes());
  std::vector<std::int32_t> indices(4 * 5000);
  std::vector<float> features(4 * 5000);
  std::int32_t num_voxels = 0;
  const PointsView cloud{points.data(), DType::kFloat32, 3000, 4, 0};
  EXPECT_EQ(allocations_of([&] {
              return voxelizer.run(context, {&cloud, 1}, indices.data(), features.data(), 4, &num_voxels,
                                   nullptr, {workspace.data(), workspace.bytes()});
            }),
            0);
  EXPECT_GT(num_voxels, 100);
}

}  // namespace
}  // namespace voxgemm
