// A second stream for work that may run beside a context's own stream, also inside a graph capture.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace voxgemm::cuda {

inline constexpr int kForkEvents = 5;

/// Streams and events made once; a caller's stream always gets the same pair, so that threads with streams of
/// their own never meet. Creating throws kDevice; everything else allocates nothing.
class ForkPool {
 public:
  struct Slot {
    std::atomic<void*> owner{nullptr};
    void* stream = nullptr;
    std::array<void*, kForkEvents> events{};
  };

  explicit ForkPool(std::int32_t device_index);
  ~ForkPool();
  ForkPool(const ForkPool&) = delete;
  ForkPool& operator=(const ForkPool&) = delete;

  /// The slot of `stream`, or null when every slot has another owner: then run in order.
  [[nodiscard]] const Slot* slot_of(void* stream) noexcept;

 private:
  std::array<Slot, 8> slots_;
};

}  // namespace voxgemm::cuda
