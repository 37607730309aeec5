// Proves: without a CUDA context a graph is refused in one clear sentence before anything runs, and a clock
// on the CPU tells the time between its marks, NaN for marks that were not passed.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <string>
#include <thread>

#include "voxgemm/cuda_graph.h"
#include "voxgemm/profile.h"

namespace voxgemm {
namespace {

TEST(Graph, ACpuContextIsRefused) {
  Context context({.threads = 1});
  bool called = false;
  try {
    CapturedGraph::capture(context, [&] {
      called = true;
      return Status{};
    });
    FAIL() << "captured on the CPU";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_NE(std::string(error.what()).find("CUDA"), std::string::npos) << error.what();
  }
  EXPECT_FALSE(called);
}

TEST(StreamClock, TellsTheTimeBetweenMarks) {
  Context context({.threads = 1});
  StreamClock clock(context, 3);
  EXPECT_EQ(clock.marks(), 3);
  clock.mark(context, 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  clock.mark(context, 1);
  EXPECT_GE(clock.microseconds(0, 1), 2000.0);
  EXPECT_LE(clock.microseconds(1, 0), -2000.0);
  EXPECT_EQ(clock.microseconds(1, 1), 0.0);
  EXPECT_TRUE(std::isnan(clock.microseconds(0, 2))) << "mark 2 was not passed";
  EXPECT_TRUE(std::isnan(clock.microseconds(0, 3)));
  EXPECT_TRUE(std::isnan(clock.microseconds(-1, 1)));
  clock.mark(context, 3);
  clock.mark(context, -1);
  EXPECT_THROW(StreamClock(context, 0), Error);
}

}  // namespace
}  // namespace voxgemm
