// A pair network on one device, what it built in host memory, and the comparison of two devices.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "pairs/pair_network.h"
#include "tests/cuda/cuda_support.h"

namespace voxgemm::test {

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

inline PairNetwork make_network(Context& context, const Case& c) {
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
  if (at.context.device().kind == DeviceKind::kCuda) return download(at.context, data, n);
  return {data, data + n};
}

inline std::vector<std::int32_t> fetch_table(Instance& at, const std::int32_t* table, std::int64_t stride,
                                             std::int32_t kv, std::int32_t rows) {
  std::vector<std::int32_t> tight;
  for (std::int32_t k = 0; k < kv; ++k) {
    const auto line = fetch(at, table + k * stride, rows);
    tight.insert(tight.end(), line.begin(), line.end());
  }
  return tight;
}

inline Products fetch_map(Instance& at, std::int32_t map, std::int32_t ndim) {
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

inline void expect_equal(Instance& cpu, Instance& gpu, const Case& c, const std::string& what) {
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
  }
}

/// Unique sites in random order.
inline std::vector<std::int32_t> random_sites(std::mt19937& rng, const Case& c, std::int32_t n) {
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

inline constexpr PairForms kForms = kPairTable | kPairBackward;

inline void run_both(Instance& cpu, Instance& gpu, const Case& c, const std::vector<std::int32_t>& sites,
                     const std::string& what, bool overflow_allowed = true) {
  const auto n = static_cast<std::int32_t>(sites.size()) / (1 + c.shape.ndim);
  const Status host = cpu.network.run(cpu.context, sites.data(), n, nullptr, cpu.workspace());
  Buffer device = upload(gpu.context, sites);
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

}  // namespace voxgemm::test
