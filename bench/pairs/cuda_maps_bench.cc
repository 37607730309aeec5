// Times all kernel maps and row orders of the CenterPoint backbone on CUDA: one captured graph, replayed over
// rotating frames of different size, by events. Prints the median and p99 of each frame, and of variants of
// the row orders.
//   voxgemm_cuda_maps_bench [replays]        frames from VOXGEMM_TEST_DATA
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "bench/pairs/frames.h"
#include "core/cuda_device.h"
#include "pairs/pair_network.h"

namespace voxgemm {
namespace {

constexpr std::int32_t kCapacity = 160000;

PairNetwork make_network(Context& context, const Dims& shape, RowOrder subm_order, RowOrder down_order) {
  PairNetwork network(context);
  network.add_input(shape, 1, kCapacity);
  const ConvGeometry subm{.kind = ConvKind::kSubm, .kernel_size = {3, 3, 3}};
  ConvGeometry down{
      .kind = ConvKind::kRegular, .kernel_size = {3, 3, 3}, .stride = {2, 2, 2}, .padding = {1, 1, 1}};
  const PairOptions same{.forms = kPairTable, .order = subm_order};
  const PairOptions made{.forms = kPairTable, .order = down_order, .out_capacity = kCapacity};
  for (std::int32_t level = 0; level < 4; ++level) {
    network.add_map(level, subm, same);
    if (level == 3) break;
    if (level == 2) down.padding = {0, 1, 1};
    network.add_map(level, down, made);
  }
  network.add_map(3, {.kind = ConvKind::kRegular, .kernel_size = {3, 1, 1}, .stride = {2, 1, 1}}, made);
  network.finalize();
  return network;
}

struct DeviceFrame {
  std::string name;
  std::int32_t n = 0;
  Buffer indices;
};

cudaGraphExec_t capture(Context& context, const PairNetwork& network, const Buffer& indices,
                        const Buffer& count, Workspace workspace) {
  auto* stream = static_cast<cudaStream_t>(context.stream());
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
  check(network.run(context, indices.as<std::int32_t>(), 0, count.as<std::int32_t>(), workspace), "run");
  cudaStreamEndCapture(stream, &graph);
  std::size_t nodes = 0;
  cudaGraphGetNodes(graph, nullptr, &nodes);
  std::printf("  %zu graph nodes, workspace %.1f MiB\n", nodes,
              static_cast<double>(workspace.size()) / 1048576.0);
  check(cudaGraphInstantiate(&exec, graph, 0) == cudaSuccess, ErrorCode::kDevice, "cudaGraphInstantiate");
  cudaGraphDestroy(graph);
  return exec;
}

// Kernel maps only depend on the frame, so frames rotate and each frame's replays are timed apart.
void time_network(Context& context, const char* name, RowOrder subm, RowOrder down,
                  std::vector<DeviceFrame>& frames, int replays) {
  std::printf("%s\n", name);
  PairNetwork network = make_network(context, {41, 1440, 1440}, subm, down);
  Buffer bytes(context, network.workspace_bytes());
  const Workspace workspace{bytes.data(), bytes.bytes()};
  check(network.prepare(context, workspace), "prepare");
  Buffer indices(context, std::size_t{kCapacity} * 16);
  Buffer count(context, sizeof(std::int32_t));
  cudaGraphExec_t exec = capture(context, network, indices, count, workspace);
  auto* stream = static_cast<cudaStream_t>(context.stream());
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  cudaEventCreate(&begin);
  cudaEventCreate(&end);
  std::vector<std::vector<float>> times(frames.size());
  for (int r = -20; r < replays; ++r) {
    for (std::size_t f = 0; f < frames.size(); ++f) {
      cudaMemcpyAsync(indices.data(), frames[f].indices.data(), frames[f].indices.bytes(),
                      cudaMemcpyDeviceToDevice, stream);
      cudaMemcpyAsync(count.data(), &frames[f].n, sizeof(std::int32_t), cudaMemcpyHostToDevice, stream);
      cudaEventRecord(begin, stream);
      cudaGraphLaunch(exec, stream);
      cudaEventRecord(end, stream);
      cudaStreamSynchronize(stream);
      float ms = 0.0F;
      cudaEventElapsedTime(&ms, begin, end);
      if (r >= 0) times[f].push_back(ms * 1000.0F);
    }
  }
  check(context.synchronize(), "replay");
  check(network.status(context, workspace), "status");
  for (std::size_t f = 0; f < frames.size(); ++f) {
    std::sort(times[f].begin(), times[f].end());
    const std::size_t n = times[f].size();
    std::printf("  %-28s %7d voxels  median %7.2f us  p99 %7.2f us  min %7.2f us\n", frames[f].name.c_str(),
                frames[f].n, static_cast<double>(times[f][n / 2]),
                static_cast<double>(times[f][n * 99 / 100]), static_cast<double>(times[f][0]));
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  cudaGraphExecDestroy(exec);
}

int run(int replays) {
  if (cuda::device_count() == 0) {
    std::printf("no usable CUDA device on this machine\n");
    return 0;
  }
  Context context(ContextOptions{.device = Device::cuda()});
  std::printf("%s\n", context.describe().c_str());
  std::vector<DeviceFrame> frames;
  for (const bench::Frame& frame : bench::centerpoint_frames()) {
    DeviceFrame on_device{frame.name, static_cast<std::int32_t>(frame.indices.size() / 4),
                          Buffer(context, frame.indices.size() * 4)};
    on_device.indices.upload(context, frame.indices.data(), frame.indices.size() * 4);
    frames.push_back(std::move(on_device));
  }
  time_network(context, "8 maps, pattern key on submanifold maps", RowOrder::kPatternKey, RowOrder::kNone,
               frames, replays);
  time_network(context, "8 maps, no row order", RowOrder::kNone, RowOrder::kNone, frames, replays);
  time_network(context, "8 maps, full mask order on all", RowOrder::kFullMask, RowOrder::kFullMask, frames,
               replays);
  return 0;
}

}  // namespace
}  // namespace voxgemm

int main(int argc, char** argv) {
  try {
    return voxgemm::run(argc > 1 ? std::atoi(argv[1]) : 200);
  } catch (const voxgemm::Error& error) {
    std::printf("%s\n", error.what());
    return 1;
  }
}
