// The CPU rows of the implicit-GEMM table: what table.cc names and the ISA files define.
#pragma once

#include "kernels/implicit_gemm/implicit_gemm.h"

namespace voxgemm::implicit_gemm {

// scalar.cc
std::size_t scalar_packed_bytes(const ImplicitGemmProblem& problem);
void scalar_pack(const ImplicitGemmProblem& problem, const void* krsc, void* packed);
void scalar_run(const ImplicitGemmArgs& args, RowRange rows, Exec exec) noexcept;
void scalar_f32_run(const ImplicitGemmArgs& args, RowRange rows, Exec exec) noexcept;

}  // namespace voxgemm::implicit_gemm
