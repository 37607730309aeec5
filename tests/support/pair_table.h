// Kernel maps for GEMM tests and benches, made without the pairs room: from a plain table of input rows.
#pragma once

#include <cstdint>
#include <vector>

#include "voxgemm/indice_pairs.h"

namespace voxgemm::test {

/// Owns pair_fwd, masks, and the tile pairs and pair blocks derived from them; hands out the view that GEMM
/// rows read.
class PairTable {
 public:
  /// input_row [num_out][kv], -1 = none.
  PairTable(std::int32_t kv, std::int32_t n_in, const std::vector<std::int32_t>& input_row,
            std::int32_t tile_rows);
  PairTable(const PairTable&) = delete;  // the view points into the vectors
  PairTable& operator=(const PairTable&) = delete;

  [[nodiscard]] const IndicePairsView& view() const { return view_; }
  [[nodiscard]] std::int64_t num_pairs() const { return static_cast<std::int64_t>(in_rows_.size()); }

 private:
  std::vector<std::int32_t> pair_fwd_;
  std::vector<std::uint32_t> mask_;
  std::vector<std::int32_t> start_;
  std::vector<std::int32_t> in_rows_;
  std::vector<std::uint16_t> out_rows_;
  std::vector<std::int32_t> order_;
  std::vector<std::int32_t> num_steps_;
  std::vector<std::int32_t> offsets_;
  std::vector<std::int32_t> block_rows_;
  IndicePairsView view_{};
};

/// Every (output, offset) entry is present with probability `density`; input rows at random.
std::vector<std::int32_t> random_input_rows(std::int32_t kv, std::int32_t n_in, std::int32_t num_out,
                                            double density, std::uint64_t seed);

}  // namespace voxgemm::test
