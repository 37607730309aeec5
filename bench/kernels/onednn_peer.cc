#include <omp.h>

#include <cstring>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>

#include "bench/kernels/peer.h"

namespace voxgemm::bench {
namespace {

using dnnl::memory;

std::function<void()> dense_int8(const BenchLayer& layer) {
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  const memory::dim m = layer.pairs->num_pairs();
  const memory::dim k = layer.line.c_in;
  const memory::dim n = layer.line.c_out;
  const memory::desc a({m, k}, memory::data_type::u8, memory::format_tag::ab);
  const memory::desc b({k, n}, memory::data_type::s8, memory::format_tag::any);
  const memory::desc c({m, n}, memory::data_type::s32, memory::format_tag::ab);
  const dnnl::matmul::primitive_desc pd(dnnl::matmul::desc(a, b, c), engine);
  const dnnl::matmul product(pd);
  auto stream = std::make_shared<dnnl::stream>(engine);
  const memory src(pd.src_desc(), engine);
  const memory weights(pd.weights_desc(), engine);
  const memory dst(pd.dst_desc(), engine);
  std::memset(src.get_data_handle(), 3, pd.src_desc().get_size());
  std::memset(weights.get_data_handle(), 5, pd.weights_desc().get_size());
  return [=] {
    product.execute(*stream, {{DNNL_ARG_SRC, src}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, dst}});
    stream->wait();
  };
}

void multiply(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, const float* b, float* c) {
  dnnl_sgemm('N', 'N', m, n, k, 1.0F, a, k, b, n, 0.0F, c, n);
}

std::function<void()> gather(const BenchLayer& layer) { return gather_gemm_scatter(layer, multiply); }

}  // namespace

void add_onednn_peers(std::vector<Peer>& peers) {
  omp_set_num_threads(1);  // as our rows; the environment has been read before main() could set it
  peers.push_back({"onednn_int8", dense_int8});
  peers.push_back({"gather_gemm_scatter_f32_onednn", gather});
}

}  // namespace voxgemm::bench
