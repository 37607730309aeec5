// What voxelisation and the memory-bound operators cost on this machine, each beside a memcpy of the same
// bytes.
//
//   voxelize/<row>/<form>/t<threads>  270,000 points of a synthetic sweep, 0.075 m grid of [40, 1440, 1440];
//                                    form = float32, float16 or records of 22 bytes
//   quantize|dequantize|requantize|add|relu/<row>/<rows>x<channels>
//   scatter_dense/<row>/<layout>     CenterPoint's last level: 8000 rows x 128 channels of [2, 180, 180]
//   pool/<row>/max
//
// Counters: bytes/s are bytes read plus written, memcpy counted the same way.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels/elementwise/elementwise.h"
#include "kernels/pooling/pooling.h"
#include "kernels/quantize/quantize.h"
#include "kernels/scatter_dense/scatter_dense.h"
#include "kernels/voxelize/voxelize.h"
#include "voxgemm/operators.h"
#include "voxgemm/voxelize.h"

namespace voxgemm {
namespace {

constexpr std::int64_t kPoints = 270000;
constexpr std::int32_t kColumns = 5;

// Ten sweeps of 32 rings over uneven ground with walls: neighbouring points in neighbouring cells, as a
// sensor gives them.
std::vector<float> synthetic_cloud() {
  std::mt19937 random(1);
  std::normal_distribution<float> noise(0.0F, 0.02F);
  std::uniform_real_distribution<float> uniform(0.0F, 1.0F);
  std::vector<float> distance(360);
  for (float& d : distance) d = 4.0F + 60.0F * uniform(random) * uniform(random);
  std::vector<float> points;
  const auto per_sweep = static_cast<int>(kPoints / 10);
  for (int i = 0; i < kPoints; ++i) {
    const int in_sweep = i % per_sweep;
    const float elevation = (static_cast<float>(in_sweep % 32) * 1.3F - 30.0F) * 0.01745F;
    const float azimuth = 6.2831853F * static_cast<float>(in_sweep / 32 * 32) / static_cast<float>(per_sweep);
    const float ground = elevation < 0.0F ? 1.8F / std::tan(-elevation) : 1e9F;
    const float wall = distance[static_cast<std::size_t>(azimuth * 57.2F) % 360];
    const float range = std::fmin(ground, wall) + noise(random);
    points.insert(points.end(),
                  {range * std::cos(azimuth) + noise(random), range * std::sin(azimuth) + noise(random),
                   range * std::tan(elevation) + noise(random), uniform(random) * 255.0F,
                   0.05F * static_cast<float>(i / per_sweep)});
  }
  return points;
}

void set_bytes(benchmark::State& state, std::size_t bytes) {
  state.counters["bytes/s"] = benchmark::Counter(
      static_cast<double>(bytes) * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

void check_ok(benchmark::State& state, const Status& status) {
  if (!status.ok()) state.SkipWithError(to_string(status).c_str());
}

void bench_memcpy(benchmark::State& state, std::size_t bytes) {
  std::vector<std::byte> from(bytes, std::byte{1});
  std::vector<std::byte> to(bytes);
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), bytes);
    benchmark::DoNotOptimize(to.data());
    benchmark::ClobberMemory();
  }
  set_bytes(state, 2 * bytes);
}

/// What sensors publish: x, y, z, intensity and time float32 in records of 22 bytes, a uint16 ring between.
std::vector<std::byte> records_of(const std::vector<float>& points) {
  constexpr std::size_t kStep = 22;
  std::vector<std::byte> records(kPoints * kStep);
  for (std::size_t i = 0; i < kPoints; ++i) {
    std::memcpy(records.data() + i * kStep, points.data() + i * kColumns, 16);
    std::memcpy(records.data() + i * kStep + 18, points.data() + i * kColumns + 4, 4);
  }
  return records;
}

enum class PointForm { kFloat32, kFloat16, kRecords };

void bench_voxelize(benchmark::State& state, PointForm form, std::int32_t threads,
                    const std::string& cells_row) {
  const VoxelGrid grid{.min_xyz = {-54.0F, -54.0F, -5.0F},
                       .max_xyz = {54.0F, 54.0F, 3.0F},
                       .voxel_size_xyz = {0.075F, 0.075F, 0.2F},
                       .max_voxels = 160000,
                       .max_points_per_voxel = 10};
  const std::vector<float> points = synthetic_cloud();
  std::vector<Half> halves(points.size());
  for (std::size_t i = 0; i < points.size(); ++i) halves[i] = to_half(points[i]);
  const std::vector<std::byte> records = records_of(points);
  const std::vector<PointField> fields{{0}, {4}, {8}, {12}, {18}};
  std::vector<PointsView> clouds(1);
  switch (form) {
    case PointForm::kFloat32:
      clouds[0] = {points.data(), DType::kFloat32, kPoints, kColumns};
      break;
    case PointForm::kFloat16:
      clouds[0] = {halves.data(), DType::kFloat16, kPoints, kColumns};
      break;
    case PointForm::kRecords:
      clouds[0] = {records.data(), DType::kFloat32, kPoints, kColumns, 0, fields, 22};
      break;
  }
  Context context({.threads = threads, .kernels = {.force = cells_row}});
  const Voxelizer voxelizer(context, grid, kColumns, kPoints);
  const Buffer workspace(context, voxelizer.workspace_bytes());
  std::vector<std::int32_t> indices(4 * static_cast<std::size_t>(grid.max_voxels));
  std::vector<float> features(kColumns * static_cast<std::size_t>(grid.max_voxels));
  std::int32_t num_voxels = 0;
  VoxelizeCounts counts;
  for (auto _ : state) {
    check_ok(state, voxelizer.run(context, clouds, indices.data(), features.data(), kColumns, &num_voxels,
                                  &counts, {workspace.data(), workspace.bytes()}));
    benchmark::ClobberMemory();
  }
  state.counters["voxels"] = num_voxels;
  state.counters["workspace"] = static_cast<double>(workspace.bytes());
  state.counters["points/s"] = benchmark::Counter(
      static_cast<double>(kPoints) * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

struct Matrices {
  std::int32_t rows;
  std::int32_t channels;
  std::vector<float> floats;
  std::vector<Half> halves;
  std::vector<std::int8_t> a;
  std::vector<std::int8_t> b;
  std::vector<std::int8_t> out;

  Matrices(std::int32_t r, std::int32_t c) : rows(r), channels(c) {
    const auto n = static_cast<std::size_t>(r) * static_cast<std::size_t>(c);
    std::mt19937 random(2);
    a.resize(n);
    b.resize(n);
    out.resize(n);
    floats.resize(n);
    halves.resize(n);
    for (std::size_t i = 0; i < n; ++i) {
      a[i] = static_cast<std::int8_t>(random());
      b[i] = static_cast<std::int8_t>(random());
      floats[i] = static_cast<float>(a[i]) * 0.071F;
      halves[i] = to_half(floats[i]);
    }
  }
  template <typename T>
  FeatureSpan span(std::vector<T>& values, DType dtype) {
    return {values.data(), dtype, rows, channels, channels};
  }
};

void bench_op(benchmark::State& state, const std::string& row, std::size_t bytes_per_element,
              const std::function<Status(Context&, Matrices&)>& op) {
  Matrices m(20000, 64);
  Context context({.threads = 1, .kernels = {.force = row}});
  for (auto _ : state) {
    check_ok(state, op(context, m));
    benchmark::ClobberMemory();
  }
  set_bytes(state, m.a.size() * bytes_per_element);
}

void bench_scatter(benchmark::State& state, const std::string& row, DenseLayout layout) {
  constexpr std::int32_t kRows = 8000;
  constexpr std::int32_t kChannels = 128;
  std::mt19937 random(3);
  std::vector<std::int32_t> indices;
  const Dims shape{2, 180, 180};
  std::int64_t key = 0;
  for (std::int32_t r = 0; r < kRows; ++r) {  // ascending, in clusters as levels are
    key += random() % 8 != 0 ? 1 : random() % 50;
    key = std::min<std::int64_t>(key, shape.product() - kRows + r);
    const auto k = static_cast<std::int32_t>(key);
    indices.insert(indices.end(), {0, k / (180 * 180), k / 180 % 180, k % 180});
  }
  std::vector<std::int8_t> features(static_cast<std::size_t>(kRows) * kChannels, 3);
  const SparseTensorView tensor{
      indices.data(), {features.data(), DType::kInt8, kRows, kChannels, kChannels}, shape, 1, kRows, kRows};
  std::vector<std::int8_t> out(static_cast<std::size_t>(dense_elements(shape, 1, kChannels)));
  Context context({.threads = 1, .kernels = {.force = row}});
  for (auto _ : state) {
    check_ok(state, scatter_dense(context, tensor, layout, out.data()));
    benchmark::ClobberMemory();
  }
  set_bytes(state, 2 * features.size() + out.size());
}

void bench_pool(benchmark::State& state, const std::string& row, PoolKind kind) {
  constexpr std::int32_t kRows = 20000;
  std::mt19937 random(4);
  std::vector<std::int32_t> table(27 * kRows);
  for (std::int32_t& j : table) j = random() % 3 != 0 ? -1 : static_cast<std::int32_t>(random() % kRows);
  const IndicePairsView pairs{
      .kv = 27, .n_in = kRows, .num_out = kRows, .pair_stride = kRows, .pair_fwd = table.data()};
  Matrices m(kRows, 64);
  Context context({.threads = 1, .kernels = {.force = row}});
  for (auto _ : state) {
    check_ok(state, pool(context, pairs, m.span(m.a, DType::kInt8), {kind}, m.span(m.out, DType::kInt8)));
    benchmark::ClobberMemory();
  }
  set_bytes(state, m.a.size() * 10 + table.size() * 4);
}

template <typename Kernel>
std::vector<std::string> rows_here(std::span<const Kernel> table) {
  const Context context({.threads = 1});
  std::vector<std::string> names;
  for (const Kernel& row : table) {
    if (context.supports(row.isa)) names.emplace_back(row.name);
  }
  return names;
}

void add_bench(const std::string& name, std::function<void(benchmark::State&)> fn) {
  benchmark::RegisterBenchmark(name.c_str(), [fn](benchmark::State& state) { fn(state); })
      ->Unit(benchmark::kMicrosecond)
      ->MeasureProcessCPUTime()
      ->UseRealTime();
}

void register_all() {
  using S = benchmark::State;
  for (const std::string& row : rows_here(voxel_cells_kernels())) {
    for (const auto& [name, form] : {std::pair{"float32", PointForm::kFloat32},
                                     {"float16", PointForm::kFloat16},
                                     {"records22", PointForm::kRecords}}) {
      add_bench("voxelize/" + row + "/" + name + "/t1", [=](S& s) { bench_voxelize(s, form, 1, row); });
    }
  }
  for (const std::int32_t threads : {2, 3, 4, 8, 16}) {
    add_bench("voxelize/best/float32/t" + std::to_string(threads),
              [=](S& s) { bench_voxelize(s, PointForm::kFloat32, threads, ""); });
  }
  add_bench("memcpy/voxelize_points", [](S& s) { bench_memcpy(s, kPoints * kColumns * sizeof(float)); });
  for (const std::string& row : rows_here(quantize_kernels())) {
    const auto add_op = [&](const char* op, std::size_t bytes,
                            std::function<Status(Context&, Matrices&)> fn) {
      add_bench(std::string(op) + "/" + row + "/20000x64", [=](S& s) { bench_op(s, row, bytes, fn); });
    };
    add_op("quantize_f32", 5, [](Context& c, Matrices& m) {
      return quantize(c, m.span(m.floats, DType::kFloat32), 0.071F, m.span(m.out, DType::kInt8));
    });
    add_op("quantize_f16", 3, [](Context& c, Matrices& m) {
      return quantize(c, m.span(m.halves, DType::kFloat16), 0.071F, m.span(m.out, DType::kInt8));
    });
    add_op("dequantize_f32", 5, [](Context& c, Matrices& m) {
      return dequantize(c, m.span(m.a, DType::kInt8), 0.071F, m.span(m.floats, DType::kFloat32));
    });
    add_op("requantize", 2, [](Context& c, Matrices& m) {
      return requantize(c, m.span(m.a, DType::kInt8), 0.07F, 0.05F, m.span(m.out, DType::kInt8));
    });
  }
  for (const std::string& row : rows_here(elementwise_kernels())) {
    add_bench("add_int8/" + row + "/20000x64", [=](S& s) {
      bench_op(s, row, 3, [](Context& c, Matrices& m) {
        return add(c, m.span(m.a, DType::kInt8), m.span(m.b, DType::kInt8), 0.7F, 0.4F, Activation::kReLU,
                   m.span(m.out, DType::kInt8));
      });
    });
    add_bench("relu_int8/" + row + "/20000x64", [=](S& s) {
      bench_op(s, row, 2, [](Context& c, Matrices& m) {
        return relu(c, m.span(m.a, DType::kInt8), m.span(m.out, DType::kInt8));
      });
    });
  }
  for (const std::string& row : rows_here(scatter_dense_kernels())) {
    add_bench("scatter_dense/" + row + "/nchw", [=](S& s) { bench_scatter(s, row, DenseLayout::kNCHW); });
    add_bench("scatter_dense/" + row + "/nhwc", [=](S& s) { bench_scatter(s, row, DenseLayout::kNHWC); });
  }
  for (const std::string& row : rows_here(pooling_kernels())) {
    add_bench("pool/" + row + "/max", [=](S& s) { bench_pool(s, row, PoolKind::kMax); });
    add_bench("pool/" + row + "/average", [=](S& s) { bench_pool(s, row, PoolKind::kAverage); });
  }
  for (const std::size_t kb : {640, 1280, 3200, 4000, 8100}) {
    add_bench("memcpy/" + std::to_string(kb) + "KB", [=](S& s) { bench_memcpy(s, kb * 1000); });
  }
}

}  // namespace
}  // namespace voxgemm

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  voxgemm::register_all();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
