// Kernel maps: one submanifold map against hash maps, and all maps of a backbone, on a real frame where there
// is one (VOXGEMM_TEST_DATA) and on a made one otherwise. Each comparison runs its sides in turn inside one
// loop and reports the least time of each, so that their ratio means something on a busy machine.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <limits>
#include <string>
#include <vector>

#include "bench/pairs/hash_maps.h"
#include "pairs/pair_network.h"
#include "tests/support/scenes.h"
#include "tests/support/test_data.h"

namespace voxgemm {
namespace {

using test::Scene;

Scene frame() {
  const std::filesystem::path root = test::test_data();
  const Dims shape{41, 1440, 1440};
  const auto file = root / "nvidia_centerpoint/in_indices_bzyx.i32.tensor";
  if (root.empty() || !std::filesystem::exists(file)) return test::lidar_scene(shape, 1, 80000, 1);
  return {"centerpoint", shape, 1, test::read_array(file).as<std::int32_t>()};
}

// Processor time of this thread: other programs on the machine do not count.
double thread_milliseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

template <typename Work>
double milliseconds(Work&& work) {
  const double begin = thread_milliseconds();
  work();
  return thread_milliseconds() - begin;
}

// A network ready to run, with its memory.
class Prepared {
 public:
  Prepared(std::int32_t threads, const Scene& scene, const std::string& row = "",
           InputRows rows = InputRows::kAsGiven)
      : context_({.threads = threads, .kernels = {.force = row}}), network_(context_), scene_(scene) {
    network_.add_input(scene.shape, scene.batch, scene.n(), rows);
  }
  PairNetwork& network() { return network_; }
  void finish() {
    network_.finalize();
    buffer_ = Buffer(context_, network_.workspace_bytes());
    check(network_.prepare(context_, workspace()), "prepare");
    run();
  }
  [[nodiscard]] Workspace workspace() const { return {buffer_.data(), buffer_.bytes()}; }
  void run() {
    check(network_.run(context_, scene_.indices.data(), scene_.n(), nullptr, workspace()), "run");
  }

 private:
  Context context_;
  PairNetwork network_;
  Buffer buffer_;
  const Scene& scene_;
};

ConvGeometry subm3() { return {.kind = ConvKind::kSubm, .kernel_size = {3, 3, 3}}; }

void require_same(const std::vector<std::int32_t>& want, const IndicePairsView& got) {
  for (std::int32_t k = 0; k < got.kv; ++k) {
    const std::int32_t* row = got.pair_fwd + k * got.pair_stride;
    if (!std::equal(row, row + got.num_out, want.begin() + static_cast<std::ptrdiff_t>(k) * got.num_out)) {
      throw std::runtime_error("the hash map disagrees at offset " + std::to_string(k));
    }
  }
}

// One 27-offset submanifold map, one thread: from indices in input order to tile pairs, and to pair_fwd.
void submanifold_map(benchmark::State& state, const std::string& row, bool sorted_input) {
  const Scene scene = sorted_input ? test::canonical(frame()) : frame();
  Prepared tiles(1, scene, row);
  tiles.network().add_map(0, subm3(), {.forms = kTilePairs});
  tiles.finish();
  Prepared table(1, scene, row);
  table.network().add_map(0, subm3(), {.forms = kPairTable});
  table.finish();
  bench::HashMapPairs hash(scene.shape, scene.indices);
  require_same(hash.unordered_map(), table.network().map_view(0, table.workspace()));
  require_same(hash.flat_hash(), table.network().map_view(0, table.workspace()));
  require_same(hash.flat_hash_symmetric(), table.network().map_view(0, table.workspace()));
  std::array<double, 5> least{};
  least.fill(std::numeric_limits<double>::max());
  for (auto _ : state) {
    const std::array<double, 5> now{milliseconds([&] { tiles.run(); }), milliseconds([&] { table.run(); }),
                                    milliseconds([&] { hash.unordered_map(); }),
                                    milliseconds([&] { hash.flat_hash(); }),
                                    milliseconds([&] { hash.flat_hash_symmetric(); })};
    for (std::size_t i = 0; i < now.size(); ++i) least[i] = std::min(least[i], now[i]);
  }
  state.counters["voxels"] = scene.n();
  state.counters["tiles_ms"] = least[0];
  state.counters["table_ms"] = least[1];
  state.counters["unordered_ms"] = least[2];
  state.counters["flat_ms"] = least[3];
  state.counters["flat13_ms"] = least[4];
  state.counters["tiles_vs_unordered"] = least[2] / least[0];
  state.counters["tiles_vs_flat"] = least[3] / least[0];
  state.counters["table_vs_unordered"] = least[2] / least[1];
  state.counters["table_vs_flat"] = least[3] / least[1];
}
BENCHMARK_CAPTURE(submanifold_map, avx512_windows, "avx512_windows", false)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(25);
BENCHMARK_CAPTURE(submanifold_map, avx512_windows_sorted_input, "avx512_windows", true)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(25);
BENCHMARK_CAPTURE(submanifold_map, avx2_windows, "avx2_windows", false)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(25);
BENCHMARK_CAPTURE(submanifold_map, scalar_windows, "scalar_windows", false)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(25);

// The eight maps of the CenterPoint backbone, levels cascaded; an engine has the rows by key.
void backbone_maps(benchmark::State& state, PairForms forms, InputRows rows) {
  const Scene scene = frame();
  Prepared all(static_cast<std::int32_t>(state.range(0)), scene, "", rows);
  const auto strided = [](Dims kernel, Dims stride, Dims padding) {
    return ConvGeometry{
        .kind = ConvKind::kRegular, .kernel_size = kernel, .stride = stride, .padding = padding};
  };
  std::int32_t level = 0;
  const PairOptions options{.forms = forms, .out_capacity = 2 * scene.n()};
  for (const ConvGeometry& down :
       {strided({3, 3, 3}, {2, 2, 2}, {1, 1, 1}), strided({3, 3, 3}, {2, 2, 2}, {1, 1, 1}),
        strided({3, 3, 3}, {2, 2, 2}, {0, 1, 1}), strided({3, 1, 1}, {2, 1, 1}, {0, 0, 0})}) {
    all.network().add_map(level, subm3(), options);
    level = all.network().level_of_output(all.network().add_map(level, down, options));
  }
  all.finish();
  double least = std::numeric_limits<double>::max();
  for (auto _ : state) {
    const auto begin = std::chrono::steady_clock::now();
    all.run();
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - begin;
    least = std::min(least, time.count());
  }
  state.counters["least_ms"] = least;
  state.counters["workspace_MB"] = static_cast<double>(all.workspace().size()) * 1e-6;
}
BENCHMARK_CAPTURE(backbone_maps, sites_only, 0, InputRows::kByKey)
    ->Arg(1)
    ->Unit(benchmark::kMillisecond)
    ->MinTime(1.0);
BENCHMARK_CAPTURE(backbone_maps, tiles_as_given, kTilePairs, InputRows::kAsGiven)
    ->Arg(1)
    ->Arg(2)
    ->Unit(benchmark::kMillisecond)
    ->MinTime(1.0);
BENCHMARK_CAPTURE(backbone_maps, tiles_by_key, kTilePairs, InputRows::kByKey)
    ->Arg(1)
    ->Arg(2)
    ->Unit(benchmark::kMillisecond)
    ->MinTime(1.0);

}  // namespace
}  // namespace voxgemm

BENCHMARK_MAIN();
