// Proves: points in records give on CUDA the rows, means, ids, padded points and counts of the CPU, byte for
// byte: every type of field, steps and addresses at any alignment, beside rows in a batch, from host memory
// in one call; a captured run replays on new records and keeps no pointer to the fields.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "tests/coords/point_layouts.h"
#include "tests/cuda/cuda_support.h"
#include "tests/cuda/voxelize_support.h"
#include "voxgemm/voxelize.h"

namespace voxgemm {
namespace {

using test::CudaTest;
using test::DeviceVoxels;
using test::expect_equal;
using test::point_layouts;
using test::PointLayout;
using test::PointRecordBuffer;
using test::random_records;
using test::small_grid;

using PointRecordsCuda = CudaTest;

void run_both(DeviceVoxels& cpu, DeviceVoxels& gpu, const std::vector<PointRecordBuffer>& clouds) {
  std::vector<PointsView> host;
  std::vector<PointsView> device;
  std::vector<Buffer> buffers;
  std::int64_t points = 0;
  for (const PointRecordBuffer& cloud : clouds) {
    host.push_back(cloud.view());
    buffers.push_back(test::upload(gpu.context(), cloud.bytes));
    device.push_back(cloud.view(buffers.back().data()));
    points += cloud.count;
  }
  const Status a = cpu.enqueue(host);
  ASSERT_TRUE(a.ok()) << to_string(a);
  const Status b = gpu.enqueue(device);
  ASSERT_TRUE(b.ok()) << to_string(b);
  ASSERT_TRUE(gpu.context().synchronize().ok());
  expect_equal(cpu.fetch(points, clouds.size()), gpu.fetch(points, clouds.size()));
}

TEST_F(PointRecordsCuda, EqualCpu) {
  std::mt19937 rng(21);
  for (const PointLayout& layout : point_layouts()) {
    SCOPED_TRACE(layout.name);
    for (const std::int32_t max_voxels : {30000, 300}) {
      const VoxelGrid grid = small_grid(max_voxels, 4);
      DeviceVoxels cpu(Context({.threads = 1}), grid, layout.columns(), 20000, 3);
      DeviceVoxels gpu(test::cuda_context(), grid, layout.columns(), 20000, 3);
      for (const std::int64_t shift : {0, 1, 2, 4}) {
        run_both(cpu, gpu,
                 {random_records(rng, layout, 20000, shift), random_records(rng, layout, 0, shift),
                  random_records(rng, layout, 777, shift)});
        if (HasFailure()) return;
      }
    }
  }
}

TEST_F(PointRecordsCuda, LieBesideRowsInABatch) {
  std::mt19937 rng(22);
  std::vector<PointRecordBuffer> clouds;
  for (const PointLayout& layout : point_layouts()) {
    if (layout.columns() == 4) clouds.push_back(random_records(rng, layout, 3000, 1));
  }
  ASSERT_GE(clouds.size(), 3U);
  const std::vector<float> rows = clouds[0].rows();
  const auto batch = static_cast<std::int32_t>(clouds.size()) + 1;
  const VoxelGrid grid = small_grid(3000, 4);
  DeviceVoxels cpu(Context({.threads = 1}), grid, 4, 3000, batch);
  DeviceVoxels gpu(test::cuda_context(), grid, 4, 3000, batch);
  std::vector<Buffer> buffers;
  std::vector<PointsView> host;
  std::vector<PointsView> device;
  for (const PointRecordBuffer& cloud : clouds) {
    host.push_back(cloud.view());
    buffers.push_back(test::upload(gpu.context(), cloud.bytes));
    device.push_back(cloud.view(buffers.back().data()));
  }
  buffers.push_back(test::upload(gpu.context(), rows));
  host.push_back({rows.data(), DType::kFloat32, 3000, 4});
  device.push_back({buffers.back().data(), DType::kFloat32, 3000, 4});
  ASSERT_TRUE(cpu.enqueue(host).ok());
  ASSERT_TRUE(gpu.enqueue(device).ok());
  ASSERT_TRUE(gpu.context().synchronize().ok());
  const std::int64_t points = 3000 * static_cast<std::int64_t>(host.size());
  expect_equal(cpu.fetch(points, host.size()), gpu.fetch(points, host.size()));
}

TEST_F(PointRecordsCuda, OneCallTakesThemFromHostMemory) {
  std::mt19937 rng(23);
  const VoxelGrid grid = small_grid(30000, 4);
  for (const PointLayout& layout : point_layouts()) {
    SCOPED_TRACE(layout.name);
    const PointRecordBuffer records = random_records(rng, layout, 5000, 3);
    const PointsView view = records.view();
    Context cpu({.threads = 1});
    Context gpu = test::cuda_context();
    SparseTensor truth(cpu, grid.grid_zyx(), 1, grid.max_voxels, layout.columns(), DType::kFloat32);
    SparseTensor got(gpu, grid.grid_zyx(), 1, grid.max_voxels, layout.columns(), DType::kFloat32);
    voxelize(cpu, {&view, 1}, grid, truth);
    voxelize(gpu, {&view, 1}, grid, got);
    ASSERT_EQ(truth.num_voxels(), got.num_voxels());
    const auto n = static_cast<std::size_t>(truth.num_voxels());
    const auto indices = test::download(gpu, got.indices(), 4 * n);
    EXPECT_TRUE(std::equal(indices.begin(), indices.end(), truth.indices()));
    const std::size_t floats = n * static_cast<std::size_t>(layout.columns());
    const auto features = test::download(gpu, static_cast<const float*>(got.features()), floats);
    EXPECT_EQ(std::memcmp(features.data(), truth.features(), floats * sizeof(float)), 0);
  }
}

TEST_F(PointRecordsCuda, CapturedRunReplaysOnNewRecords) {
  std::mt19937 rng(24);
  const PointLayout layout = point_layouts()[0];
  const VoxelGrid grid = small_grid(3000, 4);
  DeviceVoxels cpu(Context({.threads = 1}), grid, layout.columns(), 10000, 1);
  DeviceVoxels gpu(test::cuda_context(), grid, layout.columns(), 10000, 1);
  PointRecordBuffer records = random_records(rng, layout, 10000, 1);
  Buffer points = test::upload(gpu.context(), records.bytes);
  std::vector<PointField> fields = layout.fields;
  PointsView device = records.view(points.data());
  device.fields = fields;
  test::CapturedGraph graph(gpu.context(), [&] { EXPECT_TRUE(gpu.enqueue({&device, 1}).ok()); });
  fields.assign(fields.size(), PointField{});
  for (int round = 0; round < 4; ++round) {
    records = random_records(rng, layout, 10000, 1);
    points.upload(gpu.context(), records.bytes.data(), records.bytes.size());
    graph.replay();
    const PointsView host = records.view();
    ASSERT_TRUE(cpu.enqueue({&host, 1}).ok());
    expect_equal(cpu.fetch(10000, 1), gpu.fetch(10000, 1));
  }
}

}  // namespace
}  // namespace voxgemm
