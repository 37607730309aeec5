// In place of a peer whose library is not installed; see CMakeLists.txt.
#include "bench/kernels/peer.h"

namespace voxgemm::bench {

#ifndef VOXGEMM_BENCH_ONEDNN
void add_onednn_peers(std::vector<Peer>& /*peers*/) {}
#endif
#ifndef VOXGEMM_BENCH_EIGEN
void add_eigen_peers(std::vector<Peer>& /*peers*/) {}
#endif

}  // namespace voxgemm::bench
