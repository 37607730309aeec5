// An empty kernel, launched once per context: tells whether this build has code for the device.
#include "core/cuda_device.h"

namespace voxgemm::cuda {
namespace {
__global__ void probe() {}
}  // namespace

std::int32_t probe_kernel_image() noexcept {
  probe<<<1, 1>>>();
  return static_cast<std::int32_t>(cudaGetLastError());
}

}  // namespace voxgemm::cuda
