// Parallel loops on a context's threads; the only use of TBB in the library.
#pragma once

#include <cstdint>
#include <type_traits>

#include "voxgemm/context.h"

namespace voxgemm {

namespace detail {
using RangeFn = void (*)(void* state, std::int64_t begin, std::int64_t end);
void parallel_ranges(const Context& context, std::int64_t begin, std::int64_t end, std::int64_t grain,
                     RangeFn fn, void* state) noexcept;
void call_together(const Context& context, void (*fn)(void* state), void* state) noexcept;
}  // namespace detail

/// Calls fn() on the calling thread. Parallel loops inside find the context's threads at hand, instead of
/// calling them together one by one. fn must not throw.
template <typename Fn>
void with_threads(const Context& context, Fn&& fn) noexcept {
  using F = std::remove_reference_t<Fn>;
  detail::call_together(
      context, [](void* state) { (*static_cast<F*>(state))(); },
      const_cast<void*>(static_cast<const void*>(&fn)));
}

/// Calls fn(b, e) on disjoint ranges that cover [begin, end), each at most about `grain` long, in any order
/// and on any thread of the context. Work is stolen, so uneven ranges balance. fn must not throw. With one
/// thread, or a range no longer than the grain, fn(begin, end) is called inline.
template <typename Fn>
void parallel_for(const Context& context, std::int64_t begin, std::int64_t end, std::int64_t grain,
                  Fn&& fn) noexcept {
  using F = std::remove_reference_t<Fn>;
  detail::parallel_ranges(
      context, begin, end, grain,
      [](void* state, std::int64_t b, std::int64_t e) { (*static_cast<F*>(state))(b, e); },
      const_cast<void*>(static_cast<const void*>(&fn)));
}

}  // namespace voxgemm
