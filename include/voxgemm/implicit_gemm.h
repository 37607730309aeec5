// ImplicitGemm: a planned sparse convolution over indice pairs.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "voxgemm/context.h"
#include "voxgemm/epilogue.h"
#include "voxgemm/indice_pairs.h"
#include "voxgemm/types.h"

namespace voxgemm {

/// Problem of one layer: what is fixed when it is planned.
///   acc[i][n] = sum over k with pair_fwd[k][i] = j >= 0, and over c < c_in, of in[j][c] * W[n][k][c]
/// int8 x int8 -> exact int32 (kv * c_in <= 131071 is checked), float32 x float32 -> float32,
/// float16 x float16 -> float32 on CUDA. Then the epilogue.
struct ImplicitGemmDesc {
  std::string name;  ///< layer name, used in every error
  std::int32_t kv = 1;
  std::int32_t c_in = 0;            ///< >= 1, any value
  std::int32_t c_out = 0;           ///< >= 1, any value
  DType in_dtype = DType::kInt8;    ///< kInt8, kFloat32 (CPU and CUDA), kFloat16 (CUDA)
  DType out_dtype = DType::kInt8;   ///< int8 in: kInt8 or kFloat32 (CUDA also kFloat16); else = in_dtype
  bool has_residual = false;        ///< residual has out_dtype and shape of the output
  bool input_non_negative = false;  ///< promise that no input value is < 0 (after ReLU): a faster row
  std::int32_t max_rows = 0;        ///< largest n_in and n_out that run() will see; 0 = no bound known
};

/// Plan of one layer. Construction validates, chooses a row, packs the weights and may throw; run() is
/// noexcept, allocates nothing and reads the plan only (threads may share it, each with its own context and
/// workspace). Scales are those of the epilogue: FeatureView::scale is not read.
class VOXGEMM_API ImplicitGemm {
 public:
  /// weights: KRSC [c_out][kv][c_in], int8 in [-128,127]. Errors: kShape (lengths), kInvalidArgument
  /// (scale not finite, kv * c_in too large), kUnsupported (forced row cannot run, with the reason).
  ImplicitGemm(Context& context, const ImplicitGemmDesc& desc, std::span<const std::int8_t> weights,
               const EpilogueParams& epilogue);
  /// Float32 problem (and float16 on CUDA: weights are rounded once). `epilogue.scale` must be ones or
  /// empty; bias, residual and activation act on the float sum.
  ImplicitGemm(Context& context, const ImplicitGemmDesc& desc, std::span<const float> weights,
               const EpilogueParams& epilogue);
  ~ImplicitGemm();
  ImplicitGemm(ImplicitGemm&&) noexcept;
  ImplicitGemm& operator=(ImplicitGemm&&) noexcept;

  [[nodiscard]] const ImplicitGemmDesc& desc() const noexcept;
  [[nodiscard]] const std::string& kernel_name() const noexcept;
  [[nodiscard]] const std::vector<RefusedKernel>& refused() const noexcept;
  /// Chosen row, its tile, packed bytes, and each better row with the reason it was refused.
  [[nodiscard]] std::string describe() const;
  /// Pair forms that run() reads; without kBlockPairs it runs too, slower.
  [[nodiscard]] PairForms pair_forms() const noexcept;
  /// Row stride (elements) that spares run() a copy of the input: c_in rounded up as the row likes it.
  [[nodiscard]] std::int64_t preferred_in_stride() const noexcept;
  /// Bytes of workspace for inputs of at most `max_in` and outputs of at most `max_out` rows.
  [[nodiscard]] std::size_t workspace_bytes(std::int32_t max_in, std::int32_t max_out) const noexcept;

  /// Writes rows [0, num_out) of `out`; rows beyond are untouched. residual.data may be null iff the
  /// plan has none; it may alias `out`. On CUDA it enqueues on the context's stream and reads the counts
  /// of `pairs` on the device. CPU rows that multiply absent pairs too (AMX) add the multiply-accumulates
  /// they issue to `issued_macs`, when given; others leave it. Status: kShape / kDType / kInvalidArgument
  /// (missing pair form) / kCapacity.
  Status run(Context& context, const IndicePairsView& pairs, const FeatureView& in,
             const FeatureView& residual, const FeatureSpan& out, Workspace workspace,
             std::int64_t* issued_macs = nullptr) const noexcept;

  struct Impl;
  [[nodiscard]] const Impl& impl() const noexcept { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// Names of all rows in table order, best first ("amx_...", ..., "scalar"), for --kernel and tests.
VOXGEMM_API std::vector<std::string> implicit_gemm_kernel_names();

}  // namespace voxgemm
