#include "core/parallel.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <span>

#include "core/context_impl.h"

#ifdef VOXGEMM_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace voxgemm::detail {
namespace {

/// Tells ThreadSanitizer what a parallel loop orders: all before it, then its ranges, then all after it.
/// oneTBB is not instrumented, so this file is not either and says it here; two ranges of one loop stay
/// unordered, and their races are found. Does nothing in other builds.
class LoopOrder {
 public:
#ifdef VOXGEMM_TSAN
  void before_loop() noexcept { __tsan_release(&begun_); }
  void before_range() noexcept { __tsan_acquire(&begun_); }
  void after_range() noexcept { __tsan_release(&done_); }
  void after_loop() noexcept { __tsan_acquire(&done_); }

 private:
  char begun_ = 0;
  char done_ = 0;
#else
  void before_loop() noexcept {}
  void before_range() noexcept {}
  void after_range() noexcept {}
  void after_loop() noexcept {}
#endif
};

/// What is left of a part: its owner takes from the front, others from the back.
class Part {
 public:
  void set(std::int64_t begin, std::int64_t end) noexcept { range_.store(pack(begin, end)); }
  [[nodiscard]] std::int64_t left() const noexcept {
    const std::uint64_t range = range_.load(std::memory_order_relaxed);
    return end_of(range) - begin_of(range);
  }

  /// A quarter of what is left, at least `least`. False when nothing is.
  bool take(bool front, std::int64_t least, std::int64_t& begin, std::int64_t& end) noexcept {
    std::uint64_t range = range_.load(std::memory_order_relaxed);
    for (;;) {
      const std::int64_t left = end_of(range) - begin_of(range);
      if (left <= 0) return false;
      const std::int64_t count = std::min(left, std::max(least, left / 4));
      begin = front ? begin_of(range) : end_of(range) - count;
      end = begin + count;
      const std::uint64_t rest = front ? pack(end, end_of(range)) : pack(begin_of(range), begin);
      if (range_.compare_exchange_weak(range, rest, std::memory_order_relaxed)) return true;
    }
  }

 private:
  static std::uint64_t pack(std::int64_t begin, std::int64_t end) noexcept {
    return static_cast<std::uint64_t>(begin) << 32 | static_cast<std::uint64_t>(end);
  }
  static std::int64_t begin_of(std::uint64_t range) noexcept {
    return static_cast<std::int64_t>(range >> 32);
  }
  static std::int64_t end_of(std::uint64_t range) noexcept {
    return static_cast<std::int64_t>(range & UINT32_MAX);
  }

  alignas(64) std::atomic<std::uint64_t> range_{0};
};

}  // namespace

void parallel_parts(const Context& context, const std::int64_t* bounds, std::int32_t parts,
                    std::int64_t least, RangeFn fn, void* state) noexcept {
  least = std::max<std::int64_t>(least, 1);
  auto* arena = static_cast<tbb::task_arena*>(context.impl().arena.get());
  if (arena == nullptr || bounds[parts] - bounds[0] <= least) {
    if (bounds[0] < bounds[parts]) fn(state, bounds[0], bounds[parts]);
    return;
  }
  std::array<Part, Parts::kMost> left;
  const std::span<Part> all(left.data(), static_cast<std::size_t>(parts));
  for (std::size_t p = 0; p < all.size(); ++p) all[p].set(bounds[p], bounds[p + 1]);
  parallel_for(context, 0, context.threads(), 1, [&](std::int64_t, std::int64_t) {
    const auto own = static_cast<std::size_t>(tbb::this_task_arena::current_thread_index()) % all.size();
    std::int64_t begin = 0;
    std::int64_t end = 0;
    while (all[own].take(true, least, begin, end)) fn(state, begin, end);
    const auto most_left = [](const Part& a, const Part& b) { return a.left() < b.left(); };
    for (;;) {
      Part& other = *std::max_element(all.begin(), all.end(), most_left);
      if (other.left() == 0) return;
      if (other.take(false, least, begin, end)) fn(state, begin, end);
    }
  });
}

void parallel_ranges(const Context& context, std::int64_t begin, std::int64_t end, std::int64_t grain,
                     RangeFn fn, void* state) noexcept {
  if (begin >= end) return;
  grain = std::max<std::int64_t>(grain, 1);
  auto* arena = static_cast<tbb::task_arena*>(context.impl().arena.get());
  if (arena == nullptr || end - begin <= grain) {
    fn(state, begin, end);
    return;
  }
  LoopOrder order;
  order.before_loop();
  arena->execute([&] {
    tbb::parallel_for(
        tbb::blocked_range<std::int64_t>(begin, end, static_cast<std::size_t>(grain)),
        [&](const tbb::blocked_range<std::int64_t>& r) {
          order.before_range();
          fn(state, r.begin(), r.end());
          order.after_range();
        },
        tbb::simple_partitioner{});
  });
  order.after_loop();
}

void call_together(const Context& context, void (*fn)(void* state), void* state) noexcept {
  auto* arena = static_cast<tbb::task_arena*>(context.impl().arena.get());
  if (arena == nullptr) return fn(state);
  arena->execute([&] { fn(state); });
}

}  // namespace voxgemm::detail
