// Proves: run, bench and inspect work end to end on a small frame, their JSON has the documented fields, and
// the output checksum is the same for every kernel that runs here and for any number of threads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>

#include "tests/support/test_data.h"
#include "tests/tools/program.h"
#include "tests/tools/temporary_folder.h"
#include "tools/io/points.h"
#include "voxgemm/context.h"

namespace voxgemm::tools {
namespace {

using test::Outcome;
using test::read_json;
using test::TemporaryFolder;
using test::voxgemm;
using ::testing::HasSubstr;

/// A range of 20 m by 20 m: a few thousand voxels, so that even the scalar rows are quick.
const std::string kSmall = " --sweeps 2 --seed 3 --range -10 -10 -5 10 10 3 ";

nlohmann::json run_json(const TemporaryFolder& folder, const std::string& options) {
  const auto file = folder / "run.json";
  std::filesystem::remove(file);
  const Outcome outcome = voxgemm("run --repeat 2 " + kSmall + options + " --json " + file.string());
  EXPECT_EQ(outcome.code, 0) << options << "\n" << outcome.out;
  return outcome.code == 0 ? read_json(file) : nlohmann::json();
}

TEST(BackboneCommands, RunPrintsTheTableAndWritesPictureAndJson) {
  const TemporaryFolder folder;
  const Outcome outcome = voxgemm("run --repeat 2" + kSmall + "--json " + (folder / "a.json").string() +
                                  " --png " + (folder / "a.png").string());
  ASSERT_EQ(outcome.code, 0) << outcome.out;
  for (const char* text : {"conv_input", "conv4.2.conv1", "GMAC/s", "SQNR dB", "voxelise", "pairs", "GEMM",
                           "other", "output checksum", "16 -> 32"}) {
    EXPECT_THAT(outcome.out, HasSubstr(text));
  }
  EXPECT_EQ(outcome.out.find('\r'), std::string::npos) << "a progress bar in a pipe";
  EXPECT_GT(std::filesystem::file_size(folder / "a.png"), 5000U);
  const nlohmann::json document = read_json(folder / "a.json");
  EXPECT_EQ(document.at("schema"), "voxgemm.run");
  EXPECT_EQ(document.at("version"), 1);
  for (const char* key :
       {"machine", "backend", "threads", "network", "precision", "forced_kernel", "seed", "repeats", "input",
        "layers", "totals", "workspace_bytes", "arena_bytes", "pairs_bytes", "graph_nodes", "output"}) {
    EXPECT_TRUE(document.contains(key)) << key;
  }
  EXPECT_GT(document["input"]["voxels"], 1000);
  EXPECT_FALSE(document["output"]["not_finite"].get<bool>());
  EXPECT_GT(document["output"]["sqnr_db"].get<double>(), 15.0);
  int convolutions = 0;
  for (const nlohmann::json& layer : document["layers"]) {
    for (const char* key : {"name", "kind", "precision", "kernel", "kernel_map", "c_in", "c_out", "kv",
                            "n_in", "n_out", "capacity", "pairs", "median_us", "p90_us", "useful_macs",
                            "issued_macs", "gmacs", "sqnr_db", "exact"}) {
      EXPECT_TRUE(layer.contains(key)) << key;
    }
    if (layer["kv"] == 0) continue;
    ++convolutions;
    EXPECT_EQ(layer["useful_macs"].get<std::int64_t>(), layer["pairs"].get<std::int64_t>() *
                                                            layer["c_in"].get<std::int64_t>() *
                                                            layer["c_out"].get<std::int64_t>());
    EXPECT_GE(layer["p90_us"].get<double>(), layer["median_us"].get<double>());
  }
  EXPECT_EQ(convolutions, 21);
  for (const char* key : {"voxelize_us", "pairs_us", "gemm_us", "other_us", "frame_median_us", "frame_p90_us",
                          "frame_p99_us"}) {
    EXPECT_GT(document["totals"].at(key).get<double>(), 0.0) << key;
  }
}

TEST(BackboneCommands, EveryKernelAndThreadCountGivesTheSameChecksum) {
  const TemporaryFolder folder;
  const Outcome kernels = voxgemm("inspect --kernels");
  ASSERT_EQ(kernels.code, 0) << kernels.out;
  std::set<std::string> checksums;
  for (const char* threads : {"1", "2", "3"}) {
    checksums.insert(
        run_json(folder, std::string("--no-sqnr --threads ") + threads)["output"]["checksum_fnv1a64"]);
  }
  std::istringstream lines(kernels.out);
  int forced = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string kernel;
    words >> kernel;
    if (!line.ends_with("runs int8")) continue;  // rows for any int8 input: they can be forced on every layer
    const std::string options = "--no-sqnr --kernel " + kernel;
    const Outcome refusal =
        voxgemm("run --repeat 1 " + kSmall + options);  // rows that leave narrow layers to others
    if (refusal.code != 0 && refusal.out.find("no kernel takes the problem") != std::string::npos) continue;
    ++forced;
    const nlohmann::json document = run_json(folder, options);
    if (document.is_null()) continue;
    checksums.insert(document["output"]["checksum_fnv1a64"]);
    for (const nlohmann::json& layer : document["layers"]) {
      EXPECT_TRUE(layer["kv"] == 0 || layer["kernel"] == kernel) << layer;
    }
  }
  EXPECT_GE(forced, 1) << kernels.out;
  EXPECT_EQ(checksums.size(), 1U);
}

TEST(BackboneCommands, SecondAndFloat32Run) {
  const TemporaryFolder folder;
  const nlohmann::json second = run_json(folder, "--network second");
  EXPECT_EQ(second["network"], "second");
  const nlohmann::json fp32 = run_json(folder, "--precision fp32");
  EXPECT_EQ(fp32["precision"], "fp32");
  EXPECT_TRUE(fp32["output"]["sqnr_db"].is_null());
}

/// Points of their own voxels of the SECOND grid, columns xyzi: first a block of 20 x 10 x 10 voxels, then
/// `more` of them, side by side behind the block or so far apart that every strided level keeps them all.
PointCloud block_and_more(int more, bool apart) {
  PointCloud cloud{.columns = "xyzi", .values = {}};
  const auto add = [&](int x, int y, int z) {
    for (const double value : {(x + 0.5) * 0.05, (y + 0.5) * 0.05 - 40.0, (z + 0.5) * 0.1 - 3.0,
                               0.1 + 0.8 * ((x * 7 + y * 3 + z) % 11) / 10.0}) {
      cloud.values.push_back(static_cast<float>(value));
    }
  };
  for (int i = 0; i < 2000; ++i) add(400 + i % 20, 800 + i / 20 % 10, 10 + i / 200);
  for (int i = 0; i < more; ++i) {
    if (apart) {
      add(500 + 16 * (i % 40), 400 + 16 * (i / 40), 5 + 10 * (i % 2));
    } else {
      add(400 + i % 20, 800 + i / 20 % 10, 20 + i / 200);
    }
  }
  return cloud;
}

TEST(BackboneCommands, MaxVoxelsIsTheNumberOfVoxelsThatRun) {
  const TemporaryFolder folder;
  const auto checksum = [&](const PointCloud& cloud, const std::string& options) {
    write_points(folder / "p.bin", cloud, "f32");
    const std::string work = " --network second --points " + (folder / "p.bin").string() + options;
    const Outcome run = voxgemm("run --repeat 1 --no-sqnr" + work + " --json " + (folder / "r").string());
    EXPECT_EQ(run.code, 0) << run.out;
    EXPECT_THAT(run.out, HasSubstr("voxels   2,000 of shape"));
    const Outcome bench = voxgemm("bench --repeat 1 --precision int8 --thread-counts 1" + work + " --json " +
                                  (folder / "b").string());
    EXPECT_EQ(bench.code, 0) << bench.out;
    EXPECT_THAT(bench.out, HasSubstr(" points, 2,000 voxels"));
    if (run.code != 0 || bench.code != 0) return std::string("no result");
    const nlohmann::json document = read_json(folder / "r");
    EXPECT_EQ(document["input"]["voxels"], 2000);
    EXPECT_EQ(document["input"]["points_beyond_max_voxels"], cloud.num_points() - 2000);
    int seen = 0;
    for (const nlohmann::json& layer : document["layers"]) {
      EXPECT_LE(layer["n_out"], layer["capacity"]) << layer;
      if (!layer["name"].get<std::string>().starts_with("conv_input")) continue;
      ++seen;
      for (const char* key : {"n_in", "n_out", "capacity"}) EXPECT_EQ(layer[key], 2000) << layer;
    }
    EXPECT_EQ(seen, 1);
    const std::string own = document["output"]["checksum_fnv1a64"];
    EXPECT_EQ(read_json(folder / "b")["results"][0]["checksum_fnv1a64"], own);
    return own;
  };
  // Voxels come in the order of their points, so what is kept is the block alone.
  const std::string block = checksum(block_and_more(0, false), "");
  EXPECT_EQ(checksum(block_and_more(0, false), " --max-voxels 20000000"), block);
  for (const bool apart : {false, true}) {
    EXPECT_EQ(checksum(block_and_more(800, apart), " --max-voxels 2000"), block) << apart;
  }
}

TEST(BackboneCommands, MaxVoxelsHoldsForFramesOfUsers) {
  const std::filesystem::path folder = voxgemm::test::test_data() / "trials";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no trials in the test data (VOXGEMM_TEST_DATA)";
  const TemporaryFolder results;
  for (const char* file : {"block_xyzi.bin", "crowded_xyzi.bin"}) {
    const std::string work = " --network second --max-voxels 2000 --repeat 1 --points " +
                             (folder / file).string() + " --json " + (results / "r.json").string();
    const Outcome run = voxgemm("run --no-sqnr" + work);
    ASSERT_EQ(run.code, 0) << file << "\n" << run.out;
    const nlohmann::json document = read_json(results / "r.json");
    EXPECT_EQ(document["input"]["voxels"], 2000) << file;
    for (const nlohmann::json& layer : document["layers"]) {
      if (!layer["name"].get<std::string>().starts_with("conv_input")) continue;
      EXPECT_EQ(layer["n_out"], 2000) << file;
    }
    const Outcome bench = voxgemm("bench" + work);
    EXPECT_EQ(bench.code, 0) << file << "\n" << bench.out;
  }
}

TEST(BackboneCommands, VoxelFilesReplacePoints) {
  const TemporaryFolder folder;
  Array indices;
  indices.element = Element::kI32;
  indices.shape = {3, 4};
  const std::vector<std::int32_t> sites{0, 1, 20, 20, 0, 1, 20, 21, 0, 2, 21, 21};
  indices.bytes.resize(sites.size() * 4);
  std::memcpy(indices.bytes.data(), sites.data(), indices.bytes.size());
  write_npy(folder / "i.npy", indices);
  Array features;
  features.shape = {3, 5};
  std::vector<float> values(15, 0.5F);
  features.bytes.resize(60);
  std::memcpy(features.bytes.data(), values.data(), 60);
  write_npy(folder / "f.npy", features);
  const std::string files =
      "--indices " + (folder / "i.npy").string() + " --features " + (folder / "f.npy").string();
  const Outcome outcome = voxgemm("run --repeat 1 --shape 41 64 64 " + files);
  EXPECT_EQ(outcome.code, 0) << outcome.out;

  values[7] = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(features.bytes.data(), values.data(), 60);
  write_npy(folder / "f.npy", features);
  EXPECT_THAT(voxgemm("run " + files).out, HasSubstr("row 1, channel 2 is nan"));
  features.shape = {5, 3};
  write_npy(folder / "f.npy", features);
  EXPECT_THAT(voxgemm("run " + files).out, HasSubstr("for the 3 rows of"));
  features.shape = {3, 5};
  values[7] = 0.0F;
  std::memcpy(features.bytes.data(), values.data(), 60);
  write_npy(folder / "f.npy", features);
  const Outcome outside = voxgemm("run --shape 41 16 16 " + files);
  EXPECT_EQ(outside.code, 1);
  EXPECT_THAT(outside.out, HasSubstr("i.npy: row 0: ("));
}

TEST(BackboneCommands, OptionsThatMakeNoSenseEndWithTwo) {
  const auto refused = [](const std::string& arguments, const std::string& text) {
    const Outcome outcome = voxgemm(arguments);
    EXPECT_EQ(outcome.code, 2) << arguments;
    EXPECT_THAT(outcome.out, HasSubstr(text)) << arguments;
    EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 1) << outcome.out;
  };
  refused("run --kernel warp9", "--kernel 'warp9' is not in the table: ");
  refused("bench --kernel warp9", "--kernel 'warp9'");
  refused("inspect --kernel warp9", "--kernel 'warp9'");
  refused("run --range 5 0 0 1 1 1", "--range and --voxel: axis x runs from 5 to 1");
  refused("run --voxel 1e-9 1e-9 1e-9", "allowed 1 to 16777216");
  refused("run --columns xyzz --points a.bin", "'z' occurs twice");
  refused("run --columns xyz", "--columns needs --points");
  refused("run --columns xyz --points a.pcd", "a.pcd names its columns itself");
  refused("run --points -", "--points - needs --format: bin, npy, pcd, ply");
  refused("run --points a.bin --format las", "--format");
  refused("run --format bin", "--format");
  refused("run --points - --format pcd --columns xyz </dev/null", "standard input names its columns itself");
  refused("inspect --compare -", "--compare - needs --compare-format");
  refused("inspect --points - --format bin --compare - --compare-format bin", "both standard input");
  refused("run --seed -1", "--seed");
  refused("run --intensity-scale -1", "--intensity-scale");
  refused("run --intensity-scale nan", "--intensity-scale");
  refused("run --min-distance -1", "--min-distance");
  refused("run --min-distance inf", "--min-distance");
  refused("run --min-distance 1m", "--min-distance");
  refused("simulate -o a.bin --speed nan", "--speed");
  refused("run --range nan 0 0 1 1 1", "--range");
  refused("run --voxel nan 1 1", "--voxel");
  refused("run --indices a.npy --features b.npy --min-distance 1", "--min-distance changes points");
  refused("run --indices a.npy --features b.npy --intensity-scale 1", "--intensity-scale changes points");
  refused("run --seed 99999999999999999999", "--seed");
}

TEST(BackboneCommands, FilesThatCannotBeWrittenAreToldBeforeTheWork) {
  for (const char* arguments : {"run --json /no/such/folder/x.json", "run --png /no/such/folder/x.png",
                                "bench --json /no/such/folder/x.json", "run --json /tmp"}) {
    const Outcome outcome = voxgemm(arguments);
    EXPECT_EQ(outcome.code, 1) << arguments;
    EXPECT_THAT(outcome.out, ::testing::MatchesRegex("voxgemm: [^\n]*cannot be written[^\n]*\n"))
        << arguments;
  }
}

TEST(BackboneCommands, OutOfMemoryNamesTheOptionsThatAskedForIt) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer ends the program itself";
#endif
  for (const std::string command :
       {"run --no-sqnr --repeat 1", "bench --repeat 1 --frames 1 --precision fp32"}) {
    const Outcome outcome =
        voxgemm(command + " --sweeps 1 --range -60000 -60000 -5 60000 60000 3 2>&1 >/dev/null; exit $?");
    EXPECT_EQ(outcome.code, 1) << command;
    EXPECT_THAT(outcome.out, ::testing::MatchesRegex(
                                 "voxgemm: output '[^\n]*: out of memory: [0-9]* bytes on cpu; asked for by "
                                 "a shape of .41, 1600000, 1600000. \\(--range, --voxel\\), up to 160000 "
                                 "voxels \\(--max-voxels\\)\n"))
        << command;
  }
}

TEST(BackboneCommands, WrongUseGivesOneLine) {
  const TemporaryFolder folder;
  const auto refused = [](const std::string& arguments, const std::string& text) {
    const Outcome outcome = voxgemm(arguments);
    EXPECT_GT(outcome.code, 0) << arguments;
    EXPECT_THAT(outcome.out, HasSubstr(text)) << arguments;
  };
  refused("run --network yolo", "yolo");
  refused("run --precision int4", "int4");
  refused("run --points nowhere.bin", "nowhere.bin: no such file");
  refused("run --indices a.npy", "--features");
  refused("run --range 1 2 3", "--range");
  refused("run --range 5 0 0 1 1 1", "axis x runs from 5 to 1");
  refused("run --sweeps 1 --kernel warp9", "warp9");
  refused("run --points " + folder.file("e.bin", "").string(), "e.bin: no points");
  refused("bench --thread-counts 0", "--thread-counts");
}

bool has_cuda() {
  try {
    const Context context({.device = Device::cuda()});
    return true;
  } catch (const Error&) {
    return false;
  }
}

TEST(BackboneCommands, CudaThatIsNotThereGivesOneLineAtOnce) {
  for (const std::string command : {"run", "bench"}) {
    const Outcome graph = voxgemm(command + " --graph");
    EXPECT_EQ(graph.code, 2);
    EXPECT_EQ(graph.out, "voxgemm: --graph needs --backend cuda\n");
    EXPECT_EQ(voxgemm(command + " --precision fp16").out, "voxgemm: --precision fp16 needs --backend cuda\n");
  }
  if (has_cuda()) GTEST_SKIP() << "this machine has CUDA";
  for (const std::string command : {"run", "run --graph", "bench", "bench --graph"}) {
    const Outcome outcome = voxgemm(command + " --backend cuda");
    EXPECT_EQ(outcome.code, 1) << command;
    EXPECT_THAT(outcome.out, ::testing::MatchesRegex("voxgemm: [^\n]*(CUDA|cuda)[^\n]*\n")) << command;
  }
}

TEST(BackboneCommands, CudaGivesTheChecksumAndCountsOfTheCpu) {
  if (!has_cuda()) GTEST_SKIP() << "no CUDA in this build or machine";
  const TemporaryFolder folder;
  const nlohmann::json cpu = run_json(folder, "");
  for (const std::string graph : {"", "--graph"}) {
    const nlohmann::json cuda = run_json(folder, "--backend cuda " + graph);
    ASSERT_FALSE(cuda.is_null());
    EXPECT_EQ(cuda["output"]["checksum_fnv1a64"], cpu["output"]["checksum_fnv1a64"]);
    EXPECT_EQ(cuda["graph_nodes"].get<int>() > 0, !graph.empty());
    ASSERT_EQ(cuda["layers"].size(), cpu["layers"].size());
    for (std::size_t i = 0; i < cpu["layers"].size(); ++i) {
      for (const char* key : {"name", "n_in", "n_out", "pairs", "useful_macs", "sqnr_db"}) {
        EXPECT_EQ(cuda["layers"][i][key], cpu["layers"][i][key]) << i << ' ' << key;
      }
      EXPECT_GT(cuda["layers"][i]["median_us"].get<double>(), 0.0) << i;
    }
    for (const char* key : {"voxelize_us", "pairs_us", "gemm_us", "other_us", "frame_median_us"}) {
      EXPECT_GT(cuda["totals"].at(key).get<double>(), 0.0) << key;
    }
  }
}

TEST(BackboneCommands, BenchReportsPercentilesAndRatio) {
  const TemporaryFolder folder;
  const Outcome outcome = voxgemm("bench --frames 2 --repeat 3 --thread-counts 1,2" + kSmall + "--json " +
                                  (folder / "b.json").string());
  ASSERT_EQ(outcome.code, 0) << outcome.out;
  for (const char* text : {"p50", "p90", "p99", "fp32 / this", "seed 4"})
    EXPECT_THAT(outcome.out, HasSubstr(text));
  const nlohmann::json document = read_json(folder / "b.json");
  EXPECT_EQ(document.at("schema"), "voxgemm.bench");
  EXPECT_EQ(document.at("frames").size(), 2U);
  EXPECT_EQ(document.at("results").size(), 4U);
}

TEST(BackboneCommands, InspectShowsLayersKernelsAndMaps) {
  const Outcome outcome = voxgemm("inspect" + kSmall);
  ASSERT_EQ(outcome.code, 0) << outcome.out;
  for (const char* text : {"scalar", "runs", "kernel maps", "arena", "conv3.1.conv1", "stage 4", "pairs/N"}) {
    EXPECT_THAT(outcome.out, HasSubstr(text));
  }
}

TEST(BackboneCommands, RealScansGiveFiniteOutputsOfGoodQuality) {
  const std::filesystem::path data = voxgemm::test::test_data();
  if (data.empty()) GTEST_SKIP() << "no test data (VOXGEMM_TEST_DATA)";
  const TemporaryFolder folder;
  const auto json = folder / "real.json";
  const Outcome outcome = voxgemm("run --repeat 1 --columns xyzir --points " +
                                  (data / "nuscenes_hdl32/nuscenes_n015_1532402927647951.bin").string() +
                                  " --json " + json.string());
  ASSERT_EQ(outcome.code, 0) << outcome.out;
  const nlohmann::json document = read_json(json);
  EXPECT_FALSE(document["output"]["not_finite"].get<bool>());
  EXPECT_GE(document["output"]["sqnr_db"].get<double>(), 20.0);
}

}  // namespace
}  // namespace voxgemm::tools
