// The plan that tests of pair networks share, a backend with its workspace, and a snapshot of its views.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pairs/cpu/backend.h"
#include "tests/support/scenes.h"

namespace voxgemm::pair_tests {

inline const Dims kShape{12, 40, 70};
inline constexpr std::int32_t kCapacity = 40000;
inline constexpr IndexLimits kBitmaps{.bitmap_bytes = std::size_t{1} << 40};
inline constexpr IndexLimits kRankedWords{.bitmap_bytes = 0, .ranked_bytes = std::size_t{1} << 40};
inline constexpr IndexLimits kSortedWords{.bitmap_bytes = 0, .ranked_bytes = 0};
inline constexpr IndexLimits kMixed{.bitmap_bytes = 4000,
                                    .ranked_bytes = std::size_t{1} << 40};  // ranked, then bitmaps
inline constexpr std::array kStructures{kBitmaps, kRankedWords, kSortedWords, kMixed};

inline ConvGeometry subm3() { return {.kind = ConvKind::kSubm, .kernel_size = {3, 3, 3}}; }
inline ConvGeometry strided() {
  return {.kind = ConvKind::kRegular, .kernel_size = {3, 3, 3}, .stride = {2, 2, 2}, .padding = {1, 1, 1}};
}
inline ConvGeometry transposed() {
  return {.kind = ConvKind::kTransposed, .kernel_size = {2, 2, 2}, .stride = {2, 2, 2}};
}

// subm, down, subm, down with another kernel, subm k5, up; every form, orders of all sorts.
inline PairPlan make_plan(std::int32_t capacity = kCapacity, std::int32_t batch = 2) {
  PairPlan plan;
  plan.levels.push_back({kShape, batch, capacity, -1});
  const auto add = [&](std::int32_t in, ConvGeometry g, RowOrder order, std::int32_t splits,
                       std::int32_t tile) {
    g = g.normalized(3);
    std::int32_t out = in;
    if (g.kind != ConvKind::kSubm) {
      out = static_cast<std::int32_t>(plan.levels.size());
      plan.levels.push_back({g.out_shape(plan.levels[static_cast<std::size_t>(in)].shape), batch, capacity,
                             static_cast<std::int32_t>(plan.maps.size())});
    }
    PairOptions options{.forms = PairOptions{}.forms | kBlockPairs,
                        .order = order,
                        .mask_splits = splits,
                        .out_capacity = capacity,
                        .tile_rows = tile};
    plan.maps.push_back({g, in, out, options});
    return out;
  };
  add(0, subm3(), RowOrder::kPatternKey, 1, 64);
  const std::int32_t l1 = add(0, strided(), RowOrder::kFullMask, 2, 100);
  add(l1, subm3(), RowOrder::kNone, 1, 700);  // more than one block of the kernels a tile
  const std::int32_t l2 = add(
      l1, {.kind = ConvKind::kRegular, .kernel_size = {2, 3, 4}, .stride = {1, 2, 3}, .dilation = {2, 1, 1}},
      RowOrder::kNone, 4, 16);
  add(l2, {.kind = ConvKind::kSubm, .kernel_size = {1, 5, 5}, .dilation = {1, 2, 1}}, RowOrder::kNone, 1, 0);
  add(l1, transposed(), RowOrder::kFullMask, 3, 33);
  return plan;
}

// A backend, its workspace filled with rubbish before prepare(), and a snapshot of all that its views show.
struct Fixture {
  Context context;
  PairPlan plan;
  std::unique_ptr<PairBackend> backend;
  std::vector<std::byte> bytes;
  std::uint64_t stamp_word = 0;

  Fixture(PairPlan p, const IndexLimits& limits, std::int32_t threads, const std::string& row = "")
      : context({.threads = threads, .kernels = {.force = row}}),
        plan(p),
        backend(make_cpu_pair_backend(context, p, limits)) {
    bytes.assign(backend->workspace_bytes() + 256, std::byte{0xA5});
    EXPECT_TRUE(backend->prepare(context, stamp(), workspace()).ok());
  }
  Workspace workspace() {
    const auto address = reinterpret_cast<std::uintptr_t>(bytes.data());
    return {bytes.data() + (align_up(address) - address), backend->workspace_bytes()};
  }
  Status run(const test::Scene& scene) {
    return backend->run(context, scene.indices.data(), scene.n(), nullptr, stamp(), workspace());
  }
  Stamp stamp() { return {&stamp_word, 1}; }
};

inline std::vector<std::int64_t> snapshot(Fixture& f) {
  std::vector<std::int64_t> all;
  const auto add = [&](const auto* values, std::int64_t count) {
    all.insert(all.end(), values, values + count);
  };
  for (std::size_t m = 0; m < f.plan.maps.size(); ++m) {
    const auto map = static_cast<std::int32_t>(m);
    const IndicePairsView v = f.backend->map_view(map, f.workspace());
    all.push_back(v.num_out);
    all.push_back(f.backend->num_pairs(map, f.workspace()));
    add(v.out_indices, v.num_out * 4);
    for (std::int32_t k = 0; k < v.kv; ++k) {
      add(v.pair_fwd + k * v.pair_stride, v.num_out);
      add(v.pair_bwd + k * v.bwd_stride, v.n_in);
    }
    add(v.mask, static_cast<std::int64_t>(v.num_out) * v.mask_words);
    for (std::int32_t j = 0; j < v.mask_splits; ++j) {
      const std::int32_t* order = v.mask_argsort[static_cast<std::size_t>(j)];
      if (order != nullptr) add(order, v.num_out);
    }
    add(v.blocks.order, v.num_out);
    for (std::int64_t b = 0; b * kPairBlockRows < v.num_out; ++b) {
      add(v.blocks.num_steps + b, 1);
      add(v.blocks.offsets + b * v.kv, v.blocks.num_steps[b]);
      add(v.blocks.in_rows + b * v.kv * kPairBlockRows,
          static_cast<std::int64_t>(v.blocks.num_steps[b]) * kPairBlockRows);
    }
    for (const TilePairsView& t : {v.tiles, v.tiles_bwd}) {
      const std::int64_t entries = static_cast<std::int64_t>(t.num_tiles) * v.kv;
      add(t.start, entries + 1);
      add(t.in_rows, t.start[entries]);
      add(t.out_rows, t.start[entries]);
    }
  }
  return all;
}

inline test::Scene lidar(std::int32_t voxels, std::uint64_t seed) {
  return test::lidar_scene(kShape, 2, voxels, seed);
}

}  // namespace voxgemm::pair_tests
