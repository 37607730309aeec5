// Waiting for another thread to change a value.
#pragma once

#include <atomic>
#include <cstdint>

namespace voxgemm {

/// Returns when `value` is no longer `old`: after a short look, asleep, so that a busy machine can run the
/// thread that is waited for. Whoever changes it must notify.
template <typename T>
void wait_while(const std::atomic<T>& value, T old) noexcept {
  constexpr std::int32_t kLooks = 256;
  for (std::int32_t i = 0; i < kLooks; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
#ifdef __x86_64__
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace voxgemm
