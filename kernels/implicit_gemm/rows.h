// The CPU rows of the implicit-GEMM table: what table.cc names and the other files define.
#pragma once

#include "kernels/implicit_gemm/implicit_gemm.h"

namespace voxgemm::implicit_gemm {

// scalar.cc
std::size_t scalar_packed_bytes(const ImplicitGemmProblem& problem);
void scalar_pack(const ImplicitGemmProblem& problem, const void* krsc, void* packed);
void scalar_run(const ImplicitGemmArgs& args, RowRange rows, Exec exec) noexcept;
void scalar_f32_run(const ImplicitGemmArgs& args, RowRange rows, Exec exec) noexcept;

// pack.cc: layouts of block_layout.h with 4 bytes, 2 16-bit words or 1 float a step
std::size_t bytes4_packed_bytes(const ImplicitGemmProblem& problem);
void bytes4_pack_biased(const ImplicitGemmProblem& problem, const void* krsc,
                        void* packed);  // w + 128, unsigned
void bytes4_pack(const ImplicitGemmProblem& problem, const void* krsc, void* packed);
std::size_t words2_packed_bytes(const ImplicitGemmProblem& problem);
void words2_pack(const ImplicitGemmProblem& problem, const void* krsc, void* packed);
std::size_t floats_packed_bytes(const ImplicitGemmProblem& problem);
void floats_pack(const ImplicitGemmProblem& problem, const void* krsc, void* packed);

// avx512vnni.cc
void avx512vnni_run(const ImplicitGemmArgs& args, RowRange tiles, Exec exec) noexcept;
void avx512vnni_u8_run(const ImplicitGemmArgs& args, RowRange tiles, Exec exec) noexcept;
void avx512vnni_prepare(const ImplicitGemmPrepare& args, RowRange rows, Exec exec) noexcept;

// amx.cc; the layout of amx_layout.h, packed in pack.cc
bool amx_reads_blocks(const ImplicitGemmProblem& problem);
std::size_t amx_packed_bytes(const ImplicitGemmProblem& problem);
void amx_pack(const ImplicitGemmProblem& problem, const void* krsc, void* packed);
void amx_run(const ImplicitGemmArgs& args, RowRange rows, Exec exec) noexcept;

// avx512_f32.cc, avx2.cc, avx2_f32.cc
void avx512_f32_run(const ImplicitGemmArgs& args, RowRange tiles, Exec exec) noexcept;
void avx2_run(const ImplicitGemmArgs& args, RowRange tiles, Exec exec) noexcept;
void avx2_u8_run(const ImplicitGemmArgs& args, RowRange tiles, Exec exec) noexcept;
void avx2_f32_run(const ImplicitGemmArgs& args, RowRange tiles, Exec exec) noexcept;

}  // namespace voxgemm::implicit_gemm
