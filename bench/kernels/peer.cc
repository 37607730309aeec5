#include "bench/kernels/peer.h"

#include <algorithm>
#include <cstring>
#include <memory>

namespace voxgemm::bench {
namespace {

// Buffers of the gather - GEMM - scatter way.
struct GatherState {
  std::vector<float> in, weights, gathered, product, out;
  std::vector<std::vector<std::int32_t>> in_rows, out_rows;
  std::int64_t c_in = 0;
  std::int64_t c_out = 0;
  Sgemm sgemm = nullptr;

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
      sgemm(count, c_out, c_in, gathered.data(), w, product.data());
      for (std::int64_t p = 0; p < count; ++p) {
        float* to = out.data() + out_rows[k][static_cast<std::size_t>(p)] * c_out;
        const float* from = product.data() + p * c_out;
        for (std::int64_t n = 0; n < c_out; ++n) to[n] += from[n];
      }
    }
  }
};

}  // namespace

std::function<void()> gather_gemm_scatter(const BenchLayer& layer, Sgemm sgemm) {
  const IndicePairsView& view = layer.pairs->view();
  auto s = std::make_shared<GatherState>();
  s->sgemm = sgemm;
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
  return [s] { s->run(); };
}

std::vector<Peer> all_peers() {
  std::vector<Peer> peers;
  add_onednn_peers(peers);
  add_eigen_peers(peers);
  return peers;
}

}  // namespace voxgemm::bench
