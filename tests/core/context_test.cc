// Proves: contexts validate their options and have the threads that really work, parallel loops cover a range
// exactly once for any thread count, buffers own aligned memory and say how much they asked for, float16
// conversion is exact and rounds to even.
#include "voxgemm/context.h"

#include <gtest/gtest.h>
#include <tbb/global_control.h>
#include <tbb/info.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>
#include <vector>

#include "core/cpu_quota.h"
#include "core/parallel.h"

namespace voxgemm {
namespace {

TEST(Context, RejectsNegativeThreads) {
  try {
    Context context({.threads = -1});
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string(e.what()).find("-1"), std::string::npos);
  }
}

TEST(Context, RejectsASecondCpu) {
  try {
    Context context({.device = {DeviceKind::kCpu, 3}, .threads = 1});
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string(e.what()).find("index 3, must be 0"), std::string::npos) << e.what();
  }
}

TEST(Context, HasTheThreadsThatWork) {
  const std::int32_t present = tbb::info::default_concurrency();
  EXPECT_EQ(Context().threads(), std::min(present, cpu_quota().value_or(present)));
  EXPECT_EQ(Context({.threads = 8}).threads(), 8);  // more_threads.cc lets oneTBB lend them
  const tbb::global_control few(tbb::global_control::max_allowed_parallelism, 3);
  EXPECT_EQ(Context({.threads = 2}).threads(), 2);
  const Context limited({.threads = 4096});
  EXPECT_EQ(limited.threads(), 3);
  EXPECT_NE(limited.describe().find("scalar; 3 threads"), std::string::npos) << limited.describe();
  const tbb::global_control one(tbb::global_control::max_allowed_parallelism, 1);
  EXPECT_EQ(Context().threads(), 1);
}

TEST(Context, DescribesItself) {
  Context context({.threads = 1});
  EXPECT_NE(context.describe().find("scalar; 1 thread"), std::string::npos);
  EXPECT_TRUE(context.supports(Isa::kScalar));
}

TEST(Context, PolicyLimitsIsa) {
  Context context({.threads = 1, .kernels = {.max_isa = Isa::kScalar}});
  EXPECT_FALSE(context.supports(Isa::kAvx2));
}

TEST(ParallelFor, CoversRangeOnce) {
  for (int threads : {1, 2, 3, 8}) {
    Context context({.threads = threads});
    for (int n : {0, 1, 7, 1000}) {
      std::vector<std::atomic<int>> hits(static_cast<std::size_t>(n));
      parallel_for(context, 0, n, 16, [&](std::int64_t b, std::int64_t e) {
        for (std::int64_t i = b; i < e; ++i) ++hits[static_cast<std::size_t>(i)];
      });
      for (const auto& h : hits) ASSERT_EQ(h.load(), 1) << threads << " threads, n " << n;
    }
  }
}

TEST(ParallelParts, CoverTheirRangeOnce) {
  for (int threads : {1, 2, 3, 8, 70}) {
    Context context({.threads = threads});
    for (const std::int64_t n : {0, 1, 7, 1000}) {
      for (const std::int64_t least : {0, 1, 16, 5000}) {
        std::vector<std::atomic<int>> hits(static_cast<std::size_t>(n));
        // The last part has nearly all, as layers have whose points lie together.
        const Parts parts(
            context, [&](std::int64_t p, std::int64_t count) { return p == count ? n : std::min(p, n); });
        std::atomic<bool> empty{false};
        parallel_parts(context, parts, least, [&](std::int64_t b, std::int64_t e) {
          if (b >= e) empty = true;
          for (std::int64_t i = b; i < e; ++i) ++hits[static_cast<std::size_t>(i)];
        });
        EXPECT_FALSE(empty);
        for (const auto& h : hits) ASSERT_EQ(h.load(), 1) << threads << " threads, n " << n;
      }
    }
  }
}

// The first call returns only when the others have done all the rest, its own part's included.
TEST(ParallelParts, OthersTakeWhatALateThreadLeaves) {
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "one hardware thread";
  using Clock = std::chrono::steady_clock;
  Context context({.threads = 2});
  constexpr std::int64_t kUnits = 100;
  std::atomic<std::int64_t> done{0};
  std::atomic<bool> first{true};
  std::atomic<bool> late{false};
  const Parts parts(context, [](std::int64_t p, std::int64_t count) { return kUnits * p / count; });
  parallel_parts(context, parts, 1, [&](std::int64_t b, std::int64_t e) {
    if (first.exchange(false)) {
      const auto deadline = Clock::now() + std::chrono::seconds(20);
      while (done.load() < kUnits - (e - b) && !late) {
        std::this_thread::yield();
        late = Clock::now() > deadline;
      }
    }
    done += e - b;
  });
  EXPECT_EQ(done.load(), kUnits);
  EXPECT_FALSE(late);
}

TEST(Buffer, OwnsAlignedBytes) {
  Context context({.threads = 1});
  Buffer a(context, 1000);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.data()) % 256, 0U);
  std::byte* p = a.data();
  Buffer b = std::move(a);
  EXPECT_EQ(b.data(), p);
  EXPECT_EQ(a.data(), nullptr);  // NOLINT: moved-from is empty by contract
}

TEST(Buffer, OutOfMemoryNamesTheBytes) {
  Context context({.threads = 1});
  try {
    Buffer b(context, std::size_t{1} << 62);
    FAIL() << "allocated";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kOutOfMemory);
    EXPECT_NE(std::string(e.what()).find("4611686018427387904"), std::string::npos);
  }
}

TEST(Half, RoundTripsEveryValue) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const Half h{static_cast<std::uint16_t>(bits)};
    const float f = to_float(h);
    if (std::isnan(f)) {
      EXPECT_TRUE(std::isnan(to_float(to_half(f))));
    } else {
      ASSERT_EQ(to_half(f).bits, h.bits) << bits;
    }
  }
}

TEST(Half, RoundsToEvenAndOverflows) {
  EXPECT_EQ(to_float(to_half(2049.0F)), 2048.0F);  // tie, even below
  EXPECT_EQ(to_float(to_half(2051.0F)), 2052.0F);  // tie, even above
  EXPECT_EQ(to_float(to_half(65519.0F)), 65504.0F);
  EXPECT_TRUE(std::isinf(to_float(to_half(65520.0F))));
  EXPECT_EQ(to_float(to_half(0x1p-25F)), 0.0F);  // tie between 0 and the smallest
  EXPECT_EQ(to_float(to_half(0x1.8p-25F)), 0x1p-24F);
}

}  // namespace
}  // namespace voxgemm
