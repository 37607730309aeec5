// The truth: loops that follow the formula of implicit_gemm.h. RowRange counts output rows of the pair table.
#include <cmath>
#include <cstring>

#include "kernels/implicit_gemm/rows.h"

namespace voxgemm {
namespace {

std::size_t weight_count(const ImplicitGemmProblem& p) {
  return static_cast<std::size_t>(p.c_out) * static_cast<std::size_t>(p.kv) *
         static_cast<std::size_t>(p.c_in);
}

// One output element of the int8 problem, before the epilogue.
std::int32_t dot_int8(const ImplicitGemmArgs& a, std::int64_t row, std::int32_t n) {
  const auto* in = static_cast<const std::int8_t*>(a.in);
  const auto* weights = static_cast<const std::int8_t*>(a.weights);
  const std::int64_t c_in = a.problem.c_in;
  std::int32_t acc = 0;
  for (std::int64_t k = 0; k < a.problem.kv; ++k) {
    const std::int64_t j = a.pairs.pair_fwd[k * a.pairs.pair_stride + row];
    if (j < 0) continue;
    const std::int8_t* x = in + j * a.in_stride;                     // (c_in)
    const std::int8_t* w = weights + (n * a.problem.kv + k) * c_in;  // (c_in)
    for (std::int64_t c = 0; c < c_in; ++c) acc += x[c] * w[c];
  }
  return acc;
}

// The same in float32: fused, offsets ascending, channels ascending. Every float row sums in this order.
float dot_f32(const ImplicitGemmArgs& a, std::int64_t row, std::int32_t n) {
  const auto* in = static_cast<const float*>(a.in);
  const auto* weights = static_cast<const float*>(a.weights);
  const std::int64_t c_in = a.problem.c_in;
  float acc = 0.0F;
  for (std::int64_t k = 0; k < a.problem.kv; ++k) {
    const std::int64_t j = a.pairs.pair_fwd[k * a.pairs.pair_stride + row];
    if (j < 0) continue;
    const float* x = in + j * a.in_stride;
    const float* w = weights + (n * a.problem.kv + k) * c_in;
    for (std::int64_t c = 0; c < c_in; ++c) acc = std::fma(x[c], w[c], acc);
  }
  return acc;
}

float residual_at(const ImplicitGemmArgs& a, std::int64_t row, std::int32_t n) {
  if (a.residual == nullptr) return 0.0F;
  const std::int64_t at = row * a.residual_stride + n;
  return a.problem.out_dtype == DType::kInt8
             ? static_cast<float>(static_cast<const std::int8_t*>(a.residual)[at])
             : static_cast<const float*>(a.residual)[at];
}

void store(const ImplicitGemmArgs& a, std::int64_t row, std::int32_t n, float t) {
  const std::int64_t at = row * a.out_stride + n;
  if (a.problem.out_dtype == DType::kInt8) {
    static_cast<std::int8_t*>(a.out)[at] = saturate_int8(t);
  } else {
    static_cast<float*>(a.out)[at] = t;
  }
}

void prepare_row(const ImplicitGemmPrepare& a, std::int64_t row) {
  const auto c_in = static_cast<std::size_t>(a.problem.c_in);
  const std::size_t item = size_of(a.problem.in_dtype);
  const auto* from = static_cast<const std::byte*>(a.in) + static_cast<std::size_t>(row * a.in_stride) * item;
  if (a.padded != nullptr) {
    auto* to = static_cast<std::byte*>(a.padded) + static_cast<std::size_t>(row * a.padded_stride) * item;
    std::memcpy(to, from, c_in * item);
    std::memset(to + c_in * item, 0, (static_cast<std::size_t>(a.padded_stride) - c_in) * item);
  }
  if (a.row_sums != nullptr) {
    const auto* x = reinterpret_cast<const std::int8_t*>(from);
    std::int32_t sum = 0;
    for (std::size_t c = 0; c < c_in; ++c) sum += x[c];
    a.row_sums[row] = sum;
  }
}

}  // namespace

void prepare_rows(const ImplicitGemmPrepare& args, RowRange rows, Exec) noexcept {
  for (std::int64_t row = rows.begin; row < rows.end; ++row) prepare_row(args, row);
}

namespace implicit_gemm {

std::size_t scalar_packed_bytes(const ImplicitGemmProblem& problem) {
  return weight_count(problem) * size_of(problem.in_dtype);
}

void scalar_pack(const ImplicitGemmProblem& problem, const void* krsc, void* packed) {
  std::memcpy(packed, krsc, scalar_packed_bytes(problem));
}

void scalar_run(const ImplicitGemmArgs& a, RowRange rows, Exec) noexcept {
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    for (std::int32_t n = 0; n < a.problem.c_out; ++n) {
      store(a, row, n,
            apply_epilogue(dot_int8(a, row, n), a.scale[n], a.bias[n], a.residual != nullptr, a.beta,
                           residual_at(a, row, n), a.activation, a.act_alpha));
    }
  }
}

void scalar_f32_run(const ImplicitGemmArgs& a, RowRange rows, Exec) noexcept {
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    for (std::int32_t n = 0; n < a.problem.c_out; ++n) {
      store(a, row, n,
            finish_epilogue(dot_f32(a, row, n) + a.bias[n], a.residual != nullptr, a.beta,
                            residual_at(a, row, n), a.activation, a.act_alpha));
    }
  }
}

}  // namespace implicit_gemm
}  // namespace voxgemm
