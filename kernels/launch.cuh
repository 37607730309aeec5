// What every CUDA row needs around a launch.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/kernel.h"

namespace voxgemm::device {

inline cudaStream_t stream_of(const Exec& exec) { return static_cast<cudaStream_t>(exec.stream); }

/// Keeps the first error of a launch where the caller reads it.
inline void note_launch(const Exec& exec) {
  const cudaError_t error = cudaGetLastError();
  if (exec.launch_error != nullptr && *exec.launch_error == 0) {
    *exec.launch_error = static_cast<std::int32_t>(error);
  }
}

/// Blocks for `items` at `per_block` each, at most `per_sm` on every multiprocessor: kernels stride over the
/// rest.
inline unsigned grid_for(std::int64_t items, std::int32_t per_block, const Exec& exec, std::int32_t per_sm) {
  const std::int64_t want = (items + per_block - 1) / per_block;
  const std::int64_t most = static_cast<std::int64_t>(exec.num_sms > 0 ? exec.num_sms : 1) * per_sm;
  const std::int64_t blocks = want < most ? want : most;
  return static_cast<unsigned>(blocks < 1 ? 1 : blocks);
}

}  // namespace voxgemm::device
