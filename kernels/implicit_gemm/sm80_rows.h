// The CUDA rows of the implicit-GEMM table: what table.cc names and the .cu files define. No CUDA header
// needed.
#pragma once

#include "kernels/implicit_gemm/implicit_gemm.h"
#include "kernels/implicit_gemm/sm80_layout.h"

namespace voxgemm::implicit_gemm {

/// One tensor-core row; Tag is std::int8_t or Half. Instantiated in sm80_int8.cu and sm80_f16.cu.
template <typename Tag, int kRows, int kChannels, int kStepBytes>
struct Sm80Row {
  static constexpr int kElementBytes = sizeof(Tag);
  static constexpr Sm80Shape kShape{kRows, kChannels, kStepBytes};
  // A sigmoid in the epilogue costs registers: kernels of their own have it, and one tile has those.
  static constexpr bool kHasSigmoid = kRows == kSm80SigmoidRows && kChannels == kSm80SigmoidChannels;

  static const char* rejects(const ImplicitGemmProblem& p) {
    constexpr bool kInt8 = sizeof(Tag) == 1;
    if (p.in_dtype != (kInt8 ? DType::kInt8 : DType::kFloat16)) {
      return kInt8 ? "takes int8 input only" : "takes float16 input only";
    }
    if (kStepBytes < 64 && p.c_in * static_cast<std::int32_t>(sizeof(Tag)) > kStepBytes) {
      return "packs several offsets a step, c_in is too large";
    }
    if (p.sigmoid && !kHasSigmoid) return "has no sigmoid";
    return nullptr;
  }
  static std::size_t packed_bytes(const ImplicitGemmProblem& problem);
  static void pack(const ImplicitGemmProblem& problem, const void* krsc, void* packed);
  static std::int32_t setup(const ImplicitGemmProblem& problem);
  static void run(const ImplicitGemmArgs& args, RowRange rows, Exec exec) noexcept;
};

/// Padded copy of the input on the device, 1-, 2- and 4-byte elements.
void cuda_prepare(const ImplicitGemmPrepare& args, RowRange rows, Exec exec) noexcept;

/// float32: the order of the scalar row, so the same bits.
const char* cuda_f32_rejects(const ImplicitGemmProblem& problem);
std::size_t cuda_f32_packed_bytes(const ImplicitGemmProblem& problem);
void cuda_f32_pack(const ImplicitGemmProblem& problem, const void* krsc, void* packed);
void cuda_f32_run(const ImplicitGemmArgs& args, RowRange rows, Exec exec) noexcept;

template <typename Tag, int kRows, int kChannels, int kStepBytes>
constexpr ImplicitGemmKernel sm80_row(std::string_view name) {
  using Row = Sm80Row<Tag, kRows, kChannels, kStepBytes>;
  constexpr auto kVector = static_cast<std::int32_t>(16 / sizeof(Tag));
  return {.name = name,
          .isa = Isa::kSm80,
          .tile = {kRows, kChannels, static_cast<std::int32_t>(kStepBytes / sizeof(Tag))},
          .forms = kPairTable,
          .in_multiple = kVector,
          .stride_multiple = kVector,
          .rejects = Row::rejects,
          .packed_bytes = Row::packed_bytes,
          .pack = Row::pack,
          .run = Row::run,
          .prepare = cuda_prepare,
          .setup = Row::setup};
}

}  // namespace voxgemm::implicit_gemm
