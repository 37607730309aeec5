// Whole backbones on one frame: int8 against float32, one thread against two, and where the time goes.
//
//   voxgemm_engine_bench [repeats = 15] [network = centerpoint|second|all]
//
// The frame is the ten-sweep one of $VOXGEMM_TEST_DATA when that is set, else a simulated scene of 80,000
// voxels. All variants run in turn inside each repeat, so that a disturbance of the machine meets all of
// them; times are medians, ratios are medians of the ratios within one repeat, with quartiles.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bench/support/peak.h"
#include "tests/support/scenes.h"
#include "tests/support/test_data.h"
#include "voxgemm/backbones.h"
#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"
#include "voxgemm/network.h"
#include "voxgemm/profile.h"

namespace voxgemm {
namespace {

Frame load_frame() {
  Frame frame;
  const std::filesystem::path folder = test::test_data() / "nvidia_centerpoint";
  if (!test::test_data().empty() && std::filesystem::is_directory(folder)) {
    frame.indices = test::read_array(folder / "in_indices_bzyx.i32.tensor").as<std::int32_t>();
    frame.features = test::read_array(folder / "in_features.f16.tensor").as<float>();
  } else {
    frame.indices = test::lidar_scene({41, 1440, 1440}, 1, 80000, 1).indices;
    frame.features.resize(frame.indices.size() / 4 * 5);
    for (std::size_t i = 0; i < frame.features.size(); ++i) {
      frame.features[i] = static_cast<float>(static_cast<int>(i * 2654435761U % 2001U) - 1000) * 0.05F;
    }
  }
  frame.num_voxels = static_cast<std::int32_t>(frame.indices.size() / 4);
  return frame;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double least(const std::vector<double>& values) { return *std::min_element(values.begin(), values.end()); }

/// One engine, its context and its memory.
struct Variant {
  Variant(const std::string& label_, const Network& net, const ScaleTable& scales, Precision precision,
          std::int32_t threads)
      : label(label_), context({.threads = threads}) {
    EngineOptions options;
    options.precision = precision;
    engine = std::make_unique<Engine>(Engine::build(context, net, scales, options));
    workspace = Buffer(context, engine->workspace_bytes());
    const OutputInfo& info = engine->outputs()[0];
    output.resize(
        static_cast<std::size_t>(dense_elements(info.spatial_shape, info.batch_size, info.channels)));
    profile.resize(engine->steps().size());
    timer = std::make_unique<StepTimer>(context, profile.size());
    check(engine->prepare(context, {workspace.data(), workspace.bytes()}), "prepare");
  }

  void run(const SparseTensorView& input) {
    const OutputBinding binding{output.data()};
    const double cpu_start = bench::thread_seconds();
    const auto start = std::chrono::steady_clock::now();
    const Workspace memory{workspace.data(), workspace.bytes()};
    check(engine->enqueue(context, input, {&binding, 1}, memory, timer.get()), label);
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    total.push_back(time.count());
    cpu.push_back((bench::thread_seconds() - cpu_start) * 1e3);
    engine->collect_profile(context, memory, timer.get(), profile);
    double in_pairs = 0.0;
    double in_gemm = 0.0;
    macs = 0.0;
    for (std::size_t i = 0; i < profile.size(); ++i) {
      const StepInfo& info = engine->steps()[i];
      steps[i].push_back(profile[i].microseconds);
      if (info.kind == "pairs") in_pairs += profile[i].microseconds / 1000.0;
      if (info.kind.find("conv") == std::string::npos || info.kv == 0) continue;
      in_gemm += profile[i].microseconds / 1000.0;
      macs += static_cast<double>(profile[i].pairs) * info.c_in * info.c_out;
    }
    pairs.push_back(in_pairs);
    gemm.push_back(in_gemm);
  }

  /// Medians, and how much faster the least time of `other` is.
  void print_steps(const Variant& other) const {
    for (std::size_t i = 0; i < profile.size(); ++i) {
      const StepInfo& info = engine->steps()[i];
      const double us = median(steps.at(i));
      const double work = static_cast<double>(profile[i].pairs) * info.c_in * info.c_out;
      std::printf("    %-40s %-14s %3d->%-3d n %6d  %9.1f us  %7.1f GMAC/s  %4.2f  %s\n", info.name.c_str(),
                  info.kind.c_str(), info.c_in, info.c_out, profile[i].n_out, us,
                  info.kv > 0 ? work / us * 1e-3 : 0.0, least(steps.at(i)) / least(other.steps.at(i)),
                  info.kernel.c_str());
    }
  }

  std::string label;
  Context context;
  std::unique_ptr<Engine> engine;
  Buffer workspace;
  std::vector<float> output;
  std::unique_ptr<StepTimer> timer;
  std::vector<StepProfile> profile;
  std::vector<double> total;
  std::vector<double> cpu;
  std::vector<double> pairs;
  std::vector<double> gemm;
  std::map<std::size_t, std::vector<double>> steps;
  double macs = 0.0;
};

/// The fastest multiply-accumulate instruction that this machine has for the type; loop is null for none.
bench::Peak best_peak(const Context& context, DType dtype) {
  for (const Isa isa : {Isa::kAmxInt8, Isa::kAvx512Vnni, Isa::kAvx512, Isa::kAvx2}) {
    const bool int8_only = isa == Isa::kAmxInt8 || isa == Isa::kAvx512Vnni;
    if (!context.supports(isa) || (int8_only && dtype != DType::kInt8)) continue;
    if (const bench::Peak peak = bench::peak_of(isa, dtype); peak.loop != nullptr) return peak;
  }
  return {};
}

void print_peak_share(const Variant& variant, DType dtype) {
  const bench::Peak peak = best_peak(variant.context, dtype);
  if (peak.loop == nullptr) return;
  double best = 0.0;
  for (int i = 0; i < 5; ++i) best = std::max(best, bench::measure(peak, 0.02));
  const double seconds = median(variant.cpu) * 1e-3;
  std::printf("  %s  cpu %.2f ms, useful work at the peak of %.*s (%.0f GMAC/s) would take %.2f ms: %.0f%%\n",
              variant.label.c_str(), seconds * 1e3, static_cast<int>(peak.instruction.size()),
              peak.instruction.data(), best * 1e-9, variant.macs / best * 1e3,
              100.0 * variant.macs / best / seconds);
}

/// Median of the ratios within one repeat, their quartiles, and the ratio of the least times.
std::string ratio(const Variant& a, const Variant& b) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < a.total.size(); ++i) ratios.push_back(a.total[i] / b.total[i]);
  std::sort(ratios.begin(), ratios.end());
  const std::size_t n = ratios.size();
  char text[64];
  std::snprintf(text, sizeof(text), "%.2f (%.2f to %.2f, least %.2f)", ratios[n / 2], ratios[n / 4],
                ratios[n - 1 - n / 4], least(a.total) / least(b.total));
  return text;
}

void bench_network(const std::string& name, const Frame& frame, int repeats) {
  BackboneOptions options;
  options.in_channels =
      static_cast<std::int32_t>(frame.features.size() / static_cast<std::size_t>(frame.num_voxels));
  Network net = name == "second" ? make_second_backbone(options) : make_centerpoint_backbone(options);
  Context context;
  net.set_capacities(record_capacities(context, net, {&frame, 1}));
  const ScaleTable scales = calibrate_min_max(context, net, {&frame, 1});
  std::vector<std::unique_ptr<Variant>> variants;
  for (const Precision precision : {Precision::kInt8, Precision::kFloat32}) {
    for (const std::int32_t threads : {1, 2}) {
      const std::string label =
          std::string(precision == Precision::kInt8 ? "int8" : "fp32") + " t" + std::to_string(threads);
      variants.push_back(std::make_unique<Variant>(label, net, scales, precision, threads));
    }
  }
  SparseTensorView view;
  view.indices = frame.indices.data();
  view.features = {frame.features.data(), DType::kFloat32, frame.num_voxels, options.in_channels,
                   options.in_channels};
  view.spatial_shape = options.spatial_shape;
  view.num_voxels = view.capacity = frame.num_voxels;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    for (const auto& variant : variants) variant->run(view);
  }
  std::printf("%s, %d voxels, %d repeats\n", name.c_str(), frame.num_voxels, repeats);
  for (const auto& v : variants) {
    const double all = median(v->total);
    std::printf(
        "  %s  %8.2f ms (min %.2f)  pairs %4.1f%%  gemm %4.1f%%  other %4.1f%%  %.1f useful GMAC/s  arena "
        "%.1f MB\n",
        v->label.c_str(), all, least(v->total), 100.0 * median(v->pairs) / all, 100.0 * median(v->gemm) / all,
        100.0 * (1.0 - (median(v->pairs) + median(v->gemm)) / all), v->macs / all * 1e-6,
        static_cast<double>(v->engine->arena_bytes()) * 1e-6);
  }
  std::printf("  fp32 / int8: t1 %s, t2 %s;  t1 / t2: int8 %s, fp32 %s\n",
              ratio(*variants[2], *variants[0]).c_str(), ratio(*variants[3], *variants[1]).c_str(),
              ratio(*variants[0], *variants[1]).c_str(), ratio(*variants[2], *variants[3]).c_str());
  print_peak_share(*variants[0], DType::kInt8);
  print_peak_share(*variants[2], DType::kFloat32);
  std::printf("  steps of %s, and their least times over those of %s\n", variants[0]->label.c_str(),
              variants[1]->label.c_str());
  variants[0]->print_steps(*variants[1]);
}

}  // namespace
}  // namespace voxgemm

int main(int argc, char** argv) {
  const int repeats = argc > 1 ? std::atoi(argv[1]) : 15;
  const std::string network = argc > 2 ? argv[2] : "all";
  try {
    const voxgemm::Frame frame = voxgemm::load_frame();
    for (const char* name : {"centerpoint", "second"}) {
      if (network == "all" || network == name) voxgemm::bench_network(name, frame, std::max(repeats, 1));
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
