// Loops whose index is a constant, so that arrays of registers stay in registers. ISA files only.
#pragma once

#include <type_traits>
#include <utility>

namespace voxgemm {
namespace {  // internal linkage: every ISA file keeps its own copy

/// f(constant 0), f(constant 1), ..., f(constant kCount - 1).
template <int kCount, typename F>
[[gnu::always_inline]] inline void unroll(F&& f) {
  [&]<int... kI>(std::integer_sequence<int, kI...>) __attribute__((always_inline)) {
    (f(std::integral_constant<int, kI>{}), ...);
  }
  (std::make_integer_sequence<int, kCount>{});
}

}  // namespace
}  // namespace voxgemm
