// What a run measured, layer by layer: as a table and as JSON (schema in tools/README.md).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace voxgemm::tools {

/// One step of the engine over all repeats.
struct LayerRow {
  std::string name;
  std::string kind;
  std::string precision;
  std::string kernel;
  std::string pairs_of;  ///< kernel map that it reads
  std::int32_t c_in = 0;
  std::int32_t c_out = 0;
  std::int32_t kv = 0;
  std::int32_t n_in = 0;
  std::int32_t n_out = 0;
  std::int32_t capacity = 0;
  std::int64_t pairs = 0;
  double median_us = 0.0;
  double p90_us = 0.0;
  std::int64_t useful_macs = 0;   ///< pairs * c_in * c_out, convolutions only
  std::int64_t issued_macs = 0;   ///< with the padding of the kernel's tile; 0 = not known
  std::optional<double> sqnr_db;  ///< against the float32 pass; absent without one

  /// Useful MACs a second, in 1e9.
  [[nodiscard]] double gmacs() const {
    return median_us > 0 ? static_cast<double>(useful_macs) / median_us * 1e-3 : 0;
  }
};

/// Median microseconds by what the time went to.
struct TimeTotals {
  double voxelize = 0.0;
  double pairs = 0.0;
  double gemm = 0.0;
  double other = 0.0;
  double frame = 0.0;  ///< median of whole frames, voxeliser included
  double frame_p90 = 0.0;
  double frame_p99 = 0.0;
};

std::string layer_table(const std::vector<LayerRow>& rows, const TimeTotals& totals);
nlohmann::json layers_json(const std::vector<LayerRow>& rows);
nlohmann::json totals_json(const TimeTotals& totals);

/// MACs that a kernel row issues for `useful` ones. CPU vector rows take exactly the pairs there are, but
/// round channels up: c_out to vectors of 16, c_in to the depth in their name
/// ("<isa>_<rows>x<channels>x<depth>"). 0 for rows that pad pairs too (CUDA tiles, and AMX, which counts for
/// itself: StepProfile::issued_macs), which these figures cannot tell.
std::int64_t issued_macs(const LayerRow& row);

/// True for the kinds that multiply: their time counts as GEMM.
bool is_convolution(const LayerRow& row);

}  // namespace voxgemm::tools
