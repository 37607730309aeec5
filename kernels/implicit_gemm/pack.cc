// Weight packing of the CPU rows: KRSC -> the layout of block_layout.h. Plain loops, run once per plan.
#include <cstring>

#include "kernels/implicit_gemm/amx_layout.h"
#include "kernels/implicit_gemm/block_layout.h"
#include "kernels/implicit_gemm/rows.h"

namespace voxgemm::implicit_gemm {
namespace {

// Channels of a step.
constexpr std::int32_t kBytes4 = 4;
constexpr std::int32_t kWords2 = 2;
constexpr std::int32_t kFloats = 1;

template <typename Weight>
std::size_t packed_bytes(const ImplicitGemmProblem& p, std::int32_t depth) {
  return static_cast<std::size_t>(offset_weights(p.c_in, depth, num_units(p.c_out)) * p.kv) * sizeof(Weight);
}

// Every weight through `convert`; padding channels stay 0, so that what they multiply does not count.
template <typename From, typename Weight, typename F>
void pack(const ImplicitGemmProblem& p, std::int32_t depth, const void* krsc, void* packed, F&& convert) {
  const auto* from = static_cast<const From*>(krsc);
  auto* to = static_cast<Weight*>(packed);
  std::memset(packed, 0, packed_bytes<Weight>(p, depth));
  for (std::int32_t n = 0; n < p.c_out; ++n) {
    for (std::int32_t k = 0; k < p.kv; ++k) {
      for (std::int32_t c = 0; c < p.c_in; ++c) {
        to[weight_at(p.kv, p.c_in, p.c_out, depth, n, k, c)] = static_cast<Weight>(convert(*from++));
      }
    }
  }
}

}  // namespace

std::size_t bytes4_packed_bytes(const ImplicitGemmProblem& p) {
  return packed_bytes<std::int8_t>(p, kBytes4);
}

void bytes4_pack_biased(const ImplicitGemmProblem& p, const void* krsc, void* packed) {
  pack<std::int8_t, std::uint8_t>(p, kBytes4, krsc, packed, [](int w) { return w + 128; });
}

void bytes4_pack(const ImplicitGemmProblem& p, const void* krsc, void* packed) {
  pack<std::int8_t, std::int8_t>(p, kBytes4, krsc, packed, [](int w) { return w; });
}

bool amx_reads_blocks(const ImplicitGemmProblem& p) { return blocks_pay(slab_shape(p.kv, p.c_in)); }

std::size_t amx_packed_bytes(const ImplicitGemmProblem& p) {
  return static_cast<std::size_t>(group_weights(slab_shape(p.kv, p.c_in), num_units(p.c_out)));
}

void amx_pack(const ImplicitGemmProblem& p, const void* krsc, void* packed) {
  const auto* from = static_cast<const std::int8_t*>(krsc);
  auto* to = static_cast<std::int8_t*>(packed);
  std::memset(packed, 0, amx_packed_bytes(p));
  const SlabShape shape = slab_shape(p.kv, p.c_in);
  for (std::int32_t n = 0; n < p.c_out; ++n) {
    for (std::int32_t k = 0; k < p.kv; ++k) {
      for (std::int32_t c = 0; c < p.c_in; ++c) {
        to[slab_weight_at(shape, num_units(p.c_out), n, k, c)] = *from++;
      }
    }
  }
}

std::size_t words2_packed_bytes(const ImplicitGemmProblem& p) {
  return packed_bytes<std::int16_t>(p, kWords2);
}

void words2_pack(const ImplicitGemmProblem& p, const void* krsc, void* packed) {
  pack<std::int8_t, std::int16_t>(p, kWords2, krsc, packed, [](int w) { return w; });
}

std::size_t floats_packed_bytes(const ImplicitGemmProblem& p) { return packed_bytes<float>(p, kFloats); }

void floats_pack(const ImplicitGemmProblem& p, const void* krsc, void* packed) {
  pack<float, float>(p, kFloats, krsc, packed, [](float w) { return w; });
}

}  // namespace voxgemm::implicit_gemm
