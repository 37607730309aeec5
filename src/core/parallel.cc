#include "core/parallel.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>

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

}  // namespace

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
