// Insides of the CPU pair backend that tests may steer.
#pragma once

#include <cstddef>
#include <memory>

#include "pairs/pair_backend.h"

namespace voxgemm {

/// Largest bitmap of one level, in bytes of occupancy bits (ranks take half as much again). A limit on
/// memory, not on speed: on the frames measured a bitmap of this size is still five times faster than sorted
/// words.
inline constexpr std::size_t kMaxBitmapBytes = std::size_t{256} << 20;

/// As make_cpu_pair_backend(context, plan), with another limit: 0 forces sorted words everywhere.
std::unique_ptr<PairBackend> make_cpu_pair_backend(Context& context, PairPlan plan,
                                                   std::size_t max_bitmap_bytes);

}  // namespace voxgemm
