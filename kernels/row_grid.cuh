// Launch shape of row-by-row operators: lanes along the channels, several rows a block, striding over the
// rest.
#pragma once

#include <cstdint>

#include "kernels/launch.cuh"

namespace voxgemm::device {

inline constexpr int kRowThreads = 256;

struct RowShape {
  dim3 block;
  dim3 grid;
};

/// `items` per row handled by threads (x), rows by (y).
inline RowShape row_shape(std::int64_t items, std::int64_t rows, const Exec& exec) {
  unsigned x = 1;
  while (x < items && x < static_cast<unsigned>(kRowThreads)) x *= 2;
  const unsigned y = kRowThreads / x;
  return {dim3(x, y), dim3(grid_for(rows, static_cast<std::int32_t>(y), exec, 8))};
}

/// Real number of rows.
__device__ inline std::int64_t row_count(std::int32_t rows, const std::int32_t* device_rows) {
  return device_rows != nullptr ? max(min(*device_rows, rows), 0) : rows;
}

}  // namespace voxgemm::device
