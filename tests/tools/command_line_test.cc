// Proves: the program as a user runs it. Every subcommand has help, wrong options give one clear line and a
// non-zero exit code, and what is written is what the options say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/tools/program.h"
#include "tests/tools/temporary_folder.h"
#include "tools/io/points.h"
#include "voxgemm/version.h"

namespace voxgemm::tools {
namespace {

using test::Outcome;
using test::TemporaryFolder;
using test::voxgemm;
using ::testing::HasSubstr;

/// One line, a message of ours, and a failure: not a stack trace, not a usage page.
void expect_refused(const std::string& arguments, const std::string& text) {
  const Outcome outcome = voxgemm(arguments);
  EXPECT_NE(outcome.code, 0) << arguments;
  EXPECT_NE(outcome.code, -1) << arguments << " crashed";
  EXPECT_THAT(outcome.out, HasSubstr(text)) << arguments;
  EXPECT_THAT(outcome.out, ::testing::StartsWith("voxgemm: ")) << arguments;
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 1) << outcome.out;
}

TEST(CommandLine, HelpListsEverySubcommand) {
  const Outcome help = voxgemm("--help");
  EXPECT_EQ(help.code, 0);
  for (const char* name : {"simulate", "run", "bench", "inspect"}) {
    EXPECT_THAT(help.out, HasSubstr(name));
    const Outcome own = voxgemm(std::string(name) + " --help");
    EXPECT_EQ(own.code, 0);
    EXPECT_THAT(own.out, HasSubstr("--seed"));
  }
}

TEST(CommandLine, VersionIsTold) {
  const Outcome outcome = voxgemm("--version");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.out, "voxgemm " + std::string(version()) + "\n");
}

TEST(CommandLine, WrongUseGivesOneLine) {
  expect_refused("", "subcommand is required");
  expect_refused("dance", "dance");
  expect_refused("simulate", "--out is required");
  expect_refused("simulate -o x.bin --beams 17", "17 not in");
  expect_refused("simulate -o x.bin --sweeps 99", "--sweeps");
  expect_refused("simulate -o x.bin --seed red", "--seed");
  expect_refused("simulate -o x.bin --colour", "--colour");
  expect_refused("simulate -o /no/such/folder/x.bin --sweeps 1", "/no/such/folder/x.bin");
  expect_refused("simulate -o x.laz --sweeps 1", "unknown extension '.laz'");
}

TEST(CommandLine, MessagesAreOnePrintableLineOfAtMost300Characters) {
  const TemporaryFolder folder;
  const auto npy = [&](const std::string& name, const std::string& descr) {
    std::string header = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (1, 4), }\n";
    header = std::string("\x93NUMPY\x01\0", 8) + static_cast<char>(header.size() & 0xFFU) +
             static_cast<char>(header.size() >> 8U) + header;
    return "run --points '" + folder.file(name, header + std::string(16, '\0')).string() + "'";
  };
  for (const std::string& arguments :
       {npy("a.npy", "<f\n4"), npy("b.npy", "\x1b[31m"), npy("c.npy", std::string(5000, 'q')),
        npy("d\n\x1b]0;x\a.npy", "<f5"), std::string("run --points 'x\ny.bin'"), std::string("'da\nnce'"),
        std::string("run --beams '\x1b[2J'"), "run --columns " + std::string(4000, 'x'),
        std::string("simulate -o 'x\n.laz' --sweeps 1")}) {
    const Outcome outcome = voxgemm(arguments);
    EXPECT_GT(outcome.code, 0) << arguments;
    ASSERT_THAT(outcome.out, ::testing::StartsWith("voxgemm: ")) << arguments;
    EXPECT_EQ(outcome.out.find('\n'), outcome.out.size() - 1) << outcome.out;
    EXPECT_LE(outcome.out.size(), 301U) << outcome.out;  // ASCII here
    EXPECT_TRUE(std::all_of(outcome.out.begin(), outcome.out.end() - 1, [](char c) {
      return c >= ' ' && c <= '~';
    })) << outcome.out;
  }
}

TEST(CommandLine, SimulateWritesTheSameBytesForASeed) {
  const TemporaryFolder folder;
  for (const char* name : {"a.bin", "b.bin"}) {
    const Outcome outcome = voxgemm("simulate --sweeps 2 --seed 9 -o " + (folder / name).string());
    ASSERT_EQ(outcome.code, 0) << outcome.out;
  }
  EXPECT_EQ(read_file(folder / "a.bin"), read_file(folder / "b.bin"));
}

TEST(CommandLine, SimulateWritesColumnsTypesAndPicture) {
  const TemporaryFolder folder;
  const Outcome outcome = voxgemm("simulate --beams 64 --sweeps 1 --columns xyzi --dtype f16 -o " +
                                  (folder / "a.bin").string() + " --png " + (folder / "a.png").string());
  ASSERT_EQ(outcome.code, 0) << outcome.out;
  EXPECT_GT(read_points(folder / "a.bin", {.columns = "xyzi", .dtype = "f16"}).num_points(), 60000);
  EXPECT_GT(std::filesystem::file_size(folder / "a.png"), 10000U);
}

TEST(CommandLine, LostOutputIsAFailure) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full on this machine";
  const TemporaryFolder folder;
  const std::string small = " --sweeps 1 --range -5 -5 -5 5 5 3";
  for (const std::string& arguments :
       {std::string("--help"), std::string("--version"), std::string("inspect --kernels"), "inspect" + small,
        "run --repeat 1 --no-sqnr" + small, "bench --repeat 1 --frames 1 --thread-counts 1" + small,
        "simulate --sweeps 1 -o " + (folder / "a.bin").string()}) {
    const std::filesystem::path errors = folder.file("errors", "");
    const Outcome outcome = voxgemm(arguments + " >/dev/full 2>" + errors.string() + "; exit $?");
    EXPECT_EQ(outcome.code, 1) << arguments;
    const std::vector<std::byte> bytes = read_file(errors);
    const std::string told(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    EXPECT_THAT(told, ::testing::MatchesRegex("voxgemm: (standard output is lost|cannot write)[^\n]*\n"))
        << arguments;
  }
}

// oneTBB prints a warning when an arena asks for more threads than it lends.
TEST(CommandLine, MoreThreadsThanTheMachineHasAreTakenInSilence) {
  const TemporaryFolder folder;
  const std::string small = " --sweeps 1 --range -5 -5 -5 5 5 3";
  for (const std::string& arguments :
       {"inspect --threads 1024" + small, "run --repeat 1 --no-sqnr --threads 1024" + small,
        "bench --repeat 1 --frames 1 --thread-counts 1024" + small}) {
    const std::filesystem::path errors = folder.file("errors", "");
    const Outcome outcome = voxgemm(arguments + " 2>" + errors.string() + "; exit $?");
    EXPECT_EQ(outcome.code, 0) << arguments << "\n" << outcome.out;
    const std::vector<std::byte> bytes = read_file(errors);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), "") << arguments;
  }
}

}  // namespace
}  // namespace voxgemm::tools
