// Random numbers of the simulator: the same stream for a seed on every machine.
#pragma once

#include <cmath>
#include <cstdint>

namespace voxgemm::tools {

/// splitmix64's finaliser: a good 64-bit hash.
constexpr std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31U);
}

/// Sequential generator. One per ray (seeded by a hash of seed, sweep, column and beam) makes the result
/// independent of the order in which rays are cast.
class Random {
 public:
  explicit constexpr Random(std::uint64_t seed) : state_(seed) {}
  constexpr std::uint64_t next() { return mix(state_++); }
  /// [0, 1)
  constexpr float uniform() { return static_cast<float>(next() >> 40U) * 0x1p-24F; }
  constexpr float uniform(float lo, float hi) { return lo + (hi - lo) * uniform(); }
  constexpr bool chance(float p) { return uniform() < p; }
  /// Mean 0, deviation 1 (sum of four uniforms: bounded tails, no library function involved).
  constexpr float normal() {
    float sum = uniform();
    for (int i = 0; i < 3; ++i) sum += uniform();
    return (sum - 2.0F) * 1.7320508F;
  }

 private:
  std::uint64_t state_;
};

}  // namespace voxgemm::tools
