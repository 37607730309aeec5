// Named ranges for profilers (Nsight Systems). Nothing at all without CUDA in the build; a test of one
// pointer when no profiler is attached.
#pragma once

namespace voxgemm::nvtx {

#ifdef VOXGEMM_WITH_CUDA
void push(const char* name) noexcept;
void pop() noexcept;
#else
inline void push(const char*) noexcept {}
inline void pop() noexcept {}
#endif

/// Covers what the calling thread does while it lives.
class Range {
 public:
  explicit Range(const char* name) noexcept { push(name); }
  ~Range() { pop(); }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;
};

}  // namespace voxgemm::nvtx
