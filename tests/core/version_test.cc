// Proves: the library says the version of the headers that it was built with, which is the one that CMake
// read for the package files and the name of the shared library.
#include "voxgemm/version.h"

#include <gtest/gtest.h>

#include <string>

namespace voxgemm {
namespace {

TEST(Version, IsThatOfTheHeadersAndOfThePackage) {
  const std::string headers = std::to_string(VOXGEMM_VERSION_MAJOR) + "." +
                              std::to_string(VOXGEMM_VERSION_MINOR) + "." +
                              std::to_string(VOXGEMM_VERSION_PATCH);
  EXPECT_EQ(version(), headers);
  EXPECT_EQ(version(), VOXGEMM_PACKAGE_VERSION);
}

}  // namespace
}  // namespace voxgemm
