// operator new of a test binary that counts and can refuse. A room lists support/counted_new.cc among its
// sources to have it; under sanitizers, which own operator new, nothing is counted or refused.
#pragma once

#include <atomic>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define VOXGEMM_COUNTS_NEW 0
#else
#define VOXGEMM_COUNTS_NEW 1
#endif

namespace voxgemm::test {

extern std::atomic<long> allocations;  ///< by operator new, since the start
extern std::atomic<long>
    allocations_left;  ///< that many succeed, then all throw std::bad_alloc; -1 = no limit

/// How often `fn` allocates.
template <typename Fn>
long allocations_of(Fn&& fn) {
  const long before = allocations;
  fn();
  return allocations - before;
}

}  // namespace voxgemm::test
