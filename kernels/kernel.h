// What every kernel table row shares. Kernels do: no allocation, no exception, no global, no choice.
#pragma once

#include <cstdint>

namespace voxgemm {

/// Half-open range of rows (or tiles, or elements: each contract says which).
struct RowRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// Where a CUDA row launches; ignored by CPU rows.
struct Exec {
  void* stream = nullptr;                ///< cudaStream_t
  std::int32_t num_sms = 0;              ///< multiprocessors of the device
  std::int32_t* launch_error = nullptr;  ///< host int that keeps the first cudaError_t, or null
};

/// Block shape of a GEMM row.
struct Tile {
  std::int32_t rows = 0;
  std::int32_t channels = 0;
  std::int32_t depth = 0;
};

}  // namespace voxgemm
