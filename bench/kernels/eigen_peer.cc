// Compiled for the machine at hand: Eigen's products are as wide as its compiler flags.
#include <Eigen/Core>

#include "bench/kernels/peer.h"

namespace voxgemm::bench {
namespace {

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

void multiply(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, const float* b, float* c) {
  Eigen::Map<RowMajor>(c, m, n).noalias() =
      Eigen::Map<const RowMajor>(a, m, k) * Eigen::Map<const RowMajor>(b, k, n);
}

std::function<void()> make(const BenchLayer& layer) { return gather_gemm_scatter(layer, multiply); }

}  // namespace

void add_eigen_peers(std::vector<Peer>& peers) { peers.push_back({"gather_gemm_scatter_f32_eigen", make}); }

}  // namespace voxgemm::bench
