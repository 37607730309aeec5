// How time grows with voxels: the int8 CenterPoint backbone on 20,000 to 2 million voxels of one density.
//
//   voxgemm_scaling_bench [repeats = 5] [threads = 1] [largest = 2000000]
//
// A scene of 20,000 voxels is laid out side by side as often as needed, so that neighbourhoods, and with them
// the useful work per voxel, stay the same; only sizes against the caches change. Sizes run in turn inside
// each repeat; a figure is the median over the repeats. The exponent is the slope of log(time) over
// log(voxels).
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/scenes.h"
#include "voxgemm/backbones.h"
#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"
#include "voxgemm/network.h"
#include "voxgemm/profile.h"

namespace voxgemm {
namespace {

constexpr std::int32_t kSide = 720;    // cells along y and x of one scene
constexpr std::int32_t kTile = 20000;  // voxels of one scene
constexpr std::int32_t kChannels = 5;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// `copies` scenes side by side, row after row of a square.
Frame tiled_frame(const test::Scene& scene, std::int32_t copies, Dims& shape) {
  const auto across = static_cast<std::int32_t>(std::ceil(std::sqrt(copies)));
  shape = {41, kSide * ((copies + across - 1) / across), kSide * across};
  Frame frame;
  frame.num_voxels = scene.n() * copies;
  frame.indices.reserve(static_cast<std::size_t>(frame.num_voxels) * 4);
  for (std::int32_t c = 0; c < copies; ++c) {
    for (std::size_t i = 0; i < scene.indices.size(); i += 4) {
      const std::int32_t* at = scene.indices.data() + i;
      frame.indices.insert(frame.indices.end(),
                           {0, at[1], at[2] + kSide * (c / across), at[3] + kSide * (c % across)});
    }
  }
  frame.features.resize(static_cast<std::size_t>(frame.num_voxels) * kChannels);
  for (std::size_t i = 0; i < frame.features.size(); ++i) {
    frame.features[i] = static_cast<float>(static_cast<int>(i * 2654435761U % 2001U) - 1000) * 0.05F;
  }
  return frame;
}

struct Size {
  Frame frame;
  Dims shape{};
  std::unique_ptr<Engine> engine;
  Buffer workspace;
  std::vector<float> output;
  std::unique_ptr<StepTimer> timer;
  std::vector<StepProfile> profile;
  std::vector<double> total, pairs, gemm;  // ms, one a repeat
  double macs = 0.0;
};

Network backbone(const Dims& shape, std::int32_t capacity) {
  return make_centerpoint_backbone(
      {.in_channels = kChannels, .spatial_shape = shape, .capacity = capacity, .dense_output = false});
}

void build(Context& context, Size& size, const ScaleTable& scales, const CapacityTable& tile_rows,
           std::int32_t copies) {
  Network net = backbone(size.shape, size.frame.num_voxels);
  CapacityTable rows = tile_rows;
  for (auto& [layer, count] : rows.rows) count = static_cast<std::int32_t>(count * 1.1) * copies;
  net.set_capacities(rows);
  size.engine = std::make_unique<Engine>(Engine::build(context, net, scales));
  size.workspace = Buffer(context, size.engine->workspace_bytes());
  const OutputInfo& out = size.engine->outputs()[0];
  size.output.resize(static_cast<std::size_t>(out.capacity) * static_cast<std::size_t>(out.channels));
  size.profile.resize(size.engine->steps().size());
  size.timer = std::make_unique<StepTimer>(context, size.profile.size());
  check(size.engine->prepare(context, {size.workspace.data(), size.workspace.bytes()}), "prepare");
}

void run(Context& context, Size& size, bool keep) {
  SparseTensorView view;
  view.indices = size.frame.indices.data();
  view.features = {size.frame.features.data(), DType::kFloat32, size.frame.num_voxels, kChannels, kChannels};
  view.spatial_shape = size.shape;
  view.num_voxels = view.capacity = size.frame.num_voxels;
  const OutputBinding binding{size.output.data()};
  const auto start = std::chrono::steady_clock::now();
  const Workspace workspace{size.workspace.data(), size.workspace.bytes()};
  check(size.engine->enqueue(context, view, {&binding, 1}, workspace, size.timer.get()), "enqueue");
  const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
  if (!keep) return;
  size.engine->collect_profile(context, workspace, size.timer.get(), size.profile);
  double pairs = 0.0;
  double gemm = 0.0;
  size.macs = 0.0;
  for (std::size_t i = 0; i < size.profile.size(); ++i) {
    const StepInfo& info = size.engine->steps()[i];
    if (info.kind == "pairs") pairs += size.profile[i].microseconds / 1000.0;
    if (info.kv == 0) continue;
    gemm += size.profile[i].microseconds / 1000.0;
    size.macs += static_cast<double>(size.profile[i].pairs) * info.c_in * info.c_out;
  }
  size.total.push_back(time.count());
  size.pairs.push_back(pairs);
  size.gemm.push_back(gemm);
}

/// Least-squares slope of log(time) over log(voxels).
double exponent(const std::vector<Size>& sizes, std::vector<double> Size::*times) {
  double sx = 0.0;
  double sy = 0.0;
  double sxx = 0.0;
  double sxy = 0.0;
  for (const Size& size : sizes) {
    const double x = std::log(size.frame.num_voxels);
    const double y = std::log(median(size.*times));
    sx += x;
    sy += y;
    sxx += x * x;
    sxy += x * y;
  }
  const auto n = static_cast<double>(sizes.size());
  return (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

void bench(int repeats, std::int32_t threads, std::int32_t largest) {
  Context context({.threads = threads});
  const test::Scene scene = test::lidar_scene({41, kSide, kSide}, 1, kTile, 1);
  Dims shape;
  const Frame tile = tiled_frame(scene, 1, shape);
  const Network net = backbone(shape, tile.num_voxels);
  const CapacityTable rows = record_capacities(context, net, {&tile, 1}, 1.0F);
  const ScaleTable scales = calibrate_min_max(context, net, {&tile, 1});
  std::vector<Size> sizes;
  for (const std::int32_t copies : {1, 2, 5, 10, 20, 50, 100}) {
    if (copies > 1 && copies * scene.n() > largest * 1.05) break;
    Size& size = sizes.emplace_back();
    size.frame = tiled_frame(scene, copies, size.shape);
    build(context, size, scales, rows, copies);
    run(context, size, false);
  }
  for (int repeat = 0; repeat < repeats; ++repeat) {
    for (Size& size : sizes) run(context, size, true);
  }
  std::printf("int8 CenterPoint, %d thread(s), %d repeats, %s\n", threads, repeats,
              context.describe().c_str());
  std::printf("    voxels   total ms   pairs ms    gemm ms   ns/voxel  pairs ns  GMAC/s  activations MB\n");
  for (const Size& size : sizes) {
    const double n = size.frame.num_voxels;
    std::printf("%10.0f %10.2f %10.2f %10.2f %10.1f %9.1f %7.1f %15.1f\n", n, median(size.total),
                median(size.pairs), median(size.gemm), 1e6 * median(size.total) / n,
                1e6 * median(size.pairs) / n, size.macs / median(size.gemm) * 1e-6,
                static_cast<double>(size.engine->arena_bytes()) * 1e-6);
  }
  std::printf("exponent: total %.3f, pairs %.3f, gemm %.3f\n", exponent(sizes, &Size::total),
              exponent(sizes, &Size::pairs), exponent(sizes, &Size::gemm));
}

}  // namespace
}  // namespace voxgemm

int main(int argc, char** argv) {
  const int repeats = argc > 1 ? std::atoi(argv[1]) : 5;
  const int threads = argc > 2 ? std::atoi(argv[2]) : 1;
  const int largest = argc > 3 ? std::atoi(argv[3]) : 2000000;
  try {
    voxgemm::bench(std::max(repeats, 1), std::max(threads, 1), largest);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
