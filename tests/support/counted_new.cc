#include "tests/support/counted_new.h"

#include <cstddef>
#include <cstdlib>
#include <new>

namespace voxgemm::test {

std::atomic<long> allocations{0};
std::atomic<long> allocations_left{-1};

}  // namespace voxgemm::test

#if VOXGEMM_COUNTS_NEW
namespace {

void* counted(std::size_t bytes, std::size_t alignment) {
  using voxgemm::test::allocations_left;
  ++voxgemm::test::allocations;
  if (allocations_left >= 0 && allocations_left-- == 0) {
    allocations_left = 0;
    throw std::bad_alloc();
  }
  const std::size_t rounded = (bytes / alignment + 1) * alignment;  // never 0
  if (void* pointer = std::aligned_alloc(alignment, rounded)) return pointer;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t bytes) { return counted(bytes, alignof(std::max_align_t)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* pointer) noexcept { std::free(pointer); }
void operator delete(void* pointer, std::size_t) noexcept { std::free(pointer); }
void operator delete(void* pointer, std::align_val_t) noexcept { std::free(pointer); }
void operator delete(void* pointer, std::size_t, std::align_val_t) noexcept { std::free(pointer); }
#endif
