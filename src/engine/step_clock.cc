#include "engine/step_clock.h"

namespace voxgemm {

void StepClock::start() noexcept { last_ = std::chrono::steady_clock::now(); }

double StepClock::lap() noexcept {
  const auto now = std::chrono::steady_clock::now();
  const std::chrono::duration<double, std::micro> time = now - last_;
  last_ = now;
  return time.count();
}

}  // namespace voxgemm
