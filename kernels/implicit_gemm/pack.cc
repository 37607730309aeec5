// Weight packing of the CPU rows: KRSC -> the layout each row streams. Plain loops, run once per plan.
#include <cstring>

#include "kernels/implicit_gemm/rows.h"
#include "kernels/implicit_gemm/vnni_layout.h"

namespace voxgemm::implicit_gemm {
namespace {

// Every weight of the problem: f(n, k, c, KRSC index).
template <typename F>
void for_each_weight(const ImplicitGemmProblem& p, F&& f) {
  std::int64_t at = 0;
  for (std::int32_t n = 0; n < p.c_out; ++n) {
    for (std::int32_t k = 0; k < p.kv; ++k) {
      for (std::int32_t c = 0; c < p.c_in; ++c) f(n, k, c, at++);
    }
  }
}

void vnni_pack_biased(const ImplicitGemmProblem& p, const void* krsc, void* packed, int bias) {
  const auto* from = static_cast<const std::int8_t*>(krsc);
  auto* to = static_cast<std::uint8_t*>(packed);
  std::memset(to, 0, vnni_packed_bytes(p));  // padding channels multiply by 0, biased or not
  for_each_weight(p, [&](std::int32_t n, std::int32_t k, std::int32_t c, std::int64_t at) {
    to[vnni_weight_at(p.kv, p.c_in, p.c_out, n, k, c)] = static_cast<std::uint8_t>(from[at] + bias);
  });
}

}  // namespace

std::size_t vnni_packed_bytes(const ImplicitGemmProblem& p) {
  return static_cast<std::size_t>(vnni_offset_bytes(p.c_in, vnni_units(p.c_out)) * p.kv);
}

void vnni_pack_u8_weights(const ImplicitGemmProblem& problem, const void* krsc, void* packed) {
  vnni_pack_biased(problem, krsc, packed, 128);
}

void vnni_pack_s8_weights(const ImplicitGemmProblem& problem, const void* krsc, void* packed) {
  vnni_pack_biased(problem, krsc, packed, 0);
}

}  // namespace voxgemm::implicit_gemm
