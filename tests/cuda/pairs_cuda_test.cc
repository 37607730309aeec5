// Proves: every table, mask, row order and site list that a PairNetwork builds on CUDA equals the CPU's, over
// random geometries of one to four axes, real frames, all counts from 0 to the capacity on one workspace,
// overflow of any level; bad coordinates are reported and harmless; one captured graph replays for changing
// counts, which also shows that run() neither synchronises nor allocates. Does not prove speed.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

#include "pairs/pair_network.h"
#include "tests/cuda/cuda_support.h"
#include "tests/support/test_data.h"

namespace voxgemm {
namespace {

using test::CudaTest;

struct Step {
  std::int32_t in_level = 0;
  ConvGeometry geometry{};
  PairOptions options{};
};

struct Case {
  Dims shape{};
  std::int32_t batch = 1;
  std::int32_t capacity = 0;
  std::vector<Step> steps;
};

PairNetwork make_network(Context& context, const Case& c) {
  PairNetwork network(context);
  network.add_input(c.shape, c.batch, c.capacity);
  for (const Step& step : c.steps) network.add_map(step.in_level, step.geometry, step.options);
  network.finalize();
  return network;
}

/// A network on one device with its workspace.
struct Instance {
  Context context;
  PairNetwork network;
  Buffer bytes;

  Instance(Context&& ctx, const Case& c)
      : context(std::move(ctx)),
        network(make_network(context, c)),
        bytes(context, network.workspace_bytes()) {
    EXPECT_TRUE(network.prepare(context, workspace()).ok());
  }
  [[nodiscard]] Workspace workspace() const { return {bytes.data(), bytes.bytes()}; }
};

/// Everything a map holds, in host memory and without padding.
struct Products {
  std::int32_t n_in = 0;
  std::int32_t num_out = 0;
  std::vector<std::int32_t> out_indices, pair_fwd, pair_bwd;
  std::vector<std::uint32_t> mask;
  std::vector<std::vector<std::int32_t>> argsort;
};

template <typename T>
std::vector<T> fetch(Instance& at, const T* data, std::int64_t count) {
  const auto n = static_cast<std::size_t>(count);
  if (at.context.device().kind == DeviceKind::kCuda) return test::download(at.context, data, n);
  return {data, data + n};
}

std::vector<std::int32_t> fetch_table(Instance& at, const std::int32_t* table, std::int64_t stride,
                                      std::int32_t kv, std::int32_t rows) {
  std::vector<std::int32_t> tight;
  for (std::int32_t k = 0; k < kv; ++k) {
    const auto line = fetch(at, table + k * stride, rows);
    tight.insert(tight.end(), line.begin(), line.end());
  }
  return tight;
}

Products fetch_map(Instance& at, std::int32_t map, std::int32_t ndim) {
  const IndicePairsView v = at.network.map_view(map, at.workspace());
  Products p;
  p.n_in = v.device_n_in != nullptr ? fetch(at, v.device_n_in, 1)[0] : v.n_in;
  p.num_out = v.device_num_out != nullptr ? fetch(at, v.device_num_out, 1)[0] : v.num_out;
  p.out_indices = fetch(at, v.out_indices, std::int64_t{p.num_out} * (1 + ndim));
  if (v.pair_fwd != nullptr) {
    p.pair_fwd = fetch_table(at, v.pair_fwd, v.pair_stride, v.kv, p.num_out);
    p.mask = fetch(at, v.mask, std::int64_t{p.num_out} * v.mask_words);
  }
  if (v.pair_bwd != nullptr) p.pair_bwd = fetch_table(at, v.pair_bwd, v.bwd_stride, v.kv, p.n_in);
  for (std::int32_t j = 0; j < v.mask_splits; ++j) {
    const std::int32_t* order = v.mask_argsort[static_cast<std::size_t>(j)];
    if (order != nullptr) p.argsort.push_back(fetch(at, order, p.num_out));
  }
  return p;
}

void expect_tile_masks(Instance& gpu, std::int32_t map, const Products& p) {
  const IndicePairsView v = gpu.network.map_view(map, gpu.workspace());
  if (v.pair_fwd == nullptr || v.mask_splits != 1) return;
  ASSERT_EQ(v.tile_mask_rows, 64);
  const std::int32_t tiles = (p.num_out + 63) / 64;
  std::vector<std::uint32_t> want(static_cast<std::size_t>(tiles) * static_cast<std::size_t>(v.mask_words));
  for (std::int32_t i = 0; i < p.num_out; ++i) {
    const std::int32_t row = p.argsort.empty() ? i : p.argsort[0][static_cast<std::size_t>(i)];
    for (std::int32_t w = 0; w < v.mask_words; ++w) {
      want[static_cast<std::size_t>(i / 64 * v.mask_words + w)] |=
          p.mask[static_cast<std::size_t>(row * v.mask_words + w)];
    }
  }
  EXPECT_EQ(fetch(gpu, v.tile_masks, std::int64_t{tiles} * v.mask_words), want);
}

void expect_equal(Instance& cpu, Instance& gpu, const Case& c, const std::string& what) {
  for (std::int32_t m = 0; m < cpu.network.num_maps(); ++m) {
    SCOPED_TRACE(what + ", map " + std::to_string(m));
    const Products a = fetch_map(cpu, m, c.shape.ndim);
    const Products b = fetch_map(gpu, m, c.shape.ndim);
    ASSERT_EQ(a.n_in, b.n_in);
    ASSERT_EQ(a.num_out, b.num_out);
    ASSERT_EQ(a.out_indices, b.out_indices);
    ASSERT_EQ(a.pair_fwd, b.pair_fwd);
    ASSERT_EQ(a.mask, b.mask);
    ASSERT_EQ(a.pair_bwd, b.pair_bwd);
    ASSERT_EQ(a.argsort, b.argsort);
    expect_tile_masks(gpu, m, b);
  }
}

/// Unique sites in random order.
std::vector<std::int32_t> random_sites(std::mt19937& rng, const Case& c, std::int32_t n) {
  std::set<std::vector<std::int32_t>> sites;
  const auto pick = [&](std::int32_t extent) {
    return static_cast<std::int32_t>(rng() % static_cast<std::uint32_t>(extent));
  };
  const std::int64_t cells = c.shape.product() * c.batch;
  const auto most = static_cast<std::size_t>(std::min<std::int64_t>(n, cells));
  while (sites.size() < most) {
    std::vector<std::int32_t> site{pick(c.batch)};
    for (int a = 0; a < c.shape.ndim; ++a) site.push_back(pick(c.shape[a]));
    sites.insert(site);
  }
  std::vector<std::vector<std::int32_t>> rows(sites.begin(), sites.end());
  std::shuffle(rows.begin(), rows.end(), rng);
  std::vector<std::int32_t> flat;
  for (const auto& row : rows) flat.insert(flat.end(), row.begin(), row.end());
  return flat;
}

constexpr PairForms kForms = kPairTable | kPairBackward;

PairOptions random_options(std::mt19937& rng, std::int32_t kv, std::int32_t out_capacity) {
  PairOptions o;
  o.forms = kForms;
  o.order = static_cast<RowOrder>(rng() % 3);
  o.mask_splits =
      1 + static_cast<std::int32_t>(rng() % static_cast<std::uint32_t>(std::min(kv, kMaxMaskSplits)));
  o.out_capacity = out_capacity;
  return o;
}

ConvGeometry random_geometry(std::mt19937& rng, int ndim) {
  ConvGeometry g;
  g.kind = static_cast<ConvKind>(rng() % 3);
  g.kernel_size = g.stride = g.padding = g.dilation = g.out_padding = Dims::filled(ndim, 0);
  for (int a = 0; a < ndim; ++a) {
    const bool subm = g.kind == ConvKind::kSubm;
    g.kernel_size[a] =
        subm ? 1 + 2 * static_cast<std::int32_t>(rng() % 3) : 1 + static_cast<std::int32_t>(rng() % 4);
    g.stride[a] = subm ? 1 : 1 + static_cast<std::int32_t>(rng() % 3);
    g.dilation[a] = 1 + static_cast<std::int32_t>(rng() % 2);
    g.padding[a] = subm ? 0 : static_cast<std::int32_t>(rng() % 3);
    g.out_padding[a] = 0;
  }
  return g;
}

Case random_case(std::mt19937& rng) {
  Case c;
  const int ndim = 1 + static_cast<int>(rng() % 4);
  const std::int32_t limit[] = {3000, 150, 70, 20};
  c.shape = Dims::filled(ndim, 1);
  for (int a = 0; a < ndim; ++a) {
    c.shape[a] = 8 + static_cast<std::int32_t>(rng() % static_cast<std::uint32_t>(limit[ndim - 1]));
  }
  c.batch = 1 + static_cast<std::int32_t>(rng() % 3);
  c.capacity = 1000;
  std::vector<Dims> shapes{c.shape};
  const int steps = 1 + static_cast<int>(rng() % 4);
  for (int s = 0; s < steps; ++s) {
    Step step;
    step.in_level = static_cast<std::int32_t>(rng() % shapes.size());
    const Dims in = shapes[static_cast<std::size_t>(step.in_level)];
    step.geometry = random_geometry(rng, ndim);
    try {
      const Dims out = step.geometry.normalized(ndim).out_shape(in);
      step.options = random_options(rng, step.geometry.kernel_volume(), 4000);
      c.steps.push_back(step);
      if (step.geometry.kind != ConvKind::kSubm) shapes.push_back(out);
    } catch (const Error&) {
      continue;  // the drawn kernel does not fit the shape
    }
  }
  if (c.steps.empty())
    c.steps.push_back(
        {0, {.kind = ConvKind::kSubm, .kernel_size = Dims::filled(ndim, 3)}, {.forms = kForms}});
  return c;
}

struct Frame {
  Buffer indices;
  Buffer count;
  std::int32_t n = 0;
};

void run_both(Instance& cpu, Instance& gpu, const Case& c, const std::vector<std::int32_t>& sites,
              const std::string& what, bool overflow_allowed = true) {
  const auto n = static_cast<std::int32_t>(sites.size()) / (1 + c.shape.ndim);
  const Status host = cpu.network.run(cpu.context, sites.data(), n, nullptr, cpu.workspace());
  Buffer device = test::upload(gpu.context, sites);
  const Status enqueued =
      gpu.network.run(gpu.context, device.as<std::int32_t>(), n, nullptr, gpu.workspace());
  ASSERT_TRUE(enqueued.ok()) << to_string(enqueued);
  const Status found = gpu.network.status(gpu.context, gpu.workspace());
  EXPECT_EQ(host.code, found.code) << what << ": " << to_string(host) << " / " << to_string(found);
  if (host.code == ErrorCode::kCapacity) {
    EXPECT_TRUE(overflow_allowed);
    EXPECT_EQ(host.step, found.step);
    EXPECT_EQ(host.value, found.value);
    EXPECT_EQ(host.limit, found.limit);
  }
  expect_equal(cpu, gpu, c, what);
}

using PairsCuda = CudaTest;

TEST_F(PairsCuda, RandomGeometriesEqualCpu) {
  std::mt19937 rng(20240611);
  for (int i = 0; i < 80; ++i) {
    const Case c = random_case(rng);
    Instance cpu(Context({.threads = 1}), c);
    Instance gpu(test::cuda_context(), c);
    for (const std::int32_t n : {700, 0, 1, 1000, 37}) {
      run_both(cpu, gpu, c, random_sites(rng, c, n),
               "case " + std::to_string(i) + ", n " + std::to_string(n));
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(PairsCuda, LargeKernelsAndManyMaskWords) {
  std::mt19937 rng(5);
  Case c;
  c.shape = {30, 40, 140};
  c.batch = 2;
  c.capacity = 3000;
  c.steps = {{0,
              {.kind = ConvKind::kSubm, .kernel_size = {7, 7, 7}},
              {.forms = kForms, .order = RowOrder::kFullMask}},
             {0,
              {.kind = ConvKind::kSubm, .kernel_size = {5, 5, 5}, .dilation = {2, 1, 3}},
              {.forms = kForms, .order = RowOrder::kFullMask, .mask_splits = 4}}};
  Instance cpu(Context({.threads = 1}), c);
  Instance gpu(test::cuda_context(), c);
  run_both(cpu, gpu, c, random_sites(rng, c, 3000), "kv 343");
}

// Every level too small in turn: the smallest keys are kept and levels below are made from those.
TEST_F(PairsCuda, OverflowKeepsTheSmallestKeys) {
  std::mt19937 rng(77);
  const ConvGeometry down{
      .kind = ConvKind::kRegular, .kernel_size = {3, 3, 3}, .stride = {2, 2, 2}, .padding = {1, 1, 1}};
  for (const std::int32_t first : {5000, 300, 64, 1}) {
    for (const std::int32_t second : {4000, 100}) {
      Case c;
      c.shape = {20, 100, 200};
      c.capacity = 900;
      c.steps = {{0, down, {.forms = kForms, .order = RowOrder::kFullMask, .out_capacity = first}},
                 {1,
                  {.kind = ConvKind::kSubm, .kernel_size = {3, 3, 3}},
                  {.forms = kForms, .order = RowOrder::kPatternKey}},
                 {1, down, {.forms = kForms, .out_capacity = second}}};
      Instance cpu(Context({.threads = 1}), c);
      Instance gpu(test::cuda_context(), c);
      const std::string what = std::to_string(first) + "/" + std::to_string(second);
      run_both(cpu, gpu, c, random_sites(rng, c, 900), what);
      run_both(cpu, gpu, c, random_sites(rng, c, 3), what + " after");
      if (HasFatalFailure()) return;
    }
  }
}

// More levels from one level than one numbering pass marks.
TEST_F(PairsCuda, ManyLevelsFromOne) {
  std::mt19937 rng(8);
  Case c;
  c.shape = {16, 64, 130};
  c.capacity = 800;
  for (std::int32_t s = 1; s <= 7; ++s) {
    c.steps.push_back({0,
                       {.kind = ConvKind::kRegular, .kernel_size = {2, 2, 3}, .stride = {1, s, s}},
                       {.forms = kForms, .out_capacity = 20000}});
  }
  Instance cpu(Context({.threads = 1}), c);
  Instance gpu(test::cuda_context(), c);
  run_both(cpu, gpu, c, random_sites(rng, c, 800), "fan-out");
}

TEST_F(PairsCuda, BadCoordinatesAreReportedAndHarmless) {
  Case c;
  c.shape = {10, 20, 100};
  c.batch = 2;
  c.capacity = 64;
  c.steps = {
      {0,
       {.kind = ConvKind::kSubm, .kernel_size = {3, 3, 3}},
       {.forms = kForms, .order = RowOrder::kPatternKey}},
      {0,
       {.kind = ConvKind::kRegular, .kernel_size = {3, 3, 3}, .stride = {2, 2, 2}, .padding = {1, 1, 1}},
       {.forms = kForms, .out_capacity = 500}}};
  Instance gpu(test::cuda_context(), c);
  Instance cpu(Context({.threads = 1}), c);
  const std::vector<std::int32_t> good{0, 1, 2, 3, 1, 9, 19, 99, 0, 1, 2, 4};
  const auto run = [&](const std::vector<std::int32_t>& sites) {
    Buffer device = test::upload(gpu.context, sites);
    const auto n = static_cast<std::int32_t>(sites.size() / 4);
    EXPECT_TRUE(gpu.network.run(gpu.context, device.as<std::int32_t>(), n, nullptr, gpu.workspace()).ok());
    EXPECT_TRUE(gpu.context.synchronize().ok());
  };
  const auto with = [&](std::vector<std::int32_t> extra) {
    std::vector<std::int32_t> sites = good;
    sites.insert(sites.end(), extra.begin(), extra.end());
    return sites;
  };
  for (const std::vector<std::int32_t>& bad : {std::vector<std::int32_t>{2, 0, 0, 0},
                                               {-1, 0, 0, 0},
                                               {0, 10, 0, 0},
                                               {0, 0, -1, 0},
                                               {0, 0, 0, 100},
                                               {0, 0, 0, 0x7FFFFFFF},
                                               {0, static_cast<std::int32_t>(0x80000000U), 0, 0}}) {
    run(with(bad));
    const Status status = gpu.network.status(gpu.context, gpu.workspace());
    EXPECT_EQ(status.code, ErrorCode::kOutOfRange);
    EXPECT_EQ(status.value, 3);
  }
  run(with({0, 0, 0, 0, 1, 9, 19, 99, 0, 1, 2, 3}));
  run(good);  // sticky: a later good frame does not hide it
  Status status = gpu.network.status(gpu.context, gpu.workspace());
  EXPECT_EQ(status.code, ErrorCode::kDuplicate);
  EXPECT_EQ(status.value, 4);
  EXPECT_TRUE(gpu.network.status(gpu.context, gpu.workspace()).ok());  // read once
  run_both(cpu, gpu, c, good, "after bad frames", false);
}

TEST_F(PairsCuda, MoreRowsThanTheCapacityAreReported) {
  Case c;
  c.shape = {8, 8, 8};
  c.capacity = 4;
  c.steps = {{0, {.kind = ConvKind::kSubm, .kernel_size = {3, 3, 3}}, {.forms = kForms}}};
  Instance gpu(test::cuda_context(), c);
  std::mt19937 rng(3);
  Buffer device = test::upload(gpu.context, random_sites(rng, c, 9));
  Buffer count = test::upload(gpu.context, std::vector<std::int32_t>{9});
  EXPECT_TRUE(
      gpu.network.run(gpu.context, device.as<std::int32_t>(), 0, count.as<std::int32_t>(), gpu.workspace())
          .ok());
  const Status status = gpu.network.status(gpu.context, gpu.workspace());
  EXPECT_EQ(status.code, ErrorCode::kCapacity);
  EXPECT_EQ(status.value, 9);
  EXPECT_EQ(status.limit, 4);
}

/// The kernel maps of the CenterPoint backbone.
Case centerpoint(std::int32_t capacity, RowOrder subm_order, RowOrder down_order) {
  Case c;
  c.shape = {41, 1440, 1440};
  c.capacity = capacity;
  const ConvGeometry subm{.kind = ConvKind::kSubm, .kernel_size = {3, 3, 3}};
  const auto down = [](Dims padding) {
    return ConvGeometry{
        .kind = ConvKind::kRegular, .kernel_size = {3, 3, 3}, .stride = {2, 2, 2}, .padding = padding};
  };
  const PairOptions same{.forms = kPairTable, .order = subm_order};
  const PairOptions made{.forms = kPairTable, .order = down_order, .out_capacity = capacity};
  c.steps = {{0, subm, same},
             {0, down({1, 1, 1}), made},
             {1, subm, same},
             {1, down({1, 1, 1}), made},
             {2, subm, same},
             {2, down({0, 1, 1}), made},
             {3, subm, same},
             {3, {.kind = ConvKind::kRegular, .kernel_size = {3, 1, 1}, .stride = {2, 1, 1}}, made}};
  return c;
}

std::vector<std::int32_t> centerpoint_frame() {
  return test::read_array(test::test_data() / "nvidia_centerpoint" / "in_indices_bzyx.i32.tensor")
      .as<std::int32_t>();
}

TEST_F(PairsCuda, CenterPointFrameEqualsCpu) {
  if (test::test_data().empty()) GTEST_SKIP() << "VOXGEMM_TEST_DATA is not set";
  const std::vector<std::int32_t> sites = centerpoint_frame();
  for (const auto& [subm, down] : {std::pair{RowOrder::kPatternKey, RowOrder::kNone},
                                   std::pair{RowOrder::kFullMask, RowOrder::kFullMask}}) {
    const Case c = centerpoint(160000, subm, down);
    Instance cpu(Context({.threads = 2}), c);
    Instance gpu(test::cuda_context(), c);
    run_both(cpu, gpu, c, sites, "nvidia_centerpoint", false);
  }
}

// The count is read on the device: one graph for growing and shrinking frames, empty ones, and overflowing
// ones.
TEST_F(PairsCuda, OneGraphReplaysForAnyCount) {
  std::mt19937 rng(99);
  Case c = centerpoint(6000, RowOrder::kPatternKey, RowOrder::kFullMask);
  c.shape = {41, 200, 300};
  c.batch = 2;
  Instance cpu(Context({.threads = 1}), c);
  Instance gpu(test::cuda_context(), c);
  Buffer indices(gpu.context, std::size_t{6000} * 16);
  Buffer count(gpu.context, sizeof(std::int32_t));
  test::CapturedGraph graph(gpu.context, [&] {
    EXPECT_TRUE(
        gpu.network.run(gpu.context, indices.as<std::int32_t>(), 0, count.as<std::int32_t>(), gpu.workspace())
            .ok());
  });
  for (const std::int32_t n : {6000, 0, 1, 2500, 6000, 77, 0, 4096, 1}) {
    const std::vector<std::int32_t> sites = random_sites(rng, c, n);
    if (n > 0) indices.upload(gpu.context, sites.data(), sites.size() * 4);
    count.upload(gpu.context, &n, sizeof n);
    graph.replay();
    const Status host = cpu.network.run(cpu.context, sites.data(), n, nullptr, cpu.workspace());
    const Status found = gpu.network.status(gpu.context, gpu.workspace());
    EXPECT_EQ(host.code, found.code);
    EXPECT_EQ(host.value, found.value);
    expect_equal(cpu, gpu, c, "replay n " + std::to_string(n));
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace voxgemm
