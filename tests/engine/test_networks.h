// Small networks that between them use every layer kind.
#pragma once

#include "tests/engine/engine_runner.h"

namespace voxgemm::test {

struct TestNetwork {
  const char* name;
  Network net;
  Dims shape;
  std::int32_t batch_size;
  std::int32_t channels;
};

/// Residual blocks, a strided level and its inverse, concat, a k1 head; sparse and dense outputs.
TestNetwork residual_unet();
/// Max pooling and the inverse of a pool, leaky ReLU, an add of two convolutions, separate ReLU, dilation,
/// anisotropic stride.
TestNetwork mixed_layers();
/// 2-D with a transposed convolution and odd channel counts.
TestNetwork transposed_2d();

inline std::vector<TestNetwork> all_test_networks() {
  std::vector<TestNetwork> all;
  all.push_back(residual_unet());
  all.push_back(mixed_layers());
  all.push_back(transposed_2d());
  return all;
}

}  // namespace voxgemm::test
