// Random networks that lower in every way there is, 1-D to 4-D: residual blocks, joins, levels down and back
// up, pools, outputs of every kind at every place, declared before, between and after the layers.
#pragma once

#include <cstdint>

#include "tests/engine/test_networks.h"

namespace voxgemm::test {

/// The same network for the same seed. Depth, channels and shapes are small; every value is marked as an
/// output (sparse, dense or pooled) with a probability that differs from network to network.
TestNetwork random_network(std::uint32_t seed);

/// A scale for every value. Calibration is tested elsewhere; here it would double the time.
ScaleTable seeded_scales(const Network& net, std::uint32_t seed);

}  // namespace voxgemm::test
