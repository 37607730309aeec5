// What every CUDA launch of this room needs.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/kernel.h"

namespace voxgemm::implicit_gemm {

/// An attribute of the current device; 0 when it cannot be read.
inline std::int32_t device_attribute(cudaDeviceAttr attribute) {
  int device = 0;
  int value = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return 0;
  return cudaDeviceGetAttribute(&value, attribute, device) == cudaSuccess ? value : 0;
}

inline void keep_first_error(Exec exec, cudaError_t error) {
  if (error != cudaSuccess && exec.launch_error != nullptr && *exec.launch_error == 0) {
    *exec.launch_error = static_cast<std::int32_t>(error);
  }
}

}  // namespace voxgemm::implicit_gemm
