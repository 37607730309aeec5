// Time of each step of an enqueue on the CPU. The one place of the engine that reads a clock.
#pragma once

#include <chrono>

namespace voxgemm {

class StepClock {
 public:
  void start() noexcept;
  /// Microseconds since the last start() or lap().
  double lap() noexcept;

 private:
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace voxgemm
