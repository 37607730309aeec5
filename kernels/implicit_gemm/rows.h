// The CPU rows of the implicit-GEMM table: what table.cc names and the ISA files define.
#pragma once

#include "kernels/implicit_gemm/implicit_gemm.h"

namespace voxgemm::implicit_gemm {

// scalar.cc
std::size_t scalar_packed_bytes(const ImplicitGemmProblem& problem);
void scalar_pack(const ImplicitGemmProblem& problem, const void* krsc, void* packed);
void scalar_run(const ImplicitGemmArgs& args, RowRange rows, Exec exec) noexcept;
void scalar_f32_run(const ImplicitGemmArgs& args, RowRange rows, Exec exec) noexcept;

// pack.cc: layout of vnni_layout.h
std::size_t vnni_packed_bytes(const ImplicitGemmProblem& problem);
void vnni_pack_u8_weights(const ImplicitGemmProblem& problem, const void* krsc, void* packed);  // w + 128
void vnni_pack_s8_weights(const ImplicitGemmProblem& problem, const void* krsc, void* packed);

// avx512vnni.cc
void avx512vnni_run(const ImplicitGemmArgs& args, RowRange tiles, Exec exec) noexcept;
void avx512vnni_u8_run(const ImplicitGemmArgs& args, RowRange tiles, Exec exec) noexcept;
void avx512vnni_prepare(const ImplicitGemmPrepare& args, RowRange rows, Exec exec) noexcept;

}  // namespace voxgemm::implicit_gemm
