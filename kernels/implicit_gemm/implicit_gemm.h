// The implicit-GEMM contract: one operator, many rows, the same bits.
//
//   acc[i][n] = sum over offsets k with pair (k, j -> i), and over c < c_in, of in[j][c] * W[n][k][c]
//   out[i][n] = epilogue(acc[i][n], n, residual[i][n])                    (include/voxgemm/epilogue.h)
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/kernel.h"
#include "voxgemm/epilogue.h"
#include "voxgemm/pair_views.h"
#include "voxgemm/types.h"

namespace voxgemm {

/// What a row may look at when it accepts or refuses.
struct ImplicitGemmProblem {
  std::int32_t kv = 1;
  std::int32_t c_in = 0;
  std::int32_t c_out = 0;
  DType in_dtype = DType::kInt8;
  DType out_dtype = DType::kInt8;
  bool has_residual = false;
  bool input_non_negative = false;
  bool sigmoid = false;  // the epilogue's activation is one
};

/// Views only; whoever calls owns the memory.
struct ImplicitGemmArgs {
  ImplicitGemmProblem problem{};
  IndicePairsView pairs{};
  const void* in = nullptr;                // [n_in][in_stride]     row j
  std::int64_t in_stride = 0;              // elements
  const void* weights = nullptr;           // packed by this row
  const std::int32_t* row_sums = nullptr;  // [n_in] sum over c of in[j][c], when the row asked for it
  const float* scale = nullptr;            // [c_out rounded up to 64 and to tile.channels, tail 0]
  const float* bias = nullptr;             // likewise
  float beta = 0.0F;
  Activation activation = Activation::kNone;
  float act_alpha = 0.0F;
  const void* residual = nullptr;  // [num_out][residual_stride], out_dtype; null = none
  std::int64_t residual_stride = 0;
  void* out = nullptr;  // [num_out][out_stride]
  std::int64_t out_stride = 0;
  // CPU rows that multiply absent pairs too add the multiply-accumulates they issue; null = nobody asks.
  std::int64_t* issued_macs = nullptr;
};

/// Operands of a row's pass over the input, before its run.
struct ImplicitGemmPrepare {
  ImplicitGemmProblem problem{};
  const void* in = nullptr;    // [n_in][in_stride]
  std::int64_t in_stride = 0;  // elements
  void* padded = nullptr;      // [n_in][padded_stride] copy with zeros beyond c_in; null = not wanted
  std::int64_t padded_stride = 0;
  std::int32_t* row_sums = nullptr;           // [n_in] sum over c < c_in of in[j][c]; null = not wanted
  const std::int32_t* device_n_in = nullptr;  // CUDA: the count, when it lives on the device
};

/// One row of the table.
struct ImplicitGemmKernel {
  std::string_view name;  // "<isa>_<rows>x<channels>x<depth>[_tag]": name in test, bench, log and --kernel
  Isa isa = Isa::kScalar;
  Tile tile{};
  PairForms forms = 0;               // pair forms it reads
  std::int32_t in_multiple = 1;      // c_in padded up to this must be readable in every row (any content)
  std::int32_t stride_multiple = 1;  // and in_stride must be a multiple of this
  bool needs_row_sums = false;
  bool (*reads_blocks)(const ImplicitGemmProblem&) = nullptr;    // also kBlockPairs, when they are there
  const char* (*rejects)(const ImplicitGemmProblem&) = nullptr;  // nullptr, or why
  std::size_t (*packed_bytes)(const ImplicitGemmProblem&) = nullptr;
  // KRSC weights of in_dtype (int8, or float32 for float problems) -> this row's layout, host memory.
  void (*pack)(const ImplicitGemmProblem&, const void* krsc, void* packed) = nullptr;
  // CPU rows: range counts tiles of pairs.tiles (tile-pair rows) or output rows (pair-table rows).
  // CUDA rows: called once; the count is read on the device.
  void (*run)(const ImplicitGemmArgs&, RowRange, Exec) noexcept = nullptr;
  // Writes what the row asked for over input rows of the range: the padded copy, the row sums.
  void (*prepare)(const ImplicitGemmPrepare&, RowRange, Exec) noexcept = nullptr;
  // CUDA rows: called once a plan, on the plan's device; sets kernel attributes. 0 or a cudaError_t.
  std::int32_t (*setup)(const ImplicitGemmProblem&) = nullptr;
};

/// The plain prepare(): copies and sums row by row, for int8 and float32.
void prepare_rows(const ImplicitGemmPrepare& args, RowRange rows, Exec exec) noexcept;

/// Best first; the last row of each in_dtype is scalar and takes everything.
std::span<const ImplicitGemmKernel> implicit_gemm_kernels();

}  // namespace voxgemm
