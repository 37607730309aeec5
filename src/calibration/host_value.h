// Values of a device or of the CPU, in host memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "voxgemm/context.h"
#include "voxgemm/sparse_tensor.h"

namespace voxgemm {

/// A sparse value in host memory, rows [0, n) without padding.
struct HostValue {
  std::vector<float> real;          ///< [n][channels]: scale * stored
  std::vector<std::int8_t> stored;  ///< likewise, int8 values only
  std::int32_t channels = 0;
};

/// Copies from the context's device, behind what its stream has been given. Throws kDevice.
void copy_to_host(Context& context, void* host, const void* from, std::size_t bytes);

/// The view's row count, read from the device where it is counted there; not compared with the capacity.
std::int32_t count_rows(Context& context, const SparseTensorView& view);

/// The first `rows` rows of float32, float16 or int8 features.
HostValue read_rows(Context& context, const FeatureView& features, std::int32_t rows);

}  // namespace voxgemm
