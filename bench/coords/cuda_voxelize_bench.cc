// Times the voxeliser on CUDA: one captured graph on ten accumulated sweeps (271,156 points, 0.075 m),
// replayed over rotating copies of the points, by events. Prints median, p99 and the voxels made.
//   voxgemm_cuda_voxelize_bench [replays]        points from VOXGEMM_TEST_DATA
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "core/cuda_device.h"
#include "tests/support/test_data.h"
#include "voxgemm/voxelize.h"

namespace voxgemm {
namespace {

constexpr std::int32_t kColumns = 5;
constexpr std::size_t kCopies = 4;  // more bytes than one replay leaves in cache

VoxelGrid nuscenes_grid() {
  return {.min_xyz = {-54.0F, -54.0F, -5.0F},
          .max_xyz = {54.0F, 54.0F, 3.0F},
          .voxel_size_xyz = {0.075F, 0.075F, 0.2F},
          .max_voxels = 160000,
          .max_points_per_voxel = 10};
}

int run(int replays) {
  if (cuda::device_count() == 0) {
    std::printf("no usable CUDA device on this machine\n");
    return 0;
  }
  if (test::test_data().empty()) {
    std::printf("VOXGEMM_TEST_DATA is not set\n");
    return 0;
  }
  Context context(ContextOptions{.device = Device::cuda()});
  const auto points = test::read_raw<std::uint16_t>(test::test_data() / "nuscenes_hdl32" /
                                                    "nuscenes_10sweeps_ff9eff43.f16.bin");
  const auto n = static_cast<std::int64_t>(points.size()) / kColumns;
  const VoxelGrid grid = nuscenes_grid();
  const Voxelizer voxelizer(context, grid, kColumns, n);
  Buffer workspace(context, voxelizer.workspace_bytes());
  Buffer indices(context, static_cast<std::size_t>(grid.max_voxels) * 16);
  Buffer features(context, static_cast<std::size_t>(grid.max_voxels) * kColumns * 4);
  Buffer count(context, sizeof(std::int32_t));
  auto* stream = static_cast<cudaStream_t>(context.stream());
  std::vector<Buffer> copies;
  std::vector<cudaGraphExec_t> graphs;
  for (std::size_t c = 0; c < kCopies; ++c) {
    copies.emplace_back(context, points.size() * 2);
    copies.back().upload(context, points.data(), points.size() * 2);
    const PointsView cloud{copies.back().data(), DType::kFloat16, n, kColumns, kColumns};
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
    check(voxelizer.run(context, {&cloud, 1}, indices.as<std::int32_t>(), features.as<float>(), kColumns,
                        count.as<std::int32_t>(), nullptr, {workspace.data(), workspace.bytes()}),
          "run");
    cudaStreamEndCapture(stream, &graph);
    check(cudaGraphInstantiate(&exec, graph, 0) == cudaSuccess, ErrorCode::kDevice, "cudaGraphInstantiate");
    graphs.push_back(exec);
    cudaGraphDestroy(graph);
  }
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  cudaEventCreate(&begin);
  cudaEventCreate(&end);
  std::vector<float> times;
  for (int r = -20; r < replays; ++r) {
    cudaEventRecord(begin, stream);
    cudaGraphLaunch(graphs[static_cast<std::size_t>(r + 20) % kCopies], stream);
    cudaEventRecord(end, stream);
    cudaStreamSynchronize(stream);
    float ms = 0.0F;
    cudaEventElapsedTime(&ms, begin, end);
    if (r >= 0) times.push_back(ms * 1000.0F);
  }
  check(context.synchronize(), "replay");
  std::int32_t voxels = 0;
  count.download(context, &voxels, sizeof voxels);
  std::sort(times.begin(), times.end());
  std::printf("%s\nvoxelise %lld points -> %d voxels: median %.2f us, p99 %.2f us, workspace %.1f MiB\n",
              context.describe().c_str(), static_cast<long long>(n), voxels,
              static_cast<double>(times[times.size() / 2]),
              static_cast<double>(times[times.size() * 99 / 100]),
              static_cast<double>(workspace.bytes()) / 1048576.0);
  for (cudaGraphExec_t exec : graphs) cudaGraphExecDestroy(exec);
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return 0;
}

}  // namespace
}  // namespace voxgemm

int main(int argc, char** argv) {
  try {
    return voxgemm::run(argc > 1 ? std::max(1, std::atoi(argv[1])) : 200);
  } catch (const voxgemm::Error& error) {
    std::printf("%s\n", error.what());
    return 1;
  }
}
