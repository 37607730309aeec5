// Proves, on real scans: the site and pair counts of every map of the backbone equal those computed
// independently, and output sites of strided maps equal spconv's as sets.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "pairs/pair_network.h"
#include "tests/support/test_data.h"
#include "voxgemm/indice_pairs.h"

namespace voxgemm {
namespace {

using test::Array;

nlohmann::json read_json(const std::filesystem::path& file) {
  std::ifstream in(file);
  return nlohmann::json::parse(in);
}

Dims dims_of(const nlohmann::json& values) {
  Dims dims;
  for (const auto& v : values) dims[dims.ndim++] = v.get<std::int32_t>();
  return dims;
}

std::set<std::vector<std::int32_t>> rows_of(const std::int32_t* indices, std::int64_t n, int columns) {
  std::set<std::vector<std::int32_t>> rows;
  for (std::int64_t i = 0; i < n; ++i) rows.emplace(indices + i * columns, indices + (i + 1) * columns);
  return rows;
}

void expect_counts(const nlohmann::json& layers, const Dims& shape,
                   const std::vector<std::int32_t>& indices) {
  Context context({.threads = 2});
  const auto n = static_cast<std::int32_t>(indices.size() / 4);
  PairNetwork network(context);
  std::int32_t level = network.add_input(shape, 1, n);
  const auto strided = [](Dims kernel, Dims stride, Dims padding) {
    return ConvGeometry{
        .kind = ConvKind::kRegular, .kernel_size = kernel, .stride = stride, .padding = padding};
  };
  const std::vector<ConvGeometry> down{
      strided({3, 3, 3}, {2, 2, 2}, {1, 1, 1}), strided({3, 3, 3}, {2, 2, 2}, {1, 1, 1}),
      strided({3, 3, 3}, {2, 2, 2}, {0, 1, 1}), strided({3, 1, 1}, {2, 1, 1}, {0, 0, 0})};
  std::vector<std::int32_t> maps;
  const PairOptions options{.forms = kTilePairs, .out_capacity = 200000};
  for (const ConvGeometry& g : down) {
    maps.push_back(network.add_map(level, {.kind = ConvKind::kSubm, .kernel_size = {3, 3, 3}}, options));
    maps.push_back(network.add_map(level, g, options));
    level = network.level_of_output(maps.back());
  }
  network.finalize();
  Buffer buffer(context, network.workspace_bytes());
  const Workspace workspace{buffer.data(), buffer.bytes()};
  ASSERT_TRUE(network.prepare(context, workspace).ok());
  ASSERT_TRUE(network.run(context, indices.data(), n, nullptr, workspace).ok());
  ASSERT_EQ(layers.size(), maps.size());
  for (std::size_t m = 0; m < maps.size(); ++m) {
    SCOPED_TRACE(layers[m]["op"].get<std::string>());
    EXPECT_EQ(network.num_pairs(maps[m], workspace), layers[m]["pairs"].get<std::int64_t>());
    const std::int32_t num_out = network.map_view(maps[m], workspace).num_out;
    const bool subm = layers[m].contains("sites");
    EXPECT_EQ(num_out, layers[m][subm ? "sites" : "sites_out"].get<std::int32_t>());
    EXPECT_EQ(network.level_shape(network.level_of_output(maps[m])),
              dims_of(layers[m][subm ? "spatial_shape_zyx" : "out_spatial_shape_zyx"]));
  }
}

TEST(GoldenPairs, CountsOfTheBackbone) {
  const auto root = test::test_data();
  if (root.empty()) GTEST_SKIP() << "no test data";
  const auto counts = read_json(root / "golden_counts.json")["derived_site_and_pair_counts"];
  expect_counts(counts["nvidia_centerpoint"], {41, 1440, 1440},
                test::read_array(root / "nvidia_centerpoint/in_indices_bzyx.i32.tensor").as<std::int32_t>());
  expect_counts(counts["spconv_testdata"], {80, 1600, 1600},
                test::read_array(root / "spconv_testdata/coors_bzyx_i32.npy").as<std::int32_t>());
}

TEST(GoldenPairs, OutputSitesEqualSpconvs) {
  const auto folders = test::case_folders("golden_spconv_int8");
  if (folders.empty()) GTEST_SKIP() << "no test data";
  Context context({.threads = 1});
  for (const auto& folder : folders) {
    SCOPED_TRACE(folder.filename().string());
    const auto meta = read_json(folder / "meta.json");
    const auto in = test::read_array(folder / "in_indices.npy").as<std::int32_t>();
    const auto want = test::read_array(folder / "out_indices.npy").as<std::int32_t>();
    ConvGeometry g{.kind = meta["subm"].get<bool>() ? ConvKind::kSubm : ConvKind::kRegular,
                   .kernel_size = dims_of(meta["kernel_size"]),
                   .stride = dims_of(meta["stride"]),
                   .padding = dims_of(meta["padding"]),
                   .dilation = dims_of(meta["dilation"])};
    SparseTensorView input;
    input.indices = in.data();
    input.spatial_shape = dims_of(meta["spatial_shape_zyx"]);
    input.batch_size = meta["batch_size"].get<std::int32_t>();
    input.num_voxels = input.capacity = static_cast<std::int32_t>(in.size() / 4);
    const IndicePairs pairs = build_indice_pairs(context, input, g);
    const auto got = rows_of(pairs.view().out_indices, pairs.num_out(), 4);
    EXPECT_EQ(got.size(), static_cast<std::size_t>(pairs.num_out()));
    EXPECT_EQ(got, rows_of(want.data(), static_cast<std::int64_t>(want.size() / 4), 4));
  }
}

}  // namespace
}  // namespace voxgemm
