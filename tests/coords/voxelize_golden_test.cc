// Proves: both published voxel counts come out exactly, the published coordinates too, and every recorded
// point-to-voxel case of spconv bit for bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "tests/support/test_data.h"
#include "voxgemm/voxelize.h"

namespace voxgemm {
namespace {

using nlohmann::json;

json read_json(const std::filesystem::path& file) { return json::parse(std::ifstream(file)); }

std::array<float, 3> three(const json& values, std::size_t first = 0) {
  return {values[first].get<float>(), values[first + 1].get<float>(), values[first + 2].get<float>()};
}

struct Count {
  VoxelizeCounts counts;
  std::set<std::vector<std::int32_t>> zyx;
};

Count count_voxels(const json& golden, const PointsView& cloud, std::int32_t threads) {
  const VoxelGrid grid{.min_xyz = three(golden["range_min_xyz"]),
                       .max_xyz = three(golden["range_max_xyz"]),
                       .voxel_size_xyz = three(golden["voxel_size_xyz"]),
                       .max_voxels = 200000,
                       .max_points_per_voxel = 10};
  const Dims cells = grid.grid_zyx();
  for (int a = 0; a < 3; ++a)
    EXPECT_EQ(cells[a], golden["grid_xyz"][static_cast<std::size_t>(2 - a)].get<int>());
  Context context({.threads = threads});
  SparseTensor out(context, cells, 1, grid.max_voxels, cloud.columns, DType::kFloat32);
  Count count;
  count.counts = voxelize(context, {&cloud, 1}, grid, out)[0];
  for (std::int32_t r = 0; r < out.num_voxels(); ++r) {
    const std::int32_t* row = out.indices() + 4 * r;
    count.zyx.insert({row[1], row[2], row[3]});
  }
  EXPECT_EQ(count.zyx.size(), static_cast<std::size_t>(count.counts.voxels));
  return count;
}

TEST(VoxelizeGolden, PublishedCountOfTenSweeps) {
  const auto root = test::test_data();
  if (root.empty()) GTEST_SKIP() << "VOXGEMM_TEST_DATA names no folder";
  const json golden = read_json(root / "golden_counts.json")["nuscenes_10sweeps"];
  const auto points = test::read_raw<std::uint16_t>(root / golden["file"].get<std::string>());
  for (const std::int32_t threads : {1, 4}) {
    const Count count = count_voxels(
        golden, {points.data(), DType::kFloat16, static_cast<std::int64_t>(points.size() / 5), 5, 0},
        threads);
    EXPECT_EQ(count.counts.voxels, golden["voxels"].get<std::int32_t>());
    EXPECT_EQ(count.counts.points - count.counts.out_of_range, golden["points_in_range"].get<std::int64_t>());
    EXPECT_EQ(count.counts.not_finite, 0);
  }
}

TEST(VoxelizeGolden, PublishedCoordinatesOfTheBenchmarkCloud) {
  const auto root = test::test_data();
  if (root.empty()) GTEST_SKIP() << "VOXGEMM_TEST_DATA names no folder";
  const json golden = read_json(root / "golden_counts.json")["spconv_benchmark"];
  const auto array = test::read_array(root / golden["file"].get<std::string>());
  const auto points = array.as<float>();
  const Count count = count_voxels(golden, {points.data(), DType::kFloat32, array.rows(), 3, 0}, 1);
  EXPECT_EQ(count.counts.voxels, golden["voxels"].get<std::int32_t>());
  EXPECT_EQ(count.counts.points - count.counts.out_of_range, golden["points_in_range"].get<std::int64_t>());
  const auto published = test::read_array(root / "spconv_testdata" / "coors_bzyx_i32.npy").as<std::int32_t>();
  std::set<std::vector<std::int32_t>> zyx;
  for (std::size_t i = 0; i < published.size(); i += 4) {
    zyx.insert({published[i + 1], published[i + 2], published[i + 3]});
  }
  EXPECT_EQ(count.zyx, zyx);
}

void check_case(const std::filesystem::path& folder, const json& ctor) {
  const auto array = test::read_array(folder / "points.npy");
  const auto points = array.as<float>();
  const VoxelGrid grid{.min_xyz = three(ctor["coors_range_xyz"]),
                       .max_xyz = three(ctor["coors_range_xyz"], 3),
                       .voxel_size_xyz = three(ctor["vsize_xyz"]),
                       .max_voxels = ctor["max_num_voxels"].get<std::int32_t>(),
                       .max_points_per_voxel = ctor["max_num_points_per_voxel"].get<std::int32_t>()};
  const auto columns = ctor["num_point_features"].get<std::int32_t>();
  Context context({.threads = 1});
  SparseTensor out(context, grid.grid_zyx(), 1, grid.max_voxels, columns, DType::kFloat32);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(array.rows()));
  std::vector<std::int32_t> kept(static_cast<std::size_t>(grid.max_voxels));
  std::vector<float> voxels(kept.size() * static_cast<std::size_t>(grid.max_points_per_voxel * columns));
  const PointsView cloud{points.data(), DType::kFloat32, array.rows(), columns, 0};
  voxelize(context, {&cloud, 1}, grid, out, {ids, kept, voxels});

  const auto zyx = test::read_array(folder / "indices_zyx.npy").as<std::int32_t>();
  ASSERT_EQ(static_cast<std::size_t>(out.num_voxels()) * 3, zyx.size());
  for (std::size_t r = 0; r < zyx.size() / 3; ++r) {
    EXPECT_EQ(out.indices()[4 * r], 0);
    for (std::size_t a = 0; a < 3; ++a) EXPECT_EQ(out.indices()[4 * r + 1 + a], zyx[3 * r + a]);
  }
  kept.resize(zyx.size() / 3);
  EXPECT_EQ(kept, test::read_array(folder / "num_per_voxel.npy").as<std::int32_t>());
  EXPECT_EQ(ids, test::read_array(folder / "pc_voxel_id.npy").as<std::int32_t>());
  const auto expected = test::read_array(folder / "voxels.npy").as<float>();
  voxels.resize(expected.size());
  EXPECT_EQ(voxels, expected);
}

TEST(VoxelizeGolden, RecordedCases) {
  int cases = 0;
  for (const auto& folder : test::case_folders("golden_spconv")) {
    const json meta = read_json(folder / "meta.json");
    if (!meta.contains("ctor") || !meta["ctor"].contains("max_num_voxels")) continue;
    SCOPED_TRACE(folder.filename());
    check_case(folder, meta["ctor"]);
    ++cases;
  }
  if (test::test_data().empty()) GTEST_SKIP() << "VOXGEMM_TEST_DATA names no folder";
  EXPECT_GE(cases, 1);
}

}  // namespace
}  // namespace voxgemm
