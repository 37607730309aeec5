// Proves: build_indice_pairs equals brute force over random geometries in 1 to 4 axes, in every form, for
// each scene and both structures; submanifold keeps the input order, others are in ascending key order;
// capacity keeps the smallest keys; bad rows are named; geometries are checked.
#include "voxgemm/indice_pairs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "kernels/pairs/pairs.h"
#include "tests/pairs/brute_force.h"
#include "tests/support/scenes.h"

namespace voxgemm {
namespace {

using test::BruteMap;
using test::Scene;

ErrorCode code_of(const auto& action) {
  try {
    action();
  } catch (const Error& e) {
    return e.code();
  }
  return ErrorCode::kOk;
}

Dims random_shape(int ndim, std::uint64_t seed) {
  static constexpr std::array<std::array<std::int32_t, 4>, 4> kShapes{
      {{{1, 1, 1, 130}}, {{1, 1, 9, 70}}, {{1, 5, 6, 11}}, {{3, 4, 5, 6}}}};
  Dims shape = Dims::filled(ndim, 1);
  for (int a = 0; a < ndim; ++a) {
    shape[a] = kShapes[static_cast<std::size_t>(ndim - 1)][static_cast<std::size_t>(4 - ndim + a)] +
               static_cast<std::int32_t>((seed >> a) % 3);
  }
  return shape;
}

class RandomGeometry : public testing::TestWithParam<int> {};

TEST_P(RandomGeometry, EqualsBruteForce) {
  const int ndim = GetParam();
  const Context machine({.threads = 1});
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const Dims shape = random_shape(ndim, seed);
    const Scene scene = test::random_scene(shape, 1 + static_cast<std::int32_t>(seed % 2),
                                           0.02 + 0.04 * static_cast<double>(seed % 5), seed);
    const ConvGeometry geometry = test::random_geometry(shape, seed * 7 + static_cast<std::uint64_t>(ndim));
    SCOPED_TRACE("seed " + std::to_string(seed) + " kernel " + to_string(geometry.kernel_size) + " stride " +
                 to_string(geometry.stride));
    const BruteMap want = test::brute_force(scene, geometry);
    for (const PairsKernel& row : pairs_kernels()) {
      if (!machine.supports(row.isa)) continue;
      SCOPED_TRACE(row.name);
      Context context({.threads = 1, .kernels = {.force = std::string(row.name)}});
      const std::int32_t tile_rows = seed % 2 == 0 ? 16 : 1000;  // below and above a block of the kernels
      const IndicePairs pairs = build_indice_pairs(context, scene.view(), geometry, {.tile_rows = tile_rows});
      EXPECT_EQ(pairs.out_shape(), want.out_shape);
      EXPECT_TRUE(pairs.status().ok());
      EXPECT_EQ(pairs.num_out_wanted(), want.num_out);
      test::expect_map(pairs.view(), want, pairs.num_pairs());
      if (HasFatalFailure()) return;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Axes, RandomGeometry, testing::Values(1, 2, 3, 4));

TEST(IndicePairs, SmallScenes) {
  Context context({.threads = 1});
  for (const Scene& scene : test::small_scenes()) {
    if (scene.shape.product() * scene.batch > 4000) continue;  // too much for nested loops
    for (ConvKind kind : {ConvKind::kSubm, ConvKind::kRegular, ConvKind::kTransposed}) {
      ConvGeometry geometry{.kind = kind, .kernel_size = {3, 3, 3}};
      if (kind != ConvKind::kSubm) geometry.stride = {2, 2, 2};
      SCOPED_TRACE(scene.name);
      const IndicePairs pairs = build_indice_pairs(context, scene.view(), geometry);
      test::expect_map(pairs.view(), test::brute_force(scene, geometry), pairs.num_pairs());
    }
  }
}

TEST(IndicePairs, LargestKernelVolume) {
  Context context({.threads = 1});
  const Scene scene = test::random_scene({9, 8, 10}, 1, 0.3, 5);
  const ConvGeometry geometry{.kind = ConvKind::kSubm, .kernel_size = {7, 7, 7}};
  const IndicePairs pairs = build_indice_pairs(context, scene.view(), geometry, {.tile_rows = 100});
  EXPECT_EQ(pairs.view().mask_words, 11);
  test::expect_map(pairs.view(), test::brute_force(scene, geometry), pairs.num_pairs());
}

TEST(IndicePairs, OutputsAscendWhateverTheInputOrder) {
  Context context({.threads = 1});
  const Scene scene = test::random_scene({6, 20, 30}, 2, 0.1, 9);
  const ConvGeometry geometry{
      .kind = ConvKind::kRegular, .kernel_size = {3, 3, 3}, .stride = {2, 2, 2}, .padding = {1, 1, 1}};
  const IndicePairs a = build_indice_pairs(context, scene.view(), geometry);
  std::vector<std::int32_t> permutation;
  const Scene other = test::shuffled(scene, 3, &permutation);
  const IndicePairs b = build_indice_pairs(context, other.view(), geometry);
  ASSERT_EQ(a.num_out(), b.num_out());
  const std::size_t entries = static_cast<std::size_t>(a.num_out()) * 4;
  EXPECT_TRUE(std::equal(a.view().out_indices, a.view().out_indices + entries, b.view().out_indices));
  const auto ta = a.tight_pair_fwd();
  const auto tb = b.tight_pair_fwd();
  for (std::size_t at = 0; at < ta.size(); ++at) {
    ASSERT_EQ(ta[at], tb[at] < 0 ? -1 : permutation[static_cast<std::size_t>(tb[at])]);
  }
}

TEST(IndicePairs, PermutedInputPermutesSubm) {
  Context context({.threads = 1});
  const Scene scene = test::random_scene({6, 20, 30}, 2, 0.1, 10);
  const ConvGeometry geometry{.kind = ConvKind::kSubm, .kernel_size = {3, 3, 3}};
  const IndicePairs a = build_indice_pairs(context, scene.view(), geometry);
  std::vector<std::int32_t> permutation;  // old row of each new row
  const Scene other = test::shuffled(scene, 4, &permutation);
  const IndicePairs b = build_indice_pairs(context, other.view(), geometry);
  const auto ta = a.tight_pair_fwd();
  const auto tb = b.tight_pair_fwd();
  const auto n = static_cast<std::size_t>(scene.n());
  for (std::size_t k = 0; k < 27; ++k) {
    for (std::size_t i = 0; i < n; ++i) {
      const std::int32_t got = tb[k * n + i];
      ASSERT_EQ(got < 0 ? -1 : permutation[static_cast<std::size_t>(got)],
                ta[k * n + static_cast<std::size_t>(permutation[i])]);
    }
  }
}

TEST(IndicePairs, CapacityKeepsTheSmallestKeys) {
  Context context({.threads = 1});
  const Scene scene = test::random_scene({6, 7, 30}, 1, 0.2, 11);
  const ConvGeometry geometry{.kind = ConvKind::kRegular, .kernel_size = {3, 3, 3}, .padding = {1, 1, 1}};
  const BruteMap all = test::brute_force(scene, geometry);
  for (std::int32_t capacity : {1, 2, 63, all.num_out - 1, all.num_out, all.num_out + 5}) {
    SCOPED_TRACE(capacity);
    const IndicePairs pairs = build_indice_pairs(context, scene.view(), geometry, {.out_capacity = capacity});
    EXPECT_EQ(pairs.num_out_wanted(), all.num_out);
    EXPECT_EQ(pairs.num_out(), std::min(capacity, all.num_out));
    EXPECT_EQ(pairs.status().code, capacity < all.num_out ? ErrorCode::kCapacity : ErrorCode::kOk);
    if (capacity < all.num_out) {
      EXPECT_EQ(pairs.status().step, 0);
      EXPECT_EQ(pairs.status().value, all.num_out);
      EXPECT_EQ(pairs.status().limit, capacity);
    }
    test::expect_map(pairs.view(), test::brute_force(scene, geometry, capacity), pairs.num_pairs());
  }
}

TEST(IndicePairs, MakesOnlyTheFormsAskedFor) {
  Context context({.threads = 1});
  const Scene scene = test::random_scene({6, 7, 8}, 1, 0.2, 12);
  const ConvGeometry geometry{.kind = ConvKind::kSubm, .kernel_size = {3, 3, 3}};
  const BruteMap want = test::brute_force(scene, geometry);
  for (PairForms forms = 0; forms < 32; ++forms) {
    const IndicePairs pairs = build_indice_pairs(context, scene.view(), geometry, {.forms = forms});
    const IndicePairsView& v = pairs.view();
    EXPECT_EQ(v.pair_fwd != nullptr, (forms & (kPairTable | kBlockPairs)) != 0);
    EXPECT_EQ(v.mask != nullptr, (forms & (kPairTable | kBlockPairs)) != 0);
    EXPECT_EQ(v.blocks.order != nullptr, (forms & kBlockPairs) != 0);
    EXPECT_EQ(v.pair_bwd != nullptr, (forms & kPairBackward) != 0);
    EXPECT_EQ(v.tiles.start != nullptr, (forms & kTilePairs) != 0);
    EXPECT_EQ(v.tiles_bwd.start != nullptr, (forms & kTilePairsBackward) != 0);
    test::expect_map(v, want, forms == 0 ? want.pairs : pairs.num_pairs());
  }
}

TEST(IndicePairs, InverseIsTheMapFromTheOtherSide) {
  Context context({.threads = 1});
  const Scene scene = test::random_scene({6, 7, 30}, 2, 0.1, 13);
  const ConvGeometry geometry{
      .kind = ConvKind::kRegular, .kernel_size = {3, 3, 3}, .stride = {2, 2, 2}, .padding = {1, 1, 1}};
  const IndicePairs pairs = build_indice_pairs(context, scene.view(), geometry, {.tile_rows = 32});
  BruteMap want = test::brute_force(scene, geometry);
  std::swap(want.fwd, want.bwd);
  std::swap(want.n_in, want.num_out);
  want.out_indices.clear();
  IndicePairsView v = inverse(pairs.view());
  EXPECT_EQ(v.mask, nullptr);
  EXPECT_EQ(v.pair_fwd, pairs.view().pair_bwd);
  ASSERT_EQ(v.num_out, want.num_out);
  v.pair_fwd = nullptr;  // its table was compared as pair_bwd elsewhere; here it has no masks to compare
  v.pair_bwd = pairs.view().pair_fwd;
  test::expect_map(v, want, pairs.num_pairs());
  const IndicePairs forward_only = build_indice_pairs(context, scene.view(), geometry, {.forms = kPairTable});
  EXPECT_EQ(code_of([&] { (void)inverse(forward_only.view()); }), ErrorCode::kInvalidArgument);
}

TEST(IndicePairs, NamesTheFirstBadRow) {
  Context context({.threads = 1});
  const ConvGeometry geometry{.kind = ConvKind::kSubm, .kernel_size = {3, 3, 3}};
  Scene scene = test::random_scene({6, 7, 8}, 2, 0.3, 14);
  const auto expect_error = [&](const Scene& bad, ErrorCode code, const std::string& row) {
    try {
      (void)build_indice_pairs(context, bad.view(), geometry);
      ADD_FAILURE() << "accepted";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), code);
      EXPECT_NE(std::string(e.what()).find(row), std::string::npos) << e.what();
    }
  };
  Scene duplicate = scene;
  std::copy_n(duplicate.indices.begin() + 4 * 5, 4, duplicate.indices.begin() + 4 * 29);
  expect_error(duplicate, ErrorCode::kDuplicate, "29");
  for (int column = 0; column < 4; ++column) {
    for (std::int32_t value : {-1, column == 0 ? 2 : scene.shape[column - 1], INT32_MAX, INT32_MIN}) {
      Scene outside = scene;
      outside.indices[static_cast<std::size_t>(4 * 17 + column)] = value;
      expect_error(outside, ErrorCode::kOutOfRange, "17");
    }
  }
}

TEST(IndicePairs, DescribesItsStructure) {
  Context context({.threads = 1});
  const Scene scene = test::single_scene({6, 7, 8});
  const ConvGeometry geometry{.kind = ConvKind::kSubm, .kernel_size = {3, 3, 3}};
  const IndicePairs pairs = build_indice_pairs(context, scene.view(), geometry);
  EXPECT_NE(pairs.describe().find("bitmap"), std::string::npos) << pairs.describe();
  SparseTensorView huge = scene.view();
  huge.spatial_shape = {200, 4000, 4000};
  huge.batch_size = 4;
  const IndicePairs ranked = build_indice_pairs(context, huge, geometry);
  EXPECT_NE(ranked.describe().find("ranked words"), std::string::npos) << ranked.describe();
  EXPECT_EQ(ranked.num_pairs(), 1);
  huge.spatial_shape = {2000, 4000, 4000};
  const IndicePairs sorted = build_indice_pairs(context, huge, geometry);
  EXPECT_NE(sorted.describe().find("sorted words"), std::string::npos) << sorted.describe();
  EXPECT_EQ(sorted.num_pairs(), 1);
}

TEST(ConvGeometry, OutputShape) {
  const ConvGeometry strided{
      .kind = ConvKind::kRegular, .kernel_size = {3, 3, 3}, .stride = {2, 2, 2}, .padding = {0, 1, 1}};
  EXPECT_EQ(strided.out_shape({11, 360, 360}), (Dims{5, 180, 180}));
  const ConvGeometry transposed{.kind = ConvKind::kTransposed,
                                .kernel_size = {3},
                                .stride = {2},
                                .padding = {1},
                                .dilation = {2},
                                .out_padding = {1}};
  EXPECT_EQ(transposed.out_shape({10}), (Dims{(10 - 1) * 2 - 2 + 2 * 2 + 1 + 1}));
  const ConvGeometry subm{.kind = ConvKind::kSubm, .kernel_size = {3, 5}, .padding = {7, 7}};
  EXPECT_EQ(subm.out_shape({4, 4}), (Dims{4, 4}));
  EXPECT_EQ(subm.normalized(2), (ConvGeometry{.kind = ConvKind::kSubm, .kernel_size = {3, 5}}.normalized(2)));
  // floor, not truncation: an input smaller than the kernel has no output
  const ConvGeometry wide{.kind = ConvKind::kRegular, .kernel_size = {5}, .stride = {2}};
  EXPECT_EQ(code_of([&] { (void)wide.out_shape({4}); }), ErrorCode::kShape);
}

TEST(ConvGeometry, RefusesBadValues) {
  const auto code = [](const ConvGeometry& g) { return code_of([&] { (void)g.normalized(2); }); };
  const ConvGeometry good{.kind = ConvKind::kRegular, .kernel_size = {3, 3}};
  EXPECT_EQ(code(good), ErrorCode::kOk);
  ConvGeometry g = good;
  g.kernel_size = {3};
  EXPECT_EQ(code(g), ErrorCode::kShape);
  g = good;
  g.kernel_size = {19, 19};
  EXPECT_EQ(code(g), ErrorCode::kInvalidArgument);
  g = good;
  g.stride = {0, 1};
  EXPECT_EQ(code(g), ErrorCode::kInvalidArgument);
  g = good;
  g.padding = {-1, 0};
  EXPECT_EQ(code(g), ErrorCode::kInvalidArgument);
  g = good;
  g.out_padding = {1, 1};
  EXPECT_EQ(code(g), ErrorCode::kInvalidArgument);
  g = {.kind = ConvKind::kSubm, .kernel_size = {2, 3}};
  EXPECT_EQ(code(g), ErrorCode::kInvalidArgument);
  g = {.kind = ConvKind::kSubm, .kernel_size = {3, 3}, .stride = {2, 1}};
  EXPECT_EQ(code(g), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace voxgemm
