// Proves that planned buffers which live at the same time never overlap, and that others do share.
#include "engine/memory_plan.h"

#include <gtest/gtest.h>

#include <random>

namespace voxgemm {
namespace {

bool disjoint(const std::vector<BufferLife>& lives, const MemoryPlan& plan) {
  for (std::size_t a = 0; a < lives.size(); ++a) {
    for (std::size_t b = 0; b < a; ++b) {
      const bool together = lives[a].first <= lives[b].last && lives[b].first <= lives[a].last;
      const bool overlap = plan.offsets[a] < plan.offsets[b] + lives[b].bytes &&
                           plan.offsets[b] < plan.offsets[a] + lives[a].bytes;
      if (together && overlap && lives[a].bytes > 0 && lives[b].bytes > 0) return false;
    }
  }
  return true;
}

TEST(MemoryPlan, ChainNeedsTwoBuffers) {
  std::vector<BufferLife> lives;
  for (std::int32_t i = 0; i < 10; ++i) lives.push_back({1000, i, i + 1});
  const MemoryPlan plan = plan_memory(lives);
  EXPECT_EQ(plan.bytes, 2048U);
  EXPECT_TRUE(disjoint(lives, plan));
  EXPECT_EQ(plan_memory(lives, false).bytes, 10240U);
}

TEST(MemoryPlan, FillsGapsBelowLaterBuffers) {
  const std::vector<BufferLife> lives{{2048, 0, 1}, {1024, 0, 3}, {512, 2, 3}};
  const MemoryPlan plan = plan_memory(lives);
  EXPECT_EQ(plan.bytes, 3072U);
  EXPECT_EQ(plan.offsets[2], 0U);
}

TEST(MemoryPlan, EmptyAndZeroSized) {
  EXPECT_EQ(plan_memory({}).bytes, 0U);
  const std::vector<BufferLife> lives{{0, 0, 5}, {256, 0, 5}, {0, 1, 2}};
  EXPECT_EQ(plan_memory(lives).bytes, 256U);
}

TEST(MemoryPlan, RandomLivesNeverMeet) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    std::vector<BufferLife> lives;
    for (std::uint32_t i = 0; i < 1 + random() % 30; ++i) {
      const auto first = static_cast<std::int32_t>(random() % 20);
      lives.push_back({random() % 5000, first, first + static_cast<std::int32_t>(random() % 6)});
    }
    const MemoryPlan plan = plan_memory(lives);
    EXPECT_TRUE(disjoint(lives, plan)) << "round " << round;
    for (const std::size_t offset : plan.offsets) EXPECT_EQ(offset % 256, 0U);
    EXPECT_LE(plan.bytes, plan_memory(lives, false).bytes);
  }
}

}  // namespace
}  // namespace voxgemm
