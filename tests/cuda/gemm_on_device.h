// Runs kernel rows and plans of the implicit GEMM on a CUDA device for one random layer
// (tests/gemm/layer_case.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/implicit_gemm/implicit_gemm.h"
#include "tests/gemm/layer_case.h"
#include "voxgemm/context.h"

namespace voxgemm::test {

/// Host table [num_out][kv] of input rows, -1 = none, and what a device map made of it looks like.
struct MapOptions {
  std::int32_t capacity = 0;      ///< rows allocated; 0 = num_out
  std::int64_t stride_extra = 0;  ///< pair_stride = capacity + this
  bool with_mask = true;
  bool shuffled = false;  ///< a mask_argsort in random order
};

/// Kernel map in device memory; the count lies on the device too.
class DeviceMap {
 public:
  DeviceMap(Context& context, std::int32_t kv, std::int32_t n_in, const std::vector<std::int32_t>& input_row,
            const MapOptions& options);
  [[nodiscard]] const IndicePairsView& view() const { return view_; }
  void set_count(Context& context, std::int32_t num_out);

 private:
  Buffer pair_fwd_;
  Buffer mask_;
  Buffer argsort_;
  Buffer count_;
  IndicePairsView view_{};
};

/// Bytes of the output as the device left them, [capacity][out_stride] elements; poison where nothing was
/// written.
struct DeviceRun {
  std::string kernel;  ///< row name; empty = the plan's own choice
  std::int64_t in_padding = 0;
  std::int64_t out_padding = 0;
  bool residual_in_place = false;
};
inline constexpr std::uint8_t kPoison = 0xA5;

std::vector<std::uint8_t> run_on_device(Context& context, const LayerCase& c, const DeviceMap& map,
                                        const DeviceRun& options);

/// Tight bytes [num_out][c_out]; also checks that padding and rows beyond num_out still hold the poison.
std::vector<std::uint8_t> written_rows(std::span<const std::uint8_t> raw, std::int32_t num_out,
                                       std::int64_t row_bytes, std::int64_t stride_bytes);

/// Names of the tensor-core (or float32) rows that take the problem.
std::vector<std::string> device_rows(const Context& context, const ImplicitGemmProblem& problem);

}  // namespace voxgemm::test
