// Proves that enqueue allocates nothing once warm: every malloc and operator new of this binary is counted.
// And that a build whose allocator refuses says so and gives everything back, whichever request was refused.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "tests/engine/engine_runner.h"
#include "tests/engine/test_networks.h"
#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"

namespace {
std::atomic<long> allocations{0};
std::atomic<bool> counting{false};
}  // namespace

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define VOXGEMM_COUNTS_MALLOC 1
namespace {
void note() {
  if (counting.load(std::memory_order_relaxed)) allocations.fetch_add(1, std::memory_order_relaxed);
}
}  // namespace

extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void* malloc(std::size_t bytes) {
  note();
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) {
  note();
  return __libc_calloc(count, bytes);
}
void* realloc(void* pointer, std::size_t bytes) {
  note();
  return __libc_realloc(pointer, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  note();
  return __libc_memalign(alignment, bytes);
}
}
#endif

namespace voxgemm::test {
namespace {

long allocations_of_enqueue(std::int32_t threads, Precision precision) {
  TestNetwork t = residual_unet();
  Context context({.threads = threads});
  const Frame frame = random_frame(t.shape, t.batch_size, t.channels, 500, 3);
  const Frame little = random_frame(t.shape, t.batch_size, t.channels, 90, 4);
  const ScaleTable scales = calibrate_min_max(context, t.net, {&frame, 1});
  EngineOptions options;
  options.precision = precision;
  EngineRunner runner(context, EngineRunner::build(context, t.net, scales, options));
  std::vector<RunOutput> outputs = runner.fresh_outputs();
  const std::vector<OutputBinding> bound = runner.bindings(outputs);
  const Engine& engine = runner.engine();
  for (int i = 0; i < 30; ++i)
    (void)engine.enqueue(context, runner.view_of(frame), bound, runner.workspace());
  const SparseTensorView views[] = {runner.view_of(frame), runner.view_of(little)};
  allocations = 0;
  counting = true;
  for (int i = 0; i < 10; ++i) {
    for (const SparseTensorView& view : views) {
      if (!engine.enqueue(context, view, bound, runner.workspace()).ok()) std::abort();
    }
  }
  counting = false;
  return allocations;
}

TEST(Allocation, TheCounterSeesAllocations) {
#ifndef VOXGEMM_COUNTS_MALLOC
  GTEST_SKIP() << "malloc cannot be counted under this C library or sanitizer";
#endif
  allocations = 0;
  counting = true;
  auto* volatile block = new std::int64_t[100];
  counting = false;
  delete[] block;
  EXPECT_EQ(allocations, 1);
}

TEST(Allocation, EnqueueAllocatesNothing) {
#ifndef VOXGEMM_COUNTS_MALLOC
  GTEST_SKIP() << "malloc cannot be counted under this C library or sanitizer";
#endif
  EXPECT_EQ(allocations_of_enqueue(1, Precision::kInt8), 0);
  EXPECT_EQ(allocations_of_enqueue(1, Precision::kFloat32), 0);
}

TEST(Allocation, EnqueueAllocatesNothingOnTwoThreads) {
#ifndef VOXGEMM_COUNTS_MALLOC
  GTEST_SKIP() << "malloc cannot be counted under this C library or sanitizer";
#endif
  EXPECT_EQ(allocations_of_enqueue(2, Precision::kInt8), 0);
}

/// Refuses every request from the `limit`-th on, and counts what is out.
class LimitedAllocator final : public Allocator {
 public:
  explicit LimitedAllocator(int limit) : left_(limit) {}
  void* allocate(Device, std::size_t bytes) noexcept override {
    if (left_-- <= 0) return nullptr;
    void* pointer = ::operator new (bytes, std::align_val_t{256}, std::nothrow);
    if (pointer != nullptr) live_ += bytes;
    return pointer;
  }
  void deallocate(Device, void* pointer, std::size_t bytes) noexcept override {
    if (pointer != nullptr) live_ -= bytes;
    ::operator delete (pointer, std::align_val_t{256});
  }
  [[nodiscard]] std::size_t live() const { return live_; }

 private:
  int left_;
  std::size_t live_ = 0;
};

TEST(Allocation, EveryRefusedRequestIsAnErrorThatLeaksNothing) {
  TestNetwork t = residual_unet();
  Context plain({.threads = 1});
  const Frame frame = random_frame(t.shape, t.batch_size, t.channels, 300, 3);
  const ScaleTable scales = calibrate_min_max(plain, t.net, {&frame, 1});
  const RunResult want = EngineRunner(plain, EngineRunner::build(plain, t.net, scales)).run(frame);
  int refused = 0;
  for (bool built = false; !built; ++refused) {
    ASSERT_LT(refused, 10'000);
    LimitedAllocator allocator(refused);
    {
      Context context({.threads = 1, .allocator = &allocator});
      try {
        EngineRunner runner(context, EngineRunner::build(context, t.net, scales));
        built = true;
        const RunResult got = runner.run(frame);
        ASSERT_EQ(got.outputs.size(), want.outputs.size());
        EXPECT_EQ(got.outputs[0].features, want.outputs[0].features);
      } catch (const Error& error) {
        ASSERT_EQ(error.code(), ErrorCode::kOutOfMemory) << "request " << refused << ": " << error.what();
      }
    }
    ASSERT_EQ(allocator.live(), 0u) << "request " << refused;
  }
  EXPECT_GT(refused, 4);
}

}  // namespace
}  // namespace voxgemm::test
