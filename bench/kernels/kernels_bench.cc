// Every implicit-GEMM row on every layer of bench/layers, on a simulated and (with VOXGEMM_TEST_DATA) a real
// scene.
//
// One thread: time is CPU time of the thread, and each repetition measures the instruction peak of the row
// just before, so that "of_peak" is a median of ratios taken within milliseconds. Counters:
//   gmacs    useful multiply-accumulates per second, in 1e9, over exact pairs, fastest repetition
//   of_peak  median share of the row's instruction peak
//   issued   multiply-accumulates issued (padded channels) over useful ones, for rows that work on exact
//   pairs
// A benchmark first compares some rows of its output with the scalar row.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <thread>

#include "bench/kernels/peer.h"
#include "bench/support/layers.h"
#include "bench/support/peak.h"
#include "kernels/implicit_gemm/implicit_gemm.h"
#include "voxgemm/implicit_gemm.h"

namespace voxgemm::bench {
namespace {

// Layers of a network on a scene, built when the first benchmark needs them.
const std::vector<BenchLayer>& layers_of(const std::string& network, const std::string& scene) {
  static std::map<std::string, std::vector<BenchLayer>> cache;
  auto& layers = cache[network + "/" + scene];
  if (layers.empty()) {
    Context context({.threads = 1});
    layers = build_layers(context, network, scene, kPairTable | kTilePairs | kBlockPairs);
  }
  return layers;
}

// A layer planned for one row, with random operands.
class LayerRun {
 public:
  LayerRun(const BenchLayer& layer, const std::string& kernel, bool is_float, bool non_negative, int threads)
      : layer_(layer), is_float_(is_float), context_({.threads = threads, .kernels = {.force = kernel}}) {
    std::mt19937 random(1);
    const auto& line = layer.line;
    desc_ = {.name = line.name, .kv = layer.pairs->view().kv, .c_in = line.c_in, .c_out = line.c_out};
    desc_.input_non_negative = non_negative;
    if (is_float) desc_.in_dtype = desc_.out_dtype = DType::kFloat32;
    const auto weights =
        static_cast<std::size_t>(desc_.kv) * static_cast<std::size_t>(line.c_in * line.c_out);
    std::vector<std::int8_t> w(weights);
    for (auto& v : w) v = static_cast<std::int8_t>(random());
    const EpilogueParams epilogue{.scale = {is_float ? 1.0F : 1e-4F}, .activation = Activation::kReLU};
    stride_ = line.c_in;
    if (is_float) {
      const std::vector<float> wf(w.begin(), w.end());
      plan_ = std::make_unique<ImplicitGemm>(context_, desc_, std::span<const float>(wf), epilogue);
    } else {
      plan_ = std::make_unique<ImplicitGemm>(context_, desc_, std::span<const std::int8_t>(w), epilogue);
      stride_ = plan_->preferred_in_stride();
    }
    const std::size_t item = is_float ? 4 : 1;
    in_ = Buffer(context_, static_cast<std::size_t>(layer.n_in) * static_cast<std::size_t>(stride_) * item);
    out_ =
        Buffer(context_, static_cast<std::size_t>(num_out()) * static_cast<std::size_t>(line.c_out) * item);
    workspace_ = Buffer(context_, plan_->workspace_bytes(layer.n_in, num_out()));
    for (std::int64_t e = 0; e < std::int64_t{layer.n_in} * line.c_in;
         ++e) {  // the same values for any stride
      const auto v = static_cast<std::int8_t>(random() & (non_negative || is_float ? 127U : 255U));
      const std::int64_t i = e / line.c_in * stride_ + e % line.c_in;
      if (is_float) {
        in_.as<float>()[i] = v;
      } else {
        in_.as<std::int8_t>()[i] = v;
      }
    }
  }

  bool run() {
    const DType dtype = desc_.in_dtype;
    const FeatureView in{in_.data(), dtype, layer_.n_in, desc_.c_in, stride_};
    const FeatureSpan out{out_.data(), dtype, num_out(), desc_.c_out, desc_.c_out};
    return plan_->run(context_, layer_.pairs->view(), in, {}, out, {workspace_.data(), workspace_.bytes()})
        .ok();
  }

  // Compares the first rows with another run's.
  [[nodiscard]] bool same_rows(const LayerRun& other, std::int32_t rows) const {
    const std::size_t bytes = static_cast<std::size_t>(std::min(rows, num_out())) *
                              static_cast<std::size_t>(desc_.c_out) * (is_float_ ? 4 : 1);
    return std::memcmp(out_.data(), other.out_.data(), bytes) == 0;
  }
  [[nodiscard]] std::int32_t num_out() const { return layer_.pairs->num_out(); }
  [[nodiscard]] double macs() const {
    return static_cast<double>(layer_.pairs->num_pairs()) * desc_.c_in * desc_.c_out;
  }

 private:
  const BenchLayer& layer_;
  bool is_float_;
  Context context_;
  ImplicitGemmDesc desc_;
  std::unique_ptr<ImplicitGemm> plan_;
  std::int64_t stride_ = 0;
  Buffer in_, out_, workspace_;
};

// The first rows of the layer by the scalar row.
bool matches_scalar(const BenchLayer& layer, const LayerRun& run, bool is_float, bool non_negative) {
  constexpr std::int32_t kRows = 200;
  static std::map<std::string, std::unique_ptr<LayerRun>> truths;
  const std::string key = std::to_string(reinterpret_cast<std::uintptr_t>(&layer)) + (is_float ? "f" : "i") +
                          (non_negative ? "u" : "s");
  auto& truth = truths[key];
  if (truth == nullptr) {
    truth = std::make_unique<LayerRun>(layer, is_float ? "scalar_f32" : "scalar", is_float, non_negative, 1);
    if (!truth->run()) return false;
  }
  return run.same_rows(*truth, kRows);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0.0 : values[values.size() / 2];
}

struct Job {
  std::string network;
  std::string scene;
  std::size_t layer = 0;
  const ImplicitGemmKernel* kernel = nullptr;
  bool is_float = false;
  bool non_negative = false;
  int threads = 1;
};

void bench_row(benchmark::State& state, const Job& job) {
  const BenchLayer& layer = layers_of(job.network, job.scene)[job.layer];
  LayerRun run(layer, std::string(job.kernel->name), job.is_float, job.non_negative, job.threads);
  if (!run.run() || !matches_scalar(layer, run, job.is_float, job.non_negative)) {
    state.SkipWithError("differs from the scalar row");
    return;
  }
  const Peak peak = peak_of(job.kernel->isa, job.is_float ? DType::kFloat32 : DType::kInt8);
  constexpr double kBurst = 4e-4;
  double fastest = 1e9;
  std::vector<double> shares;
  for (auto _ : state) {
    const double per_second = job.threads == 1 && peak.loop != nullptr ? measure(peak, kBurst) : 0.0;
    const auto wall = std::chrono::steady_clock::now();
    const double start = thread_seconds();
    run.run();
    const double seconds =
        job.threads == 1 ? thread_seconds() - start
                         : std::chrono::duration<double>(std::chrono::steady_clock::now() - wall).count();
    state.SetIterationTime(seconds);
    fastest = std::min(fastest, seconds);
    if (per_second > 0.0) shares.push_back(run.macs() / seconds / per_second);
  }
  const auto pad = [](std::int32_t c, std::int32_t m) { return static_cast<double>((c + m - 1) / m * m); };
  const auto& line = layer.line;
  state.counters["gmacs"] = run.macs() / fastest * 1e-9;
  if (!shares.empty()) state.counters["of_peak"] = median(shares);
  const bool by_pairs = (job.kernel->forms & kTilePairs) != 0;  // others multiply absent neighbours too
  if (by_pairs)
    state.counters["issued"] = pad(line.c_in, job.kernel->tile.depth) *
                               pad(line.c_out, std::min(16, job.kernel->tile.channels)) /
                               (static_cast<double>(line.c_in) * line.c_out);
  state.counters["pairs"] = static_cast<double>(layer.pairs->num_pairs());
}

void bench_peer(benchmark::State& state, const Job& job, const Peer& peer) {
  const BenchLayer& layer = layers_of(job.network, job.scene)[job.layer];
  const double macs = static_cast<double>(layer.pairs->num_pairs()) * layer.line.c_in * layer.line.c_out;
  const std::function<void()> run = peer.make(layer);
  run();
  double fastest = 1e9;
  for (auto _ : state) {
    const double start = thread_seconds();
    run();
    const double seconds = thread_seconds() - start;
    state.SetIterationTime(seconds);
    fastest = std::min(fastest, seconds);
  }
  state.counters["gmacs"] = macs / fastest * 1e-9;
}

void register_job(const Job& job, const std::string& layer) {
  const std::string name = "implicit_gemm/" + std::string(job.kernel->name) + "/" + job.network + "/" +
                           layer + "/" + job.scene + "/t" + std::to_string(job.threads);
  benchmark::RegisterBenchmark(name.c_str(), [job](benchmark::State& s) { bench_row(s, job); })
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}

// All rows that this machine runs, on one thread; the best row of each type on more.
void register_layer(const Context& context, Job job, const LayerLine& line) {
  for (const bool is_float : {false, true}) {
    bool first = true;
    for (const ImplicitGemmKernel& kernel : implicit_gemm_kernels()) {
      ImplicitGemmProblem problem{
          .kv = line.geometry.kernel_volume(), .c_in = line.c_in, .c_out = line.c_out};
      if (is_float) problem.in_dtype = problem.out_dtype = DType::kFloat32;
      job.non_negative = !is_float && kernel.rejects(problem) != nullptr;
      problem.input_non_negative = job.non_negative;
      if (!context.supports(kernel.isa) || kernel.rejects(problem) != nullptr) continue;
      job.kernel = &kernel;
      job.is_float = is_float;
      job.threads = 1;
      register_job(job, line.name);
      const auto most = static_cast<int>(std::thread::hardware_concurrency());
      for (int t = 2; first && t <= most; t *= 2) {
        job.threads = t;
        register_job(job, line.name);
      }
      first = false;
    }
  }
}

void register_peers(const Job& job, const std::string& layer) {
  for (const Peer& peer : all_peers()) {
    const std::string name =
        "implicit_gemm/" + peer.name + "/" + job.network + "/" + layer + "/" + job.scene + "/t1";
    benchmark::RegisterBenchmark(name.c_str(), [job, peer](benchmark::State& s) { bench_peer(s, job, peer); })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
  }
}

void register_all() {
  const Context context({.threads = 1});
  for (const std::string& network : network_names()) {
    for (const std::string& scene : scene_names()) {
      const std::vector<LayerLine> lines = read_layers(network);
      for (std::size_t i = 0; i < lines.size(); ++i) {
        const Job job{.network = network, .scene = scene, .layer = i};
        register_layer(context, job, lines[i]);
        register_peers(job, lines[i].name);
      }
    }
  }
}

}  // namespace
}  // namespace voxgemm::bench

int main(int argc, char** argv) {
  voxgemm::bench::register_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
