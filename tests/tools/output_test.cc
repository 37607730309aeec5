// Proves: a file that the program writes is complete or as it was before, what cannot be written is refused
// before the work, and no name, value or byte of a name loses the result after it.
#include "tools/io/output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/tools/program.h"
#include "tests/tools/temporary_folder.h"
#include "tools/io/array.h"
#include "tools/io/png.h"
#include "tools/io/points.h"
#include "voxgemm/error.h"

namespace voxgemm::tools {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::Outcome;
using test::TemporaryFolder;
using test::voxgemm;
using ::testing::HasSubstr;

std::string text_of(const fs::path& file) {
  const std::vector<std::byte> bytes = read_file(file);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void write_text(const fs::path& file, const std::string& text) { write_file(file, text.data(), text.size()); }

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename().string());
  return names;
}

/// What `call` fails with in a process of its own, which has lost the right to write everywhere and, with a
/// limit, to write files longer than that.
template <typename Call>
std::string error_of_plain_user(rlim_t longest, Call call) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit{longest, longest};
    std::signal(SIGXFSZ, SIG_IGN);
    std::string error = "cannot become a plain user";
    if (setrlimit(RLIMIT_FSIZE, &limit) == 0 && (geteuid() != 0 || setuid(65534) == 0))
      error = error_of(call);
    const bool told = write(ends[1], error.data(), error.size()) == static_cast<ssize_t>(error.size());
    _exit(told ? 0 : 1);
  }
  close(ends[1]);
  std::string error;
  std::array<char, 4096> block{};
  for (ssize_t got = 0; (got = read(ends[0], block.data(), block.size())) > 0;)
    error.append(block.data(), static_cast<std::size_t>(got));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? error : "the child failed";
}

TEST(OutputFile, ReplacesKeepsModeAndLeavesNothingElse) {
  const TemporaryFolder folder;
  write_text(folder / "a", "old and longer");
  fs::permissions(folder / "a", fs::perms::owner_read | fs::perms::owner_write | fs::perms::others_read);
  const std::ifstream reader(folder / "a");
  write_text(folder / "a", "new");
  EXPECT_EQ(text_of(folder / "a"), "new");
  EXPECT_EQ(fs::status(folder / "a").permissions(),
            fs::perms::owner_read | fs::perms::owner_write | fs::perms::others_read);
  // Who has the old file open still reads all of it: it was not truncated.
  std::string old(std::istreambuf_iterator<char>(reader.rdbuf()), {});
  EXPECT_EQ(old, "old and longer");

  const mode_t mask = umask(027);
  write_text(folder / "b", "");
  umask(mask);
  struct stat info {};
  ASSERT_EQ(stat((folder / "b").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0640U);
  EXPECT_EQ(names_in(folder / ""), (std::set<std::string>{"a", "b"}));
}

TEST(OutputFile, FollowsLinks) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "d");
  write_text(folder / "d/real", "old");
  fs::create_symlink("d/real", folder / "one");
  fs::create_symlink("one", folder / "two");
  fs::create_symlink("d/fresh", folder / "dangling");
  write_text(folder / "two", "new");
  write_text(folder / "dangling", "made");
  EXPECT_TRUE(fs::is_symlink(folder / "two"));
  EXPECT_TRUE(fs::is_symlink(folder / "one"));
  EXPECT_EQ(text_of(folder / "d/real"), "new");
  EXPECT_EQ(text_of(folder / "d/fresh"), "made");
  fs::create_symlink("loop", folder / "loop");
  EXPECT_THAT(error_of([&] { write_text(folder / "loop", "x"); }), HasSubstr("cannot be written: "));
}

TEST(OutputFile, DiskThatRunsFullKeepsTheOldFile) {
  const TemporaryFolder folder;
  fs::permissions(folder / "", fs::perms::all);
  write_text(folder / "a.json", "good");
  fs::permissions(folder / "a.json", fs::perms::all);
  const std::string large(100'000, 'x');
  for (const char* name : {"a.json", "new.json"}) {
    const std::string error = error_of_plain_user(1000, [&] { write_text(folder / name, large); });
    EXPECT_THAT(error, HasSubstr(std::string(name) + ": cannot be written completely: ")) << name;
  }
  Array array;
  array.shape = {1000};
  array.bytes.resize(4000);
  PointCloud cloud{.columns = "xyz", .values = std::vector<float>(3000)};
  const Image image(300, 300, Rgb{1, 2, 3});
  for (const char* name : {"a.bin", "a.npy", "a.png", "array.npy", "figures"}) {
    write_text(folder / name, "good");
    fs::permissions(folder / name, fs::perms::all);
  }
  const auto full = HasSubstr("cannot be written completely: ");
  EXPECT_THAT(error_of_plain_user(100, [&] { write_points(folder / "a.bin", cloud, "f32"); }), full);
  EXPECT_THAT(error_of_plain_user(100, [&] { write_points(folder / "a.npy", cloud, "f32"); }), full);
  EXPECT_THAT(error_of_plain_user(100, [&] { write_npy(folder / "array.npy", array); }), full);
  EXPECT_THAT(error_of_plain_user(100, [&] { image.write_png(folder / "a.png"); }), full);
  EXPECT_THAT(error_of_plain_user(100, [&] { write_json(folder / "figures", nlohmann::json(large)); }), full);
  for (const std::string& name : names_in(folder / "")) EXPECT_EQ(text_of(folder / name), "good") << name;
  EXPECT_EQ(names_in(folder / ""),
            (std::set<std::string>{"a.bin", "a.json", "a.npy", "a.png", "array.npy", "figures"}));
}

TEST(OutputFile, WhatCannotBeWrittenIsRefusedBeforehand) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "d");
  write_text(folder / "file", "x");
  const auto fault = [&](const fs::path& file) {
    const std::string told = error_of([&] { check_writable(file); });
    EXPECT_EQ(error_of([&] { write_text(file, "y"); }), told) << file;
    return told;
  };
  EXPECT_THAT(fault(""), HasSubstr("cannot be written: the name is empty"));
  EXPECT_THAT(fault(folder / "d"), HasSubstr("is a folder"));
  EXPECT_THAT(fault(folder / "d/"), HasSubstr("is a folder"));
  EXPECT_THAT(fault(folder / "new/"), HasSubstr("is a folder"));
  EXPECT_THAT(fault(folder / "no/such"), HasSubstr("no such folder"));
  EXPECT_THAT(fault(folder / "file/x"), HasSubstr("no such folder"));
  EXPECT_THAT(fault(folder / std::string(300, 'n')), HasSubstr("cannot be written: "));
  EXPECT_EQ(error_of([&] { check_writable(folder / "new"); }), "");
  EXPECT_EQ(error_of([&] { check_writable(folder / "file"); }), "");
  EXPECT_EQ(names_in(folder / ""), (std::set<std::string>{"d", "file"}));
  EXPECT_EQ(text_of(folder / "file"), "x");
}

TEST(OutputFile, RightsOfAPlainUserCount) {
  const TemporaryFolder folder;
  write_text(folder / "locked", "old");
  write_text(folder / "open", "old");
  fs::permissions(folder / "locked", fs::perms::owner_read | fs::perms::group_read | fs::perms::others_read);
  fs::permissions(folder / "open", fs::perms::all);
  constexpr fs::perms kNoNewFiles = fs::perms::owner_read | fs::perms::owner_exec | fs::perms::group_read |
                                    fs::perms::group_exec | fs::perms::others_read | fs::perms::others_exec;
  fs::permissions(folder / "", kNoNewFiles);
  const auto fault = [&](const fs::path& file) {
    const std::string told = error_of_plain_user(RLIM_INFINITY, [&] { check_writable(file); });
    EXPECT_EQ(error_of_plain_user(RLIM_INFINITY, [&] { write_text(file, "new"); }), told) << file;
    return told;
  };
  EXPECT_THAT(fault(folder / "locked"), HasSubstr("cannot be written: Permission denied"));
  EXPECT_THAT(fault(folder / "fresh"), HasSubstr("cannot be written: Permission denied"));
  EXPECT_EQ(fault(folder / "open"), "");  // nothing can be put beside it: written in place
  fs::permissions(folder / "", fs::perms::all);
  EXPECT_EQ(text_of(folder / "locked"), "old");
  EXPECT_EQ(text_of(folder / "open"), "new");
  EXPECT_EQ(names_in(folder / ""), (std::set<std::string>{"locked", "open"}));
}

TEST(OutputFile, PipesAndDevicesAreWrittenInPlace) {
  write_text("/dev/null", "gone");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  const TemporaryFolder folder;
  const Outcome outcome =
      voxgemm("run --repeat 1 --no-sqnr --sweeps 1 --range -5 -5 -5 5 5 3 --json /dev/stdout");
  ASSERT_EQ(outcome.code, 0) << outcome.out;
  // In order with the text: the table above, the line about the file below.
  const std::size_t open = outcome.out.find("\n{\n");
  const std::size_t close = outcome.out.rfind("\n}\n");
  ASSERT_LT(open, close);
  EXPECT_LT(outcome.out.find("output checksum"), open);
  EXPECT_EQ(outcome.out.substr(close + 3), "/dev/stdout: all figures as JSON\n");
  EXPECT_EQ(nlohmann::json::parse(outcome.out.substr(open, close + 2 - open)).at("schema"), "voxgemm.run");
}

TEST(OutputFile, JsonReplacesBytesThatAreNoUtf8) {
  const TemporaryFolder folder;
  write_json(folder / "a", {{"source", "caf\xE9.bin"}, {"caf\xE9", "caf\xC3\xA9"}});
  EXPECT_EQ(text_of(folder / "a"),
            "{\n  \"caf\xEF\xBF\xBD\": \"caf\xC3\xA9\",\n  \"source\": \"caf\xEF\xBF\xBD.bin\"\n}\n");
}

TEST(OutputFile, FileNamesOfAnyBytesKeepTheFigures) {
  const TemporaryFolder folder;
  PointCloud cloud;
  for (int i = 0; i < 50; ++i) {
    for (const float value : {0.1F * static_cast<float>(i), 1.0F, 0.5F, 0.3F, 0.0F})
      cloud.values.push_back(value);
  }
  const std::string name = (folder / "caf\xE9.bin").string();
  write_points(name, cloud, "f32");
  const fs::path figures = folder / "f\xE9.json";
  for (const std::string command : {"run --repeat 1 ", "bench --repeat 1 --thread-counts 1 "}) {
    fs::remove(figures);
    const Outcome outcome =
        voxgemm(command + "--range -10 -10 -5 10 10 3 --points " + name + " --json " + figures.string());
    ASSERT_EQ(outcome.code, 0) << outcome.out;
    EXPECT_THAT(outcome.out, HasSubstr("caf\\xE9.bin"));  // as every name that is no UTF-8
    EXPECT_THAT(text_of(figures), HasSubstr("caf\xEF\xBF\xBD.bin\""));
    EXPECT_TRUE(nlohmann::json::accept(text_of(figures)));
  }
}

void expect_usage_error(const std::string& arguments, const std::string& text) {
  const Outcome outcome = voxgemm(arguments);
  EXPECT_EQ(outcome.code, 2) << arguments;
  EXPECT_THAT(outcome.out, ::testing::StartsWith("voxgemm: ")) << arguments;
  EXPECT_THAT(outcome.out, HasSubstr(text)) << arguments;
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 1) << outcome.out;
}

/// Options of a subcommand that take values, as its help lists them.
std::vector<std::string> options_with_values(const std::string& command) {
  std::istringstream help(voxgemm(command + " --help").out);
  std::vector<std::string> options;
  for (std::string line; std::getline(help, line);) {
    const std::size_t at = line.find("--");
    if (line.find_first_not_of(' ') > 4 || at == std::string::npos) continue;
    const std::size_t end = line.find(' ', at);
    const bool value = end != std::string::npos && end + 1 < line.size() && line[end + 1] != ' ';
    if (value) options.push_back(line.substr(at, end - at));
  }
  return options;
}

TEST(OutputOptions, EmptyValuesAreRefused) {
  for (const std::string command : {"simulate", "run", "bench", "inspect"}) {
    const std::vector<std::string> options = options_with_values(command);
    EXPECT_GE(options.size(), 6U) << command;
    for (const std::string& option : options) expect_usage_error(command + " " + option + " ''", option);
  }
  for (const char* option : {"--points", "--indices", "--json", "--png", "--kernel", "--columns"}) {
    EXPECT_THAT(options_with_values("run"), ::testing::Contains(option));
    expect_usage_error(std::string("run ") + option + " ''", "the value is empty");
  }
  expect_usage_error("run --range 1 2 '' 4 5 6", "--range");
}

TEST(OutputOptions, ValuesThatWouldBeIgnoredOrLoseFilesAreRefused) {
  const TemporaryFolder folder;
  const std::string sweep = folder.file("s.bin", "sweep").string();
  const std::string picture = (folder / "p").string();
  expect_usage_error("simulate -o " + (folder / "x.pcd").string(), "points are written as .bin or .npy");
  expect_usage_error("simulate -o " + (folder / "x.bin").string() + " --png " + (folder / "x.bin").string(),
                     "--out and --png are the same file");
  expect_usage_error("run --json " + picture + " --png " + (folder / "./p").string(), "--json and --png");
  expect_usage_error("run --points " + sweep + " --json " + sweep, "--points and --json are the same file");
  expect_usage_error("bench --points " + sweep + " --json " + sweep, "--points and --json are the same file");
  const std::string voxels = " --indices i.npy --features f.npy ";
  for (const std::string command : {"run", "bench", "inspect"}) {
    expect_usage_error(command + voxels + "--max-voxels 5", "--max-voxels");
    expect_usage_error(command + voxels + "--max-points 5", "--max-points");
    expect_usage_error(command + voxels + "--sweeps 5", "--sweeps");
    expect_usage_error(command + voxels + "--beams 64", "--beams");
    expect_usage_error(command + " --points s.bin --sweeps 5", "--sweeps");
    expect_usage_error(command + " --points s.bin --beams 64", "--beams");
    expect_usage_error(command + " --dtype f16", "--dtype");
  }
  expect_usage_error("bench --points s.bin --frames 2", "--frames");
  // The limit is that of the second sweep here.
  const Outcome compare = voxgemm("inspect" + voxels + "--max-voxels 5 --compare c.bin");
  EXPECT_EQ(compare.code, 1);
  EXPECT_THAT(compare.out, HasSubstr("i.npy: no such file"));
  EXPECT_EQ(text_of(sweep), "sweep");
  EXPECT_EQ(names_in(folder / ""), (std::set<std::string>{"s.bin"}));
}

}  // namespace
}  // namespace voxgemm::tools
