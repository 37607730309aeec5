// Insides of an ImplicitGemm plan, shared by plan.cc and run.cc.
#pragma once

#include <string>
#include <vector>

#include "kernels/implicit_gemm/implicit_gemm.h"
#include "voxgemm/implicit_gemm.h"

namespace voxgemm {

struct ImplicitGemm::Impl {
  ImplicitGemmDesc desc;
  ImplicitGemmProblem problem;
  const ImplicitGemmKernel* kernel = nullptr;
  std::string kernel_name;
  std::vector<RefusedKernel> refused;
  Device device{};
  Buffer weights;  // packed by `kernel`
  Buffer scale;    // [c_out rounded up], tail 0
  Buffer bias;     // likewise
  float beta = 0.0F;
  Activation activation = Activation::kNone;
  float act_alpha = 0.0F;

  [[nodiscard]] std::int64_t padded_c_in() const noexcept {
    const std::int64_t m = kernel->in_multiple;
    return (problem.c_in + m - 1) / m * m;
  }
  /// Whether an input of this row stride must be copied before the row can read it.
  [[nodiscard]] bool needs_copy(std::int64_t in_stride) const noexcept {
    return in_stride < padded_c_in() || in_stride % kernel->stride_multiple != 0;
  }
  /// Whether some stride that run() accepts needs the copy.
  [[nodiscard]] bool may_copy() const noexcept {
    return problem.c_in % kernel->in_multiple != 0 || kernel->stride_multiple > 1;
  }
  [[nodiscard]] std::int64_t copy_stride() const noexcept {
    const std::int64_t m = kernel->stride_multiple;
    return (padded_c_in() + m - 1) / m * m;
  }
};

}  // namespace voxgemm
