// Proves: every table, mask, row order and site list that a PairNetwork builds on CUDA equals the CPU's, over
// random geometries of one to four axes, real frames, all counts from 0 to the capacity on one workspace,
// overflow of any level; bad coordinates are reported and harmless; one captured graph replays for changing
// counts, which also shows that run() neither synchronises nor allocates. Does not prove speed.
#include <gtest/gtest.h>

#include <random>

#include "tests/cuda/pairs_support.h"
#include "tests/support/test_data.h"

namespace voxgemm {
namespace {

using test::Case;
using test::CudaTest;
using test::expect_equal;
using test::Instance;
using test::kForms;
using test::random_sites;
using test::run_both;
using test::Step;

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

// Grids that no bitmap holds: hashed words, sorted by word, for the input, the levels below, and a mix of
// both.
TEST_F(PairsCuda, HugeGridsEqualCpu) {
  std::mt19937 rng(31);
  const ConvGeometry down{
      .kind = ConvKind::kRegular, .kernel_size = {3, 3, 3}, .stride = {2, 2, 2}, .padding = {1, 1, 1}};
  for (const Dims& shape : {Dims{200, 6000, 9000}, Dims{4000, 400000, 300000}}) {
    Case c;
    c.shape = shape;
    c.batch = 2;
    c.capacity = 2000;
    c.steps = {{0,
                {.kind = ConvKind::kSubm, .kernel_size = {3, 3, 3}},
                {.forms = kForms, .order = RowOrder::kPatternKey}},
               {0, down, {.forms = kForms, .order = RowOrder::kFullMask, .out_capacity = 9000}},
               {1, {.kind = ConvKind::kSubm, .kernel_size = {3, 5, 3}}, {.forms = kForms}},
               {1, down, {.forms = kForms, .out_capacity = 700}}};  // too small
    Instance cpu(Context({.threads = 1}), c);
    Instance gpu(test::cuda_context(), c);
    EXPECT_NE(gpu.network.describe_level(0).find("hashed"), std::string::npos);
    Case box = c;  // sites near each other, in one corner of the grid and around its middle
    box.shape = {20, 40, 90};
    for (const std::int32_t n : {2000, 0, 1, 600}) {
      std::vector<std::int32_t> sites = random_sites(rng, box, n);
      for (std::size_t i = 0; i < sites.size(); i += 8) {
        for (int a = 0; a < 3; ++a) sites[i + 1 + static_cast<std::size_t>(a)] += shape[a] / 2;
      }
      run_both(cpu, gpu, c, sites, to_string(shape) + " n " + std::to_string(n));
      if (HasFatalFailure()) return;
    }
  }
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
