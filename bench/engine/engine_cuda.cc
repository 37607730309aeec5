// Times the whole int8 (or float16) CenterPoint engine on a CUDA device: voxels in, dense array out, one
// graph launch.
//
//   voxgemm_bench_engine_cuda <data folder> [float16]
//
// Prints the median and 99th percentile of 500 replays of one frame, the graph's nodes, the memory, and the
// times of the parts by events around every step (which keeps steps from overlapping, so their sum exceeds
// the graph's time).
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "tests/support/test_data.h"
#include "voxgemm/backbones.h"
#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"
#include "voxgemm/network.h"
#include "voxgemm/profile.h"

namespace voxgemm {
namespace {

constexpr int kReplays = 500;

/// Events around every step.
class EventClock final : public StepListener {
 public:
  explicit EventClock(std::size_t steps) : events_(2 * steps) {
    for (cudaEvent_t& e : events_) cudaEventCreate(&e);
  }
  ~EventClock() override {
    for (cudaEvent_t& e : events_) cudaEventDestroy(e);
  }
  EventClock(const EventClock&) = delete;
  EventClock& operator=(const EventClock&) = delete;
  void step_begin(Context& context, std::int32_t step) noexcept override { record(context, 2 * step); }
  void step_end(Context& context, std::int32_t step, std::int64_t) noexcept override {
    record(context, 2 * step + 1);
  }
  [[nodiscard]] double microseconds(std::size_t step) const {
    float ms = 0;
    cudaEventElapsedTime(&ms, events_[2 * step], events_[2 * step + 1]);
    return ms * 1e3;
  }

 private:
  void record(Context& context, std::int32_t event) noexcept {
    cudaEventRecord(events_[static_cast<std::size_t>(event)], static_cast<cudaStream_t>(context.stream()));
  }
  std::vector<cudaEvent_t> events_;
};

/// Input, workspace and output of one engine on the device.
struct Frames {
  Frames(Context& context, const Engine& engine, const Frame& frame)
      : workspace(context, engine.workspace_bytes()),
        indices(context, static_cast<std::size_t>(engine.input_capacity()) * 16),
        features(context, static_cast<std::size_t>(engine.input_capacity() * engine.input_channels()) * 4),
        count(context, 4) {
    const OutputInfo& info = engine.outputs()[0];
    output =
        Buffer(context,
               static_cast<std::size_t>(dense_elements(info.spatial_shape, info.batch_size, info.channels)) *
                   size_of(info.dtype));
    indices.upload(context, frame.indices.data(), frame.indices.size() * 4);
    features.upload(context, frame.features.data(), frame.features.size() * 4);
    count.upload(context, &frame.num_voxels, 4);
    binding.features = output.data();
    view.indices = indices.as<std::int32_t>();
    view.spatial_shape = engine.input_shape();
    view.batch_size = engine.input_batch_size();
    view.capacity = view.num_voxels = engine.input_capacity();
    view.device_num_voxels = count.as<std::int32_t>();
    view.features = {features.data(), DType::kFloat32, view.capacity, engine.input_channels(),
                     engine.input_channels()};
    check(engine.prepare(context, memory()), "prepare");
  }
  [[nodiscard]] Workspace memory() const { return {workspace.data(), workspace.bytes()}; }

  Buffer workspace;
  Buffer indices;
  Buffer features;
  Buffer count;
  Buffer output;
  OutputBinding binding{};
  SparseTensorView view{};
};

void print_graph(Context& context, const Engine& engine, const Frames& f) {
  auto stream = static_cast<cudaStream_t>(context.stream());
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
  const Status status = engine.enqueue(context, f.view, {&f.binding, 1}, f.memory());
  check(cudaStreamEndCapture(stream, &graph) == cudaSuccess, ErrorCode::kDevice, "capture failed");
  check(status, "enqueue");
  check(cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess, ErrorCode::kDevice, "no instance");
  std::size_t nodes = 0;
  cudaGraphGetNodes(graph, nullptr, &nodes);
  std::vector<double> times;
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  cudaEventCreate(&begin);
  cudaEventCreate(&end);
  for (int r = 0; r < kReplays + 20; ++r) {
    cudaEventRecord(begin, stream);
    cudaGraphLaunch(executable, stream);
    cudaEventRecord(end, stream);
    check(context.synchronize(), "replay");
    float ms = 0;
    cudaEventElapsedTime(&ms, begin, end);
    if (r >= 20) times.push_back(ms * 1e3);
  }
  std::sort(times.begin(), times.end());
  fmt::print("one graph of {} nodes: p50 {:.1f} us, p99 {:.1f} us\n", nodes, times[kReplays / 2],
             times[kReplays * 99 / 100]);
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);
}

void print_parts(Context& context, const Engine& engine, const Frames& f) {
  constexpr int kRuns = 50;
  EventClock clock(engine.steps().size());
  std::vector<std::vector<double>> times(engine.steps().size());
  for (int r = 0; r < kRuns; ++r) {
    check(engine.enqueue(context, f.view, {&f.binding, 1}, f.memory(), &clock), "enqueue");
    check(context.synchronize(), "run");
    for (std::size_t s = 0; s < times.size(); ++s) times[s].push_back(clock.microseconds(s));
  }
  std::map<std::string, double> parts;
  for (std::size_t s = 0; s < times.size(); ++s) {
    std::nth_element(times[s].begin(), times[s].begin() + kRuns / 2, times[s].end());
    const StepInfo& step = engine.steps()[s];
    const double us = times[s][kRuns / 2];
    parts[step.kind] += us;
    fmt::print("  {:36} {:12} {:3}->{:3} {:20} {:8.1f} us\n", step.name, step.kind, step.c_in, step.c_out,
               step.kernel, us);
  }
  for (const auto& [kind, us] : parts) fmt::print("{:14} {:8.1f} us\n", kind, us);
}

int run(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: {} <data folder> [float16]\n", argv[0]);
    return 2;
  }
  const std::string folder = std::string(argv[1]) + "/nvidia_centerpoint";
  Frame frame;
  frame.indices = test::read_array(folder + "/in_indices_bzyx.i32.tensor").as<std::int32_t>();
  frame.features = test::read_array(folder + "/in_features.f16.tensor").as<float>();
  frame.num_voxels = static_cast<std::int32_t>(frame.indices.size() / 4);
  Context cpu;
  Context context({.device = Device::cuda()});
  Network network = make_centerpoint_backbone({.capacity = 100000});
  const bool half = argc > 2 && std::strcmp(argv[2], "float16") == 0;
  for (const auto& [layer, rows] : record_capacities(cpu, network, {&frame, 1}).rows)
    network.set_capacity(layer, rows);
  EngineOptions options{.precision = half ? Precision::kFloat16 : Precision::kInt8};
  options.output_dtype = half ? DType::kFloat16 : DType::kInt8;
  const ScaleTable scales = half ? ScaleTable{} : calibrate_min_max(cpu, network, {&frame, 1});
  const Engine engine = Engine::build(context, network, scales, options);
  const Frames frames(context, engine, frame);
  fmt::print("{}; {} voxels, {}; workspace {} bytes, arena {}, pairs {}\n", context.describe(),
             frame.num_voxels, half ? "float16" : "int8", engine.workspace_bytes(), engine.arena_bytes(),
             engine.pairs_bytes());
  print_parts(context, engine, frames);
  print_graph(context, engine, frames);
  const Status status = engine.status(context, frames.memory());
  fmt::print("status: {}\n", status.ok() ? "ok" : to_string(status));
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace voxgemm

int main(int argc, char** argv) {
  try {
    return voxgemm::run(argc, argv);
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 1;
  }
}
