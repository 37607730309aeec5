#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>

#include "bench/kernels/peer.h"

namespace voxgemm::bench {
namespace {

using dnnl::memory;

Peer dense_int8(const BenchLayer& layer) {
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
  return {"onednn_int8", [=] {
            product.execute(*stream, {{DNNL_ARG_SRC, src}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, dst}});
            stream->wait();
          }};
}

// Buffers of the gather - GEMM - scatter way.
struct GatherState {
  std::vector<float> in, weights, gathered, product, out;
  std::vector<std::vector<std::int32_t>> in_rows, out_rows;
  std::int64_t c_in = 0;
  std::int64_t c_out = 0;

  void run() {
    std::fill(out.begin(), out.end(), 0.0F);
    const auto row_bytes = static_cast<std::size_t>(c_in) * sizeof(float);
    for (std::size_t k = 0; k < in_rows.size(); ++k) {
      const auto count = static_cast<std::int64_t>(in_rows[k].size());
      if (count == 0) continue;
      for (std::int64_t p = 0; p < count; ++p) {
        std::memcpy(gathered.data() + p * c_in, in.data() + in_rows[k][static_cast<std::size_t>(p)] * c_in,
                    row_bytes);
      }
      const float* w = weights.data() + static_cast<std::int64_t>(k) * c_in * c_out;
      dnnl_sgemm('N', 'N', count, c_out, c_in, 1.0F, gathered.data(), c_in, w, c_out, 0.0F, product.data(),
                 c_out);
      for (std::int64_t p = 0; p < count; ++p) {
        float* to = out.data() + out_rows[k][static_cast<std::size_t>(p)] * c_out;
        const float* from = product.data() + p * c_out;
        for (std::int64_t n = 0; n < c_out; ++n) to[n] += from[n];
      }
    }
  }
};

Peer gather_gemm_scatter(const BenchLayer& layer) {
  const IndicePairsView& view = layer.pairs->view();
  auto s = std::make_shared<GatherState>();
  s->c_in = layer.line.c_in;
  s->c_out = layer.line.c_out;
  std::size_t longest = 0;
  for (std::int32_t k = 0; k < view.kv; ++k) {
    auto& in_rows = s->in_rows.emplace_back();
    auto& out_rows = s->out_rows.emplace_back();
    for (std::int32_t i = 0; i < view.num_out; ++i) {
      const std::int32_t j = view.pair_fwd[k * view.pair_stride + i];
      if (j < 0) continue;
      in_rows.push_back(j);
      out_rows.push_back(i);
    }
    longest = std::max(longest, in_rows.size());
  }
  const auto elements = [](std::int64_t rows, std::int64_t cols) {
    return static_cast<std::size_t>(rows * cols);
  };
  s->in.assign(elements(layer.n_in, s->c_in), 0.5F);
  s->weights.assign(elements(view.kv, s->c_in * s->c_out), 0.25F);
  s->gathered.resize(longest * static_cast<std::size_t>(s->c_in));
  s->product.resize(longest * static_cast<std::size_t>(s->c_out));
  s->out.resize(elements(view.num_out, s->c_out));
  return {"gather_gemm_scatter_f32", [s] { s->run(); }};
}

}  // namespace

bool have_peers() { return true; }

std::vector<Peer> make_peers(const BenchLayer& layer) {
  setenv("OMP_NUM_THREADS", "1", 1);  // read by oneDNN's runtime when it starts
  return {dense_int8(layer), gather_gemm_scatter(layer)};
}

}  // namespace voxgemm::bench
