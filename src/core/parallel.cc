#include "core/parallel.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>

#include "core/context_impl.h"

namespace voxgemm::detail {

void parallel_ranges(const Context& context, std::int64_t begin, std::int64_t end, std::int64_t grain,
                     RangeFn fn, void* state) noexcept {
  if (begin >= end) return;
  grain = std::max<std::int64_t>(grain, 1);
  auto* arena = static_cast<tbb::task_arena*>(context.impl().arena.get());
  if (arena == nullptr || end - begin <= grain) {
    fn(state, begin, end);
    return;
  }
  arena->execute([&] {
    tbb::parallel_for(
        tbb::blocked_range<std::int64_t>(begin, end, static_cast<std::size_t>(grain)),
        [&](const tbb::blocked_range<std::int64_t>& r) { fn(state, r.begin(), r.end()); },
        tbb::simple_partitioner{});
  });
}

}  // namespace voxgemm::detail
