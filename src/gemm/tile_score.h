// Which warp tile a CUDA layer gets: a pure function, so that the choice can be tested without a device.
#pragma once

#include <cstdint>

#include "kernels/implicit_gemm/implicit_gemm.h"

namespace voxgemm {

/// What the choice depends on besides the problem.
struct TileTarget {
  std::int32_t max_rows = 0;  ///< bound of the output rows; 0 = not known
  std::int32_t num_sms = 1;
  std::int32_t shared_bytes = 0;  ///< shared memory that one block may have
};

/// Tile of the tensor-core row for an int8 or float16 problem:
///   depth     a whole row of up to 16 or 32 bytes (then four or two offsets a step), else 64 bytes of it
///   channels  the widest of 64, 32, 16 not above c_out rounded up whose weights stay in shared memory; when
///   none
///             does, the widest
///   rows      32 when every multiprocessor then still has many tiles (8 of 16 channels, 24 of more), else 16
/// With a sigmoid the one tile that has kernels for it.
Tile best_tile(const ImplicitGemmProblem& problem, const TileTarget& target);

}  // namespace voxgemm
