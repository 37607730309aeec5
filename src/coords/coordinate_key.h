// Linear keys of coordinates: ((b*S0 + i0)*S1 + i1)*..., ascending in row-major order.
#pragma once

#include <cstdint>

#include "voxgemm/types.h"

namespace voxgemm {

/// Key of a row (b, i0, ..) that lies inside; -1 when it does not.
inline std::int64_t coordinate_key(const std::int32_t* row, const Dims& shape, std::int32_t batch_size) {
  if (row[0] < 0 || row[0] >= batch_size) return -1;
  std::int64_t key = row[0];
  for (int axis = 0; axis < shape.ndim; ++axis) {
    const std::int32_t v = row[1 + axis];
    if (v < 0 || v >= shape[axis]) return -1;
    key = key * shape[axis] + v;
  }
  return key;
}

/// Inverse of coordinate_key.
inline void coordinate_of_key(std::int64_t key, const Dims& shape, std::int32_t* row) {
  for (int axis = shape.ndim - 1; axis >= 0; --axis) {
    row[1 + axis] = static_cast<std::int32_t>(key % shape[axis]);
    key /= shape[axis];
  }
  row[0] = static_cast<std::int32_t>(key);
}

}  // namespace voxgemm
