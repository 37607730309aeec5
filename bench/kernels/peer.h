// Competitors of the implicit-GEMM rows on one layer: dense products of equal work, and the classic sparse
// way.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/support/layers.h"

namespace voxgemm::bench {

/// One way to spend the layer's multiply-accumulates; `run` does it once, on one thread.
struct Peer {
  std::string name;
  std::function<void()> run;
};

/// "onednn_int8": one dense u8 x s8 -> s32 product [pairs][c_in] x [c_in][c_out], no gather and no scatter:
/// what the layer would cost were it dense. "gather_gemm_scatter_f32": per offset, gather rows, sgemm, add to
/// the output rows.
std::vector<Peer> make_peers(const BenchLayer& layer);

/// Whether this build has oneDNN; make_peers() is empty otherwise.
bool have_peers();

}  // namespace voxgemm::bench
