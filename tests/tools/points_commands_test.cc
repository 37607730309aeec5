// Proves: files of points as users have them run, or are refused by name; what columns hold, what was assumed
// and what int8 keeps of each channel is told; options that change points do what they say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/test_data.h"
#include "tests/tools/program.h"
#include "tests/tools/temporary_folder.h"
#include "tools/io/points.h"

namespace voxgemm::tools {
namespace {

using test::Outcome;
using test::read_json;
using test::TemporaryFolder;
using test::voxgemm;
using ::testing::HasSubstr;

TEST(PointsCommands, ColumnsThatAreNoneAreRefusedOrWarnedOf) {
  const TemporaryFolder folder;
  PointCloud cloud{.columns = "xyzi", .values = {}};
  for (int i = 0; i < 200; ++i) {
    for (const float value : {20.0F + 0.25F * static_cast<float>(i), 1.5F, -1.0F, 0.5F})
      cloud.values.push_back(value);
  }
  write_points(folder / "p.bin", cloud, "f32");
  const std::string points = " --repeat 1 --points " + (folder / "p.bin").string();
  for (const char* command : {"run", "bench", "inspect"}) {
    std::string work = std::string(command) + " --points " + (folder / "p.bin").string();
    const Outcome outcome = voxgemm(work);  // 200 rows of four are 160 rows of five
    EXPECT_EQ(outcome.code, 1) << outcome.out;
    EXPECT_THAT(outcome.out, HasSubstr("column 't' holds no ages in seconds")) << work;
    EXPECT_THAT(outcome.out, HasSubstr("--columns"));
  }
  EXPECT_EQ(voxgemm("run --no-sqnr --columns xyzi" + points).out.find("warning"), std::string::npos);
  const Outcome warned = voxgemm("run --no-sqnr --columns yxiz --network second" + points);
  EXPECT_EQ(warned.code, 0) << warned.out;
  EXPECT_THAT(warned.out, HasSubstr("voxgemm: warning: "));
  EXPECT_THAT(warned.out, HasSubstr("of 200 points are dropped"));
}

TEST(PointsCommands, RunTellsWhatTheColumnsHoldAndWhatWasAssumed) {
  const TemporaryFolder folder;
  PointCloud cloud{.columns = "xyzir", .values = {}};
  for (int i = 0; i < 200; ++i) {
    for (const int value : {i, 1, -1, i % 128, i % 32}) cloud.values.push_back(static_cast<float>(value) / 4);
  }
  cloud.values[3] = 255.0F;
  cloud.values[6] = std::numeric_limits<float>::quiet_NaN();
  write_points(folder / "p.npy", cloud, "f32");
  const std::string json = (folder / "a.json").string();
  const Outcome outcome =
      voxgemm("run --repeat 1 --columns xyzir --points " + (folder / "p.npy").string() + " --json " + json);
  ASSERT_EQ(outcome.code, 0) << outcome.out;
  EXPECT_THAT(outcome.out,
              HasSubstr("columns  x 0 to 49.75, y 0.25 to 0.25 (1 not finite), z -0.25 to -0.25, "
                        "i 0 to 255, r 0 to 7.75\n"));
  EXPECT_THAT(outcome.out, HasSubstr("assumed  r is not read; t is not there: zeros; i is divided by 255\n"));
  EXPECT_THAT(outcome.out, HasSubstr("\ninput SQNR in dB by channel: x "));
  EXPECT_THAT(outcome.out, HasSubstr(", t exact\n"));
  const nlohmann::json input = read_json(json)["input"];
  EXPECT_EQ(input["columns"].size(), 5U);
  EXPECT_EQ(input["columns"][1],
            (nlohmann::json{{"name", "y"}, {"min", 0.25}, {"max", 0.25}, {"not_finite", 1}}));
  EXPECT_EQ(input["assumed"].size(), 3U);
  EXPECT_EQ(input["channel_names"], (std::vector<std::string>{"x", "y", "z", "i", "t"}));
  ASSERT_EQ(input["channel_sqnr_db"].size(), 5U);
  EXPECT_GT(input["channel_sqnr_db"][0], 30.0);
  EXPECT_TRUE(input["channel_sqnr_db"][4].is_null());
}

// Two columns swapped for each other's: the one that is far too large takes the whole int8 range.
TEST(PointsCommands, AChannelThatInt8LosesIsTold) {
  const TemporaryFolder folder;
  PointCloud cloud{.columns = "xyzi", .values = {}};
  for (int i = 0; i < 100; ++i) {
    for (const float value : {20.0F, 1.5F, -1.0F, static_cast<float>(i) * 1000.0F}) {
      cloud.values.push_back(value + (value == 20.0F ? static_cast<float>(i) / 4.0F : 0.0F));
    }
  }
  write_points(folder / "p.bin", cloud, "f32");
  const Outcome outcome = voxgemm("run --repeat 1 --columns xyzi --points " + (folder / "p.bin").string());
  ASSERT_EQ(outcome.code, 0) << outcome.out;
  EXPECT_THAT(outcome.out, HasSubstr(", i 0 to 9.9e+04\n"));
  EXPECT_THAT(outcome.out, HasSubstr(", y 0.0, z 0.0, i "));
}

TEST(PointsCommands, PointsComeFromStandardInputToo) {
  const TemporaryFolder folder;
  PointCloud cloud{.columns = "xyzi", .values = {}};
  for (int i = 0; i < 100; ++i) {
    for (const float value : {0.5F * static_cast<float>(i), 1.0F, -1.0F, 0.5F}) cloud.values.push_back(value);
  }
  for (const std::string format : {"bin", "npy"}) {
    const std::string file = (folder / ("p." + format)).string();
    write_points(file, cloud, "f32");
    const auto checksum = [&](const std::string& points) {
      const Outcome outcome = voxgemm("run --repeat 1 --no-sqnr --columns xyzi " + points);
      EXPECT_EQ(outcome.code, 0) << outcome.out;
      EXPECT_EQ(outcome.out.find(file) == std::string::npos,
                outcome.out.starts_with("input    standard input\n"));
      return outcome.out.substr(outcome.out.find("output checksum"));
    };
    const std::string own = checksum("--points " + file);
    EXPECT_EQ(checksum("--points - --format " + format + " <" + file), own);
  }
  const Outcome other =
      voxgemm("inspect --compare - --compare-format npy --sweeps 1 <" + (folder / "p.npy").string());
  EXPECT_EQ(other.code, 0) << other.out;
  EXPECT_THAT(other.out, HasSubstr(" against standard input\n"));
  const Outcome closed = voxgemm("run --points - --format bin <&-");
  EXPECT_EQ(closed.code, 1) << closed.out;
  EXPECT_THAT(closed.out, HasSubstr("voxgemm: standard input: "));
  const Outcome empty = voxgemm("run --points - --format ply </dev/null");
  EXPECT_EQ(empty.code, 1) << empty.out;
  EXPECT_EQ(empty.out, "voxgemm: standard input: not a .ply file (the first line is not 'ply')\n");
}

TEST(PointsCommands, IntensitiesAndNearPointsAsTheOptionsSay) {
  const TemporaryFolder folder;
  PointCloud cloud{.columns = "xyzi", .values = {}};
  for (int i = 0; i < 100; ++i) {  // two at (0, 0, 0), one at (0.5, 0, 0)
    const float x = i < 2 ? 0.0F : 0.25F * static_cast<float>(i);
    for (const float value : {x, i < 3 ? 0.0F : 0.5F, 0.0F, 250.0F}) cloud.values.push_back(value);
  }
  write_points(folder / "p.npy", cloud, "f32");
  const std::string work = "run --repeat 1 --no-sqnr --points " + (folder / "p.npy").string() + " --json " +
                           (folder / "a").string();
  const Outcome plain = voxgemm(work);
  EXPECT_EQ(plain.code, 0) << plain.out;
  EXPECT_THAT(plain.out, HasSubstr("2 of 100 points lie at (0, 0, 0)"));
  EXPECT_EQ(plain.out.find("intensities reach"), std::string::npos);
  EXPECT_EQ(read_json(folder / "a")["input"]["points_too_near"], 0);
  const Outcome near = voxgemm(work + " --min-distance 0.5 --intensity-scale 100");
  EXPECT_EQ(near.code, 0) << near.out;
  EXPECT_THAT(near.out, HasSubstr("points   98: 0 out of range"));
  EXPECT_THAT(near.out, HasSubstr("near     2 points more are nearer than 0.5 m: dropped\n"));
  EXPECT_THAT(near.out, HasSubstr("; i is divided by 100\n"));
  EXPECT_THAT(near.out, HasSubstr("intensities reach 2.5 where networks get 0 to 1"));
  EXPECT_EQ(near.out.find("(0, 0, 0)"), std::string::npos);
  EXPECT_EQ(read_json(folder / "a")["input"]["points_too_near"], 2);
  EXPECT_EQ(read_json(folder / "a")["input"]["points"], 98);
  const Outcome none = voxgemm(work + " --min-distance 1000");
  EXPECT_EQ(none.code, 1);
  EXPECT_THAT(none.out, HasSubstr("all 100 points are nearer than 1000 m (--min-distance)"));
}

TEST(PointsCommands, FilesOfUsersAreReadAsTheyAreMeant) {
  const std::filesystem::path folder = voxgemm::test::test_data() / "trials";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no trials in the test data (VOXGEMM_TEST_DATA)";
  const auto run = [&](const std::string& arguments) {
    return voxgemm("run --repeat 1 --no-sqnr --points " + folder.string() + "/" + arguments);
  };
  for (const char* file : {"kitti_xyzi.bin", "xyzi_ring.bin"}) {
    const Outcome outcome = run(file);
    EXPECT_EQ(outcome.code, 1) << outcome.out;
    EXPECT_THAT(outcome.out, HasSubstr("column 't' holds no ages")) << file;
  }
  const Outcome kitti = run("kitti_xyzi.bin --columns xyzi");
  EXPECT_EQ(kitti.code, 0) << kitti.out;
  EXPECT_THAT(kitti.out, HasSubstr("voxels   1,999 of shape"));
  for (const char* file : {"xyzi_ring.bin --columns xyzir", "ouster_t_ns.pcd", "rows_plain.pcd",
                           "fortran_order.npy", "upper_case_fields.pcd", "plus_sign.pcd"}) {
    const Outcome outcome = run(file);
    EXPECT_EQ(outcome.code, 0) << outcome.out;
    EXPECT_THAT(outcome.out, HasSubstr(": 0 out of range")) << file;
  }
  for (const char* file : {"rows_extra_value.pcd", "points_less_than_width.pcd", "descr_newline.npy"}) {
    const Outcome outcome = run(file);
    EXPECT_EQ(outcome.code, 1) << outcome.out;
    EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 1) << outcome.out;
  }
}

}  // namespace
}  // namespace voxgemm::tools
