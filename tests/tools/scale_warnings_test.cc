// Proves: run and bench warn once of values that were never seen or that are too small for int8, and run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/test_data.h"
#include "tests/tools/program.h"
#include "tests/tools/temporary_folder.h"
#include "tools/io/points.h"

namespace voxgemm::tools {
namespace {

using test::Outcome;
using test::TemporaryFolder;
using test::voxgemm;
using ::testing::HasSubstr;

int times(const std::string& text, const std::string& part) {
  int count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// Each engine of the network has it to say.
TEST(ScaleWarnings, EachIsToldOnce) {
  const TemporaryFolder folder;
  Array indices;
  indices.element = Element::kI32;
  indices.shape = {2, 4};
  const std::vector<std::int32_t> sites{0, 1, 20, 20, 0, 1, 20, 21};
  indices.bytes.resize(sites.size() * 4);
  std::memcpy(indices.bytes.data(), sites.data(), indices.bytes.size());
  write_npy(folder / "i.npy", indices);
  const auto files = [&](float value) {
    Array features;
    features.shape = {2, 4};
    const std::vector<float> values(8, value);
    features.bytes.resize(32);
    std::memcpy(features.bytes.data(), values.data(), 32);
    write_npy(folder / "f.npy", features);
    return " --network second --shape 41 64 64 --repeat 1 --indices " + (folder / "i.npy").string() +
           " --features " + (folder / "f.npy").string();
  };
  const std::string unseen = "voxgemm: warning: never seen in calibration, so their scale is 1: 'input'\n";
  const std::string tiny =
      "voxgemm: warning: values too small for int8, so their scale is the least, 1.0842022e-19: 'input'\n";
  for (const char* command : {"run", "bench --thread-counts 1,2"}) {
    for (const auto& [value, warning] : {std::pair{0.0F, unseen}, {1e-44F, tiny}, {0.5F, std::string()}}) {
      const Outcome outcome = voxgemm(command + files(value));
      EXPECT_EQ(outcome.code, 0) << outcome.out;
      EXPECT_EQ(times(outcome.out, "warning"), warning.empty() ? 0 : 1) << outcome.out;
      EXPECT_THAT(outcome.out, HasSubstr(warning));
    }
  }
  EXPECT_EQ(times(voxgemm("run --precision fp32" + files(0.0F)).out, "warning"), 0);
}

TEST(ScaleWarnings, TinyFeaturesOfAUserRun) {
  const std::filesystem::path folder = voxgemm::test::test_data() / "trials";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no trials in the test data (VOXGEMM_TEST_DATA)";
  const Outcome outcome =
      voxgemm("run --repeat 1 --network second --shape 41 64 64 --indices " + folder.string() +
              "/tiny_indices.npy --features " + folder.string() + "/tiny_features.npy");
  EXPECT_EQ(outcome.code, 0) << outcome.out;
  EXPECT_THAT(outcome.out, HasSubstr("values too small for int8, so their scale is the least"));
}

}  // namespace
}  // namespace voxgemm::tools
