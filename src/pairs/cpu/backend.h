// Insides of the CPU pair backend that tests may steer.
#pragma once

#include <cstddef>
#include <memory>

#include "pairs/backend.h"

namespace voxgemm {

/// Largest structures of one level, in bytes of what is allocated for every cell. A level takes the first
/// that fits: a bitmap (bits; ranks take twice as much again), ranked words (summary bits and places, a
/// hundredth of that), and sorted words, which follow the sites alone.
struct IndexLimits {
  std::size_t bitmap_bytes = std::size_t{256} << 20;
  std::size_t ranked_bytes = std::size_t{64} << 20;
};

/// As make_cpu_pair_backend(context, plan), with other limits: 0 rules a structure out.
std::unique_ptr<PairBackend> make_cpu_pair_backend(Context& context, PairPlan plan,
                                                   const IndexLimits& limits);

}  // namespace voxgemm
