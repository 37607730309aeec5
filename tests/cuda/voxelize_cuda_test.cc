// Proves: the voxeliser gives on CUDA the rows, means, ids, padded points and counts that it gives on the
// CPU, byte for byte: float32 and float16, batches, both caps, broken points, borders, empty clouds, crowded
// cells and real sweeps; a captured run replays on new points, so it neither synchronises nor allocates.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <random>

#include "tests/cuda/cuda_support.h"
#include "tests/cuda/voxelize_support.h"
#include "tests/support/test_data.h"
#include "voxgemm/voxelize.h"

namespace voxgemm {
namespace {

using test::CudaTest;
using test::DeviceVoxels;
using test::expect_equal;
using test::small_grid;
using Bytes = std::vector<std::byte>;

struct Cloud {
  DType dtype = DType::kFloat32;
  std::int64_t n = 0;
  std::int32_t columns = 4;
  std::int64_t stride = 4;
  Bytes bytes;

  [[nodiscard]] PointsView view(const void* data) const { return {data, dtype, n, columns, stride}; }
};

Cloud random_cloud(std::mt19937& rng, DType dtype, std::int64_t n, std::int32_t columns, std::int64_t stride,
                   float spread) {
  std::normal_distribution<float> normal(0.0F, spread);
  Cloud cloud{dtype, n, columns, stride, Bytes(static_cast<std::size_t>(n * stride) * size_of(dtype) + 4)};
  for (std::int64_t i = 0; i < n * stride; ++i) {
    float v = normal(rng);
    switch (rng() % 200) {
      case 0:
        v = std::numeric_limits<float>::quiet_NaN();
        break;
      case 1:
        v = std::numeric_limits<float>::infinity();
        break;
      case 2:
        v = -4.0F;
        break;
      case 3:
        v = -0.0F;
        break;
      case 4:
        v = -4.0F + 0.1F * static_cast<float>(rng() % 90);
        break;
      default:
        break;
    }
    test::put_float(dtype, v, cloud.bytes, static_cast<std::size_t>(i));
  }
  return cloud;
}

void run_both(DeviceVoxels& cpu, DeviceVoxels& gpu, const std::vector<Cloud>& clouds) {
  std::vector<PointsView> host;
  std::vector<PointsView> device;
  std::vector<Buffer> buffers;
  std::int64_t points = 0;
  for (const Cloud& cloud : clouds) {
    host.push_back(cloud.view(cloud.bytes.data()));
    buffers.push_back(test::upload(gpu.context(), cloud.bytes));
    device.push_back(cloud.view(buffers.back().data()));
    points += cloud.n;
  }
  const Status a = cpu.enqueue(host);
  ASSERT_TRUE(a.ok()) << to_string(a);
  const Status b = gpu.enqueue(device);
  ASSERT_TRUE(b.ok()) << to_string(b);
  ASSERT_TRUE(gpu.context().synchronize().ok());
  expect_equal(cpu.fetch(points, clouds.size()), gpu.fetch(points, clouds.size()));
}

using VoxelizeCuda = CudaTest;

TEST_F(VoxelizeCuda, EqualsCpu) {
  std::mt19937 rng(11);
  for (const std::int32_t max_voxels : {50000, 700, 1}) {
    for (const std::int32_t max_points : {1, 5, 40}) {
      for (const DType dtype : {DType::kFloat32, DType::kFloat16}) {
        const VoxelGrid grid = small_grid(max_voxels, max_points);
        DeviceVoxels cpu(Context({.threads = 1}), grid, 5, 20000, 3);
        DeviceVoxels gpu(test::cuda_context(), grid, 5, 20000, 3);
        const auto cloud = [&](std::int64_t n, float spread) {
          return random_cloud(rng, dtype, n, 5, 7, spread);
        };
        run_both(cpu, gpu, {cloud(20000, 1.0F), cloud(0, 1.0F), cloud(7001, 0.05F)});
        run_both(cpu, gpu, {cloud(1, 0.2F)});
        run_both(cpu, gpu, {cloud(0, 1.0F)});
        run_both(cpu, gpu, {cloud(5000, 100.0F), cloud(3000, 0.5F)});
        if (HasFailure()) return;
      }
    }
  }
}

// Cells of more than 31 bits, and a single crowded cell.
TEST_F(VoxelizeCuda, WideCellsAndCrowdedCells) {
  std::mt19937 rng(12);
  VoxelGrid grid = small_grid(30000, 3);
  grid.voxel_size_xyz = {0.0005F, 0.0005F, 0.0001F};
  DeviceVoxels cpu(Context({.threads = 1}), grid, 4, 30000, 1);
  DeviceVoxels gpu(test::cuda_context(), grid, 4, 30000, 1);
  run_both(cpu, gpu, {random_cloud(rng, DType::kFloat32, 30000, 4, 4, 0.4F)});
  const VoxelGrid one = small_grid(10, 100);
  DeviceVoxels cpu_one(Context({.threads = 1}), one, 4, 30000, 1);
  DeviceVoxels gpu_one(test::cuda_context(), one, 4, 30000, 1);
  run_both(cpu_one, gpu_one, {random_cloud(rng, DType::kFloat32, 30000, 4, 4, 1e-4F)});
}

struct Sweep {
  const char* file;
  std::int32_t columns;
  bool half;
};

TEST_F(VoxelizeCuda, RealSweepsEqualCpu) {
  if (test::test_data().empty()) GTEST_SKIP() << "VOXGEMM_TEST_DATA is not set";
  const VoxelGrid grid{.min_xyz = {-54.0F, -54.0F, -5.0F},
                       .max_xyz = {54.0F, 54.0F, 3.0F},
                       .voxel_size_xyz = {0.075F, 0.075F, 0.2F},
                       .max_voxels = 160000,
                       .max_points_per_voxel = 10};
  for (const Sweep& sweep : {Sweep{"nuscenes_hdl32/nuscenes_10sweeps_ff9eff43.f16.bin", 5, true},
                             {"kitti_hdl64/kitti_object_train_000001.bin", 4, false},
                             {"argoverse_2xvlp32c/argoverse1_315971347819783000.bin", 5, false}}) {
    SCOPED_TRACE(sweep.file);
    Cloud cloud{sweep.half ? DType::kFloat16 : DType::kFloat32, 0, sweep.columns, sweep.columns, {}};
    if (sweep.half) {
      const auto raw = test::read_raw<std::uint16_t>(test::test_data() / sweep.file);
      cloud.bytes.resize(raw.size() * 2);
      std::memcpy(cloud.bytes.data(), raw.data(), cloud.bytes.size());
    } else {
      const auto raw = test::read_raw<float>(test::test_data() / sweep.file);
      cloud.bytes.resize(raw.size() * 4);
      std::memcpy(cloud.bytes.data(), raw.data(), cloud.bytes.size());
    }
    cloud.n = static_cast<std::int64_t>(cloud.bytes.size() / size_of(cloud.dtype)) / sweep.columns;
    DeviceVoxels cpu(Context({.threads = 2}), grid, sweep.columns, cloud.n, 1);
    DeviceVoxels gpu(test::cuda_context(), grid, sweep.columns, cloud.n, 1);
    run_both(cpu, gpu, {cloud});
  }
}

TEST_F(VoxelizeCuda, CapturedRunReplaysOnNewPoints) {
  std::mt19937 rng(13);
  const VoxelGrid grid = small_grid(3000, 4);
  DeviceVoxels cpu(Context({.threads = 1}), grid, 4, 10000, 1);
  DeviceVoxels gpu(test::cuda_context(), grid, 4, 10000, 1);
  Cloud cloud = random_cloud(rng, DType::kFloat32, 10000, 4, 4, 1.0F);
  Buffer points = test::upload(gpu.context(), cloud.bytes);
  const std::vector<PointsView> device{cloud.view(points.data())};
  test::CapturedGraph graph(gpu.context(), [&] { EXPECT_TRUE(gpu.enqueue(device).ok()); });
  for (const float spread : {1.0F, 0.01F, 3.0F, 50.0F, 0.5F}) {
    cloud = random_cloud(rng, DType::kFloat32, 10000, 4, 4, spread);
    points.upload(gpu.context(), cloud.bytes.data(), cloud.bytes.size());
    graph.replay();
    const std::vector<PointsView> host{cloud.view(cloud.bytes.data())};
    ASSERT_TRUE(cpu.enqueue(host).ok());
    expect_equal(cpu.fetch(cloud.n, 1), gpu.fetch(cloud.n, 1));
  }
}

}  // namespace
}  // namespace voxgemm
