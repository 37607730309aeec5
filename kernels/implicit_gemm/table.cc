// THE LIST: every implicit-GEMM row, best first.
#include <array>

#include "kernels/implicit_gemm/rows.h"

namespace voxgemm {
namespace {

using Problem = ImplicitGemmProblem;

const char* needs_int8(const Problem& p) {
  return p.in_dtype == DType::kInt8 ? nullptr : "takes int8 input only";
}

const char* needs_float32(const Problem& p) {
  return p.in_dtype == DType::kFloat32 ? nullptr : "takes float32 input only";
}

constexpr std::array kRows{
    ImplicitGemmKernel{.name = "scalar",
                       .isa = Isa::kScalar,
                       .tile = {1, 1, 1},
                       .forms = kPairTable,
                       .rejects = needs_int8,
                       .packed_bytes = implicit_gemm::scalar_packed_bytes,
                       .pack = implicit_gemm::scalar_pack,
                       .run = implicit_gemm::scalar_run},
    ImplicitGemmKernel{.name = "scalar_f32",
                       .isa = Isa::kScalar,
                       .tile = {1, 1, 1},
                       .forms = kPairTable,
                       .rejects = needs_float32,
                       .packed_bytes = implicit_gemm::scalar_packed_bytes,
                       .pack = implicit_gemm::scalar_pack,
                       .run = implicit_gemm::scalar_f32_run},
};

}  // namespace

std::span<const ImplicitGemmKernel> implicit_gemm_kernels() { return kRows; }

}  // namespace voxgemm
