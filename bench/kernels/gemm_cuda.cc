// Times the convolutions of the CenterPoint backbone on a CUDA device: every row that takes a layer, and the
// 21 layers of the chosen rows in one graph. Real sites, random int8 (or float16) features and weights,
// kernel maps cached.
//
//   voxgemm_bench_gemm_cuda <data folder> [int8|float16] [none|sorted] [all|best]
//
// Times are medians of 200 graph replays; a layer's graph holds 20 launches that rotate over four input sets.
// The floor of a layer is the larger of its useful operations at the measured tensor rate and its gathered
// rows at the measured gather rate of their width.
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <numeric>
#include <random>

#include "kernels/implicit_gemm/implicit_gemm.h"
#include "tests/support/test_data.h"
#include "voxgemm/context.h"
#include "voxgemm/implicit_gemm.h"
#include "voxgemm/indice_pairs.h"

namespace voxgemm {
namespace {

constexpr int kInputSets = 4;
constexpr int kLaunches = 20;
constexpr int kReplays = 200;

struct Settings {
  DType dtype = DType::kInt8;
  RowOrder order = RowOrder::kNone;
  bool all_rows = true;
};

/// Median time of one replay of the graph that `enqueue` captures, in microseconds.
double median_replay_us(Context& context, const std::function<void()>& enqueue) {
  auto stream = static_cast<cudaStream_t>(context.stream());
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
  enqueue();
  check(cudaStreamEndCapture(stream, &graph) == cudaSuccess, ErrorCode::kDevice, "capture failed");
  check(cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess, ErrorCode::kDevice, "instantiate failed");
  std::array<cudaEvent_t, 2> events{};
  for (cudaEvent_t& e : events) cudaEventCreate(&e);
  std::vector<double> times;
  for (int r = 0; r < kReplays + 20; ++r) {
    cudaEventRecord(events[0], stream);
    cudaGraphLaunch(executable, stream);
    cudaEventRecord(events[1], stream);
    check(context.synchronize(), "replay");
    float ms = 0;
    cudaEventElapsedTime(&ms, events[0], events[1]);
    if (r >= 20) times.push_back(ms * 1e3);
  }
  for (cudaEvent_t& e : events) cudaEventDestroy(e);
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);
  std::nth_element(times.begin(), times.begin() + kReplays / 2, times.end());
  return times[kReplays / 2];
}

/// A kernel map copied to the device.
struct DevicePairs {
  IndicePairsView view;
  std::int64_t num_pairs = 0;
  std::vector<Buffer> buffers;

  template <typename T>
  const T* keep(Context& context, const std::vector<T>& host) {
    buffers.emplace_back(context, host.size() * sizeof(T) + 256);
    buffers.back().upload(context, host.data(), host.size() * sizeof(T));
    return buffers.back().as<T>();
  }
};

DevicePairs to_device(Context& context, const IndicePairs& pairs) {
  DevicePairs out;
  const IndicePairsView& host = pairs.view();
  out.view = {.kv = host.kv, .mask_words = host.mask_words, .n_in = host.n_in, .num_out = host.num_out};
  out.num_pairs = pairs.num_pairs();
  const std::int64_t n = host.num_out;
  out.view.out_capacity = host.num_out;
  out.view.pair_stride = (n + 31) / 32 * 32;
  std::vector<std::int32_t> table(static_cast<std::size_t>(host.kv * out.view.pair_stride), -1);
  for (std::int64_t k = 0; k < host.kv; ++k) {
    std::copy_n(host.pair_fwd + k * host.pair_stride, n, table.begin() + k * out.view.pair_stride);
  }
  out.view.pair_fwd = out.keep(context, table);
  out.view.mask = out.keep(context, std::vector<std::uint32_t>(host.mask, host.mask + n * host.mask_words));
  if (host.mask_argsort[0] != nullptr) {
    out.view.mask_argsort[0] =
        out.keep(context, std::vector<std::int32_t>(host.mask_argsort[0], host.mask_argsort[0] + n));
  }
  out.view.device_num_out = out.keep(context, std::vector<std::int32_t>{host.num_out});
  return out;
}

struct Layer {
  std::string name;
  int count = 1;  // in the network
  std::int32_t c_in = 0;
  std::int32_t c_out = 0;
  bool residual = false;
  const DevicePairs* pairs = nullptr;
};

std::vector<std::uint8_t> random_bytes(std::size_t bytes, DType dtype, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::uint8_t> out(bytes);
  if (dtype == DType::kInt8) {
    for (auto& b : out) b = static_cast<std::uint8_t>(random());
  } else {
    for (std::size_t i = 0; i + 1 < bytes; i += 2) {
      const Half h = to_half(static_cast<float>(static_cast<std::int32_t>(random() % 201) - 100) * 0.01F);
      std::memcpy(out.data() + i, &h, 2);
    }
  }
  return out;
}

/// One layer with its operands, four sets of them.
class LayerRun {
 public:
  LayerRun(Context& context, const Layer& layer, DType dtype, const std::string& row)
      : layer_(layer), dtype_(dtype) {
    Context forced({.device = context.device(), .stream = context.stream(), .kernels = {.force = row}});
    const IndicePairsView& v = layer.pairs->view;
    ImplicitGemmDesc desc{.name = layer.name, .kv = v.kv, .c_in = layer.c_in, .c_out = layer.c_out};
    desc.in_dtype = desc.out_dtype = dtype;
    desc.has_residual = layer.residual;
    desc.max_rows = v.num_out;
    EpilogueParams epilogue{.scale = {dtype == DType::kInt8 ? 1e-4F : 1.0F}, .activation = Activation::kReLU};
    epilogue.beta = 0.5F;
    const std::size_t weights =
        static_cast<std::size_t>(v.kv) * static_cast<std::size_t>(layer.c_in * layer.c_out);
    if (dtype == DType::kInt8) {
      const auto bytes = random_bytes(weights, dtype, 3);
      const auto* w = reinterpret_cast<const std::int8_t*>(bytes.data());
      plan_ = std::make_unique<ImplicitGemm>(forced, desc, std::span(w, weights), epilogue);
    } else {
      plan_ = std::make_unique<ImplicitGemm>(forced, desc, std::vector<float>(weights, 0.01F), epilogue);
    }
    in_stride_ = plan_->preferred_in_stride();
    for (int s = 0; s < kInputSets; ++s) {
      const std::size_t bytes = static_cast<std::size_t>(v.n_in * in_stride_) * size_of(dtype);
      in_.emplace_back(context, bytes);
      in_.back().upload(context, random_bytes(bytes, dtype, static_cast<std::uint64_t>(s)).data(), bytes);
      out_.emplace_back(context, static_cast<std::size_t>(v.num_out) * static_cast<std::size_t>(layer.c_out) *
                                     size_of(dtype));
      out_.back().fill_zero(context);
    }
  }

  void enqueue(Context& context, int set) const {
    const IndicePairsView& v = layer_.pairs->view;
    const auto s = static_cast<std::size_t>(set % kInputSets);
    FeatureView residual{};
    if (layer_.residual) {
      residual = {out_[(s + 1) % kInputSets].data(), dtype_, v.num_out, layer_.c_out, layer_.c_out};
    }
    check(plan_->run(context, v, {in_[s].data(), dtype_, v.n_in, layer_.c_in, in_stride_}, residual,
                     {out_[s].data(), dtype_, v.num_out, layer_.c_out, layer_.c_out}, {}),
          layer_.name);
  }

  [[nodiscard]] const std::string& kernel_name() const { return plan_->kernel_name(); }

 private:
  Layer layer_;
  DType dtype_;
  std::unique_ptr<ImplicitGemm> plan_;
  std::int64_t in_stride_ = 0;
  std::vector<Buffer> in_;
  std::vector<Buffer> out_;
};

/// Larger of the useful operations at the measured rate and the gathered rows at the measured rate,
/// microseconds.
double floor_us(const Layer& layer, DType dtype) {
  const auto bytes = static_cast<double>(layer.c_in) * static_cast<double>(size_of(dtype));
  const auto pairs = static_cast<double>(layer.pairs->num_pairs);
  const double ops = 2.0 * pairs * layer.c_in * layer.c_out / (dtype == DType::kInt8 ? 1260e12 : 790e12);
  const double rows_per_s = bytes <= 16   ? 135e9
                            : bytes <= 32 ? 129e9
                            : bytes <= 64 ? 116e9
                                          : 36e9 * 128 / bytes;
  return 1e6 * std::max(ops, pairs / rows_per_s);
}

struct Scene {
  std::vector<DevicePairs> pairs;
  std::vector<Layer> layers;
};

Scene centerpoint(Context& device, const std::string& folder, RowOrder order) {
  Context host({.threads = 2});
  const auto indices =
      test::read_array(folder + "/nvidia_centerpoint/in_indices_bzyx.i32.tensor").as<std::int32_t>();
  struct Map {
    ConvGeometry geometry;
    Dims shape;
  };
  const auto strided = [](Dims kernel, Dims stride, Dims padding) {
    return ConvGeometry{
        .kind = ConvKind::kRegular, .kernel_size = kernel, .stride = stride, .padding = padding};
  };
  const ConvGeometry subm{.kind = ConvKind::kSubm, .kernel_size = {3, 3, 3}};
  const std::array geometries = {
      subm, strided({3, 3, 3}, {2, 2, 2}, {1, 1, 1}), subm, strided({3, 3, 3}, {2, 2, 2}, {1, 1, 1}),
      subm, strided({3, 3, 3}, {2, 2, 2}, {0, 1, 1}), subm, strided({3, 1, 1}, {2, 1, 1}, {0, 0, 0})};
  Scene scene;
  std::vector<std::int32_t> sites = indices;
  Dims shape{41, 1440, 1440};
  for (const ConvGeometry& geometry : geometries) {
    const auto n = static_cast<std::int32_t>(sites.size() / 4);
    SparseTensorView view{.indices = sites.data(), .spatial_shape = shape, .capacity = n, .num_voxels = n};
    const IndicePairs pairs = build_indice_pairs(host, view, geometry, {.forms = kPairTable, .order = order});
    scene.pairs.push_back(to_device(device, pairs));
    if (geometry.kind == ConvKind::kRegular) {
      shape = pairs.out_shape();
      const std::int32_t* out = pairs.view().out_indices;
      sites.assign(out, out + std::ptrdiff_t{4} * pairs.num_out());
    }
  }
  const auto add = [&](const char* name, int count, std::int32_t c_in, std::int32_t c_out, bool residual,
                       int map) {
    scene.layers.push_back({name, count, c_in, c_out, residual, &scene.pairs[static_cast<std::size_t>(map)]});
  };
  add("input 5-16", 1, 5, 16, false, 0);
  add("subm1 16-16", 2, 16, 16, false, 0);
  add("subm1 16-16 add", 2, 16, 16, true, 0);
  add("down2 16-32", 1, 16, 32, false, 1);
  add("subm2 32-32", 2, 32, 32, false, 2);
  add("subm2 32-32 add", 2, 32, 32, true, 2);
  add("down3 32-64", 1, 32, 64, false, 3);
  add("subm3 64-64", 2, 64, 64, false, 4);
  add("subm3 64-64 add", 2, 64, 64, true, 4);
  add("down4 64-128", 1, 64, 128, false, 5);
  add("subm4 128-128", 2, 128, 128, false, 6);
  add("subm4 128-128 add", 2, 128, 128, true, 6);
  add("out 128-128", 1, 128, 128, false, 7);
  return scene;
}

double time_layer(Context& context, const Layer& layer, DType dtype, const std::string& row,
                  std::string* chosen) {
  const LayerRun run(context, layer, dtype, row);
  if (chosen != nullptr) *chosen = run.kernel_name();
  return median_replay_us(context,
                          [&] {
                            for (int i = 0; i < kLaunches; ++i) run.enqueue(context, i);
                          }) /
         kLaunches;
}

void print_layers(Context& context, const Scene& scene, const Settings& settings) {
  double total = 0;
  for (const Layer& layer : scene.layers) {
    std::string chosen;
    const double us = time_layer(context, layer, settings.dtype, "", &chosen);
    total += us * layer.count;
    std::string others;
    const ImplicitGemmProblem problem{.kv = layer.pairs->view.kv,
                                      .c_in = layer.c_in,
                                      .c_out = layer.c_out,
                                      .in_dtype = settings.dtype,
                                      .out_dtype = settings.dtype};
    for (const ImplicitGemmKernel& row : implicit_gemm_kernels()) {
      if (!settings.all_rows || layer.residual) break;
      if (!context.supports(row.isa) || row.rejects(problem) != nullptr) continue;
      if (row.tile.channels > std::max(16, layer.c_out)) continue;
      others += fmt::format(" {}={:.2f}", row.name.substr(5),
                            time_layer(context, layer, settings.dtype, std::string(row.name), nullptr));
    }
    const double floor = floor_us(layer, settings.dtype);
    fmt::print(
        "{:18} n {:6} pairs {:7} floor {:5.2f} us  chosen {:14} {:6.2f} us, floor {:4.1f} % of it |{}\n",
        layer.name, layer.pairs->view.num_out, layer.pairs->num_pairs, floor, chosen, us, 100 * floor / us,
        others);
  }
  fmt::print("sum over the 21 layers: {:.1f} us\n", total);
}

void print_chain(Context& context, const Scene& scene, const Settings& settings) {
  std::vector<LayerRun> runs;
  std::vector<int> sequence;
  for (const Layer& layer : scene.layers) runs.emplace_back(context, layer, settings.dtype, "");
  for (const auto& [first, pairs] :
       {std::pair{0, 0}, {1, 2}, {3, 0}, {4, 2}, {6, 0}, {7, 2}, {9, 0}, {10, 2}, {12, 0}}) {
    if (pairs == 0) sequence.push_back(first);
    for (int i = 0; i < pairs; ++i) sequence.insert(sequence.end(), {first, first + 1});
  }
  const double us = median_replay_us(context, [&] {
    int set = 0;
    for (const int layer : sequence) runs[static_cast<std::size_t>(layer)].enqueue(context, set++);
  });
  fmt::print("{} convolutions in one graph: {:.1f} us\n", sequence.size(), us);
}

int run(int argc, char** argv) {
  const auto has = [&](const char* word) {
    return std::any_of(argv + 1, argv + argc, [&](const char* a) { return std::strcmp(a, word) == 0; });
  };
  if (argc < 2) {
    fmt::print(stderr, "usage: {} <data folder> [int8|float16] [none|sorted|key] [all|best]\n", argv[0]);
    return 2;
  }
  Settings settings;
  if (has("float16")) settings.dtype = DType::kFloat16;
  if (has("sorted")) settings.order = RowOrder::kFullMask;
  if (has("key")) settings.order = RowOrder::kPatternKey;
  settings.all_rows = !has("best");
  Context context({.device = Device::cuda()});
  const Scene scene = centerpoint(context, argv[1], settings.order);
  fmt::print("{}, {}, row order {}\n", context.describe(), to_string(settings.dtype),
             static_cast<int>(settings.order));
  print_layers(context, scene, settings);
  print_chain(context, scene, settings);
  return 0;
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
