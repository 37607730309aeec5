// Insides of the CPU pair backend that tests may steer.
#pragma once

#include <cstddef>
#include <memory>

#include "pairs/pair_backend.h"

namespace voxgemm {

/// Largest bitmap of one level, in bytes of occupancy bits. Past it, cache misses cost more than a sort does.
inline constexpr std::size_t kMaxBitmapBytes = std::size_t{64} << 20;

/// As make_cpu_pair_backend(context, plan), with another limit: 0 forces sorted words everywhere.
std::unique_ptr<PairBackend> make_cpu_pair_backend(Context& context, PairPlan plan,
                                                   std::size_t max_bitmap_bytes);

}  // namespace voxgemm
