// Parallel loops on a context's threads; the only use of TBB in the library.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <type_traits>

#include "voxgemm/context.h"

namespace voxgemm {

namespace detail {
using RangeFn = void (*)(void* state, std::int64_t begin, std::int64_t end);
void parallel_ranges(const Context& context, std::int64_t begin, std::int64_t end, std::int64_t grain,
                     RangeFn fn, void* state) noexcept;
void parallel_parts(const Context& context, const std::int64_t* bounds, std::int32_t parts,
                    std::int64_t least, RangeFn fn, void* state) noexcept;
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

/// Calls fn(i) for every i in [0, n), one at a time, as parallel_for does.
template <typename Int, typename Fn>
void parallel_each(const Context& context, Int n, Fn&& fn) noexcept {
  parallel_for(context, 0, static_cast<std::int64_t>(n), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) fn(static_cast<Int>(i));
  });
}

/// Parts of a range [bounds[p], bounds[p + 1]), one for each thread; from kMost on threads share them.
struct Parts {
  static constexpr std::int32_t kMost = 64;

  std::array<std::int64_t, kMost + 1> bounds{};
  std::int32_t count = 1;

  /// first(p) is where part p of `count` begins; first(count) is the end.
  template <typename First>
  Parts(const Context& context, const First& first) : count(std::min(context.threads(), kMost)) {
    for (std::int32_t p = 0; p <= count; ++p) bounds[static_cast<std::size_t>(p)] = first(p, count);
  }
};

/// Calls fn(b, e) on disjoint ranges that cover all parts. A thread begins with the same part in every loop
/// of with_threads(), so that it finds what it wrote in its own cache, and goes through it in ranges that
/// become shorter, down to `least`; then it takes ranges from the ends of parts that are left. So calls are
/// few, and threads wait for each other at the end for one least range. fn must not throw. End of range <
/// 2^31.
template <typename Fn>
void parallel_parts(const Context& context, const Parts& parts, std::int64_t least, Fn&& fn) noexcept {
  using F = std::remove_reference_t<Fn>;
  detail::parallel_parts(
      context, parts.bounds.data(), parts.count, least,
      [](void* state, std::int64_t b, std::int64_t e) { (*static_cast<F*>(state))(b, e); },
      const_cast<void*>(static_cast<const void*>(&fn)));
}

}  // namespace voxgemm
