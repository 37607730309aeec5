// THE LIST: every implicit-GEMM row, best first.
#include <array>

#include "kernels/implicit_gemm/rows.h"
#ifdef VOXGEMM_WITH_CUDA
#include "kernels/implicit_gemm/sm80_rows.h"
#endif

namespace voxgemm {
namespace {

using Problem = ImplicitGemmProblem;

const char* needs_int8(const Problem& p) {
  return p.in_dtype == DType::kInt8 ? nullptr : "takes int8 input only";
}

const char* needs_float32(const Problem& p) {
  return p.in_dtype == DType::kFloat32 ? nullptr : "takes float32 input only";
}

#ifdef __x86_64__
const char* needs_non_negative_int8(const Problem& p) {
  if (p.in_dtype != DType::kInt8) return "takes int8 input only";
  return p.input_non_negative ? nullptr : "the input may be negative";
}

// Blocks multiply absent neighbours too and gather each input by rows: below this the AVX-512 VNNI row, which
// works on pairs that exist, is faster.
const char* needs_wide_int8(const Problem& p) {
  constexpr std::int32_t kNarrowest = 32;
  if (p.in_dtype != DType::kInt8) return "takes int8 input only";
  return p.c_in >= kNarrowest && p.c_out >= kNarrowest ? nullptr
                                                       : "c_in or c_out below 32: AVX-512 VNNI is faster";
}
#endif

constexpr std::array kRows{
#ifdef __x86_64__
    ImplicitGemmKernel{.name = "amx_32x32x64",
                       .isa = Isa::kAmxInt8,
                       .tile = {32, 32, 64},
                       .forms = kPairTable,
                       .reads_blocks = implicit_gemm::amx_reads_blocks,
                       .rejects = needs_wide_int8,
                       .packed_bytes = implicit_gemm::amx_packed_bytes,
                       .pack = implicit_gemm::amx_pack,
                       .run = implicit_gemm::amx_run},
#endif
#ifdef VOXGEMM_WITH_CUDA
    implicit_gemm::sm80_row<std::int8_t, 32, 64, 64>("sm80_32x64x64"),
    implicit_gemm::sm80_row<std::int8_t, 16, 64, 64>("sm80_16x64x64"),
    implicit_gemm::sm80_row<std::int8_t, 32, 32, 64>("sm80_32x32x64"),
    implicit_gemm::sm80_row<std::int8_t, 16, 32, 64>("sm80_16x32x64"),
    implicit_gemm::sm80_row<std::int8_t, 32, 16, 64>("sm80_32x16x64"),
    implicit_gemm::sm80_row<std::int8_t, 16, 16, 64>("sm80_16x16x64"),
    implicit_gemm::sm80_row<std::int8_t, 32, 64, 32>("sm80_32x64x32"),
    implicit_gemm::sm80_row<std::int8_t, 16, 64, 32>("sm80_16x64x32"),
    implicit_gemm::sm80_row<std::int8_t, 32, 32, 32>("sm80_32x32x32"),
    implicit_gemm::sm80_row<std::int8_t, 16, 32, 32>("sm80_16x32x32"),
    implicit_gemm::sm80_row<std::int8_t, 32, 16, 32>("sm80_32x16x32"),
    implicit_gemm::sm80_row<std::int8_t, 16, 16, 32>("sm80_16x16x32"),
    implicit_gemm::sm80_row<std::int8_t, 32, 64, 16>("sm80_32x64x16"),
    implicit_gemm::sm80_row<std::int8_t, 16, 64, 16>("sm80_16x64x16"),
    implicit_gemm::sm80_row<std::int8_t, 32, 32, 16>("sm80_32x32x16"),
    implicit_gemm::sm80_row<std::int8_t, 16, 32, 16>("sm80_16x32x16"),
    implicit_gemm::sm80_row<std::int8_t, 32, 16, 16>("sm80_32x16x16"),
    implicit_gemm::sm80_row<std::int8_t, 16, 16, 16>("sm80_16x16x16"),
    implicit_gemm::sm80_row<Half, 32, 64, 64>("sm80_32x64x32_f16"),
    implicit_gemm::sm80_row<Half, 16, 64, 64>("sm80_16x64x32_f16"),
    implicit_gemm::sm80_row<Half, 32, 32, 64>("sm80_32x32x32_f16"),
    implicit_gemm::sm80_row<Half, 16, 32, 64>("sm80_16x32x32_f16"),
    implicit_gemm::sm80_row<Half, 32, 16, 64>("sm80_32x16x32_f16"),
    implicit_gemm::sm80_row<Half, 16, 16, 64>("sm80_16x16x32_f16"),
    implicit_gemm::sm80_row<Half, 32, 64, 32>("sm80_32x64x16_f16"),
    implicit_gemm::sm80_row<Half, 16, 64, 32>("sm80_16x64x16_f16"),
    implicit_gemm::sm80_row<Half, 32, 32, 32>("sm80_32x32x16_f16"),
    implicit_gemm::sm80_row<Half, 16, 32, 32>("sm80_16x32x16_f16"),
    implicit_gemm::sm80_row<Half, 32, 16, 32>("sm80_32x16x16_f16"),
    implicit_gemm::sm80_row<Half, 16, 16, 32>("sm80_16x16x16_f16"),
    implicit_gemm::sm80_row<Half, 32, 64, 16>("sm80_32x64x8_f16"),
    implicit_gemm::sm80_row<Half, 16, 64, 16>("sm80_16x64x8_f16"),
    implicit_gemm::sm80_row<Half, 32, 32, 16>("sm80_32x32x8_f16"),
    implicit_gemm::sm80_row<Half, 16, 32, 16>("sm80_16x32x8_f16"),
    implicit_gemm::sm80_row<Half, 32, 16, 16>("sm80_32x16x8_f16"),
    implicit_gemm::sm80_row<Half, 16, 16, 16>("sm80_16x16x8_f16"),
    ImplicitGemmKernel{.name = "sm80_4x32x1_f32",
                       .isa = Isa::kSm80,
                       .tile = {4, 32, 1},
                       .forms = kPairTable,
                       .rejects = implicit_gemm::cuda_f32_rejects,
                       .packed_bytes = implicit_gemm::cuda_f32_packed_bytes,
                       .pack = implicit_gemm::cuda_f32_pack,
                       .run = implicit_gemm::cuda_f32_run},
#endif
#ifdef __x86_64__
    ImplicitGemmKernel{.name = "avx512vnni_6x64x4_u8",
                       .isa = Isa::kAvx512Vnni,
                       .tile = {6, 64, 4},
                       .forms = kTilePairs,
                       .in_multiple = 4,
                       .rejects = needs_non_negative_int8,
                       .packed_bytes = implicit_gemm::bytes4_packed_bytes,
                       .pack = implicit_gemm::bytes4_pack,
                       .run = implicit_gemm::avx512vnni_u8_run,
                       .prepare = implicit_gemm::avx512vnni_prepare},
    ImplicitGemmKernel{.name = "avx512vnni_6x64x4",
                       .isa = Isa::kAvx512Vnni,
                       .tile = {6, 64, 4},
                       .forms = kTilePairs,
                       .in_multiple = 4,
                       .needs_row_sums = true,
                       .rejects = needs_int8,
                       .packed_bytes = implicit_gemm::bytes4_packed_bytes,
                       .pack = implicit_gemm::bytes4_pack_biased,
                       .run = implicit_gemm::avx512vnni_run,
                       .prepare = implicit_gemm::avx512vnni_prepare},
    ImplicitGemmKernel{.name = "avx2_4x16x4_u8",
                       .isa = Isa::kAvx2,
                       .tile = {4, 16, 4},
                       .forms = kTilePairs,
                       .in_multiple = 4,
                       .rejects = needs_non_negative_int8,
                       .packed_bytes = implicit_gemm::bytes4_packed_bytes,
                       .pack = implicit_gemm::bytes4_pack,
                       .run = implicit_gemm::avx2_u8_run,
                       .prepare = prepare_rows},
    ImplicitGemmKernel{.name = "avx2_4x16x2",
                       .isa = Isa::kAvx2,
                       .tile = {4, 16, 2},
                       .forms = kTilePairs,
                       .rejects = needs_int8,
                       .packed_bytes = implicit_gemm::words2_packed_bytes,
                       .pack = implicit_gemm::words2_pack,
                       .run = implicit_gemm::avx2_run},
#endif
    ImplicitGemmKernel{.name = "scalar",
                       .isa = Isa::kScalar,
                       .tile = {1, 1, 1},
                       .forms = kPairTable,
                       .rejects = needs_int8,
                       .packed_bytes = implicit_gemm::scalar_packed_bytes,
                       .pack = implicit_gemm::scalar_pack,
                       .run = implicit_gemm::scalar_run},
#ifdef __x86_64__
    ImplicitGemmKernel{.name = "avx512_f32_6x64x1",
                       .isa = Isa::kAvx512,
                       .tile = {6, 64, 1},
                       .forms = kTilePairs,
                       .rejects = needs_float32,
                       .packed_bytes = implicit_gemm::floats_packed_bytes,
                       .pack = implicit_gemm::floats_pack,
                       .run = implicit_gemm::avx512_f32_run},
    ImplicitGemmKernel{.name = "avx2_f32_6x16x1",
                       .isa = Isa::kAvx2,
                       .tile = {6, 16, 1},
                       .forms = kTilePairs,
                       .rejects = needs_float32,
                       .packed_bytes = implicit_gemm::floats_packed_bytes,
                       .pack = implicit_gemm::floats_pack,
                       .run = implicit_gemm::avx2_f32_run},
#endif
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
