// Competitors of the implicit-GEMM rows on one layer: dense products of equal work, and the classic sparse
// way.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/support/layers.h"

namespace voxgemm::bench {

/// One way to spend a layer's multiply-accumulates. What `make` returns does it once, on one thread.
struct Peer {
  std::string name;
  std::function<void()> (*make)(const BenchLayer& layer);
};

/// c [m][n] = a [m][k] * b [k][n], row-major, one thread.
using Sgemm = void (*)(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, const float* b,
                       float* c);

/// Per offset: gather rows, sgemm, add to the output rows, as spconv's CPU path works, in float32.
std::function<void()> gather_gemm_scatter(const BenchLayer& layer, Sgemm sgemm);

/// "onednn_int8": one dense u8 x s8 -> s32 product [pairs][c_in] x [c_in][c_out], no gather and no scatter:
/// what the layer would cost were it dense; and the gather way on oneDNN's sgemm. Nothing without oneDNN.
void add_onednn_peers(std::vector<Peer>& peers);

/// The gather way on Eigen's product. Nothing without Eigen.
void add_eigen_peers(std::vector<Peer>& peers);

/// All peers whose libraries this build has.
std::vector<Peer> all_peers();

}  // namespace voxgemm::bench
