#include "core/cuda_device.h"

#include "core/check.h"

#ifdef VOXGEMM_WITH_CUDA

#include <cuda_runtime_api.h>
namespace voxgemm::cuda {
namespace {

void check_cuda(cudaError_t error, std::string_view what) {
  check(error == cudaSuccess, ErrorCode::kDevice, "{}: {}", what, cudaGetErrorString(error));
}

}  // namespace

DeviceScope::DeviceScope(std::int32_t index) noexcept {
  int current = index;
  if (index < 0 || cudaGetDevice(&current) != cudaSuccess || current == index) return;
  if (cudaSetDevice(index) == cudaSuccess) before_ = current;
}
DeviceScope::~DeviceScope() {
  if (before_ >= 0) cudaSetDevice(before_);
}

bool built() { return true; }

std::int32_t device_count() noexcept {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return count;
}

DeviceInfo open_device(std::int32_t index) {
  const std::int32_t count = device_count();
  check(index >= 0 && index < count, ErrorCode::kDevice, "cuda:{} does not exist; {} device(s) usable", index,
        count);
  cudaDeviceProp prop{};
  check_cuda(cudaGetDeviceProperties(&prop, index), "cudaGetDeviceProperties");
  DeviceInfo info{prop.name, prop.major * 10 + prop.minor, prop.multiProcessorCount,
                  static_cast<std::int32_t>(prop.sharedMemPerBlockOptin)};
  const DeviceScope scope(index);
  check(probe_kernel_image() == 0, ErrorCode::kUnsupported,
        "no kernel of this build runs on cuda:{} ({}, compute capability {}.{}); built for {}", index,
        prop.name, prop.major, prop.minor, VOXGEMM_CUDA_ARCHS);
  return info;
}

void* create_stream(std::int32_t index) {
  const DeviceScope scope(index);
  cudaStream_t stream = nullptr;
  check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
  return stream;
}

void destroy_stream(void* stream) noexcept { cudaStreamDestroy(static_cast<cudaStream_t>(stream)); }

std::int32_t synchronize(void* stream) noexcept {
  return static_cast<std::int32_t>(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)));
}

const char* error_text(std::int32_t error) { return cudaGetErrorString(static_cast<cudaError_t>(error)); }

void* allocate(std::int32_t index, std::size_t bytes) noexcept {
  const DeviceScope scope(index);
  void* p = nullptr;
  if (cudaMalloc(&p, bytes) != cudaSuccess) {
    cudaGetLastError();  // out of memory is not sticky: leave no trace for the caller's next check
    return nullptr;
  }
  return p;
}

void deallocate(std::int32_t index, void* pointer) noexcept {
  const DeviceScope scope(index);
  cudaFree(pointer);
}

void copy_to_device(void* device, const void* host, std::size_t bytes, void* stream) {
  auto s = static_cast<cudaStream_t>(stream);
  check_cuda(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, s), "copy to device");
  check_cuda(cudaStreamSynchronize(s), "copy to device");
}

void copy_to_host(void* host, const void* device, std::size_t bytes, void* stream) {
  auto s = static_cast<cudaStream_t>(stream);
  check_cuda(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, s), "copy to host");
  check_cuda(cudaStreamSynchronize(s), "copy to host");
}

std::int32_t memset_async(void* device, int value, std::size_t bytes, void* stream) noexcept {
  return static_cast<std::int32_t>(cudaMemsetAsync(device, value, bytes, static_cast<cudaStream_t>(stream)));
}

std::int32_t copy_device_async(void* to, const void* from, std::size_t bytes, void* stream) noexcept {
  return static_cast<std::int32_t>(
      cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, static_cast<cudaStream_t>(stream)));
}

void* create_event(std::int32_t index) {
  const DeviceScope scope(index);
  cudaEvent_t event = nullptr;
  check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
  return event;
}

void destroy_event(void* event) noexcept { cudaEventDestroy(static_cast<cudaEvent_t>(event)); }

std::int32_t record_event(void* event, void* stream) noexcept {
  return static_cast<std::int32_t>(
      cudaEventRecord(static_cast<cudaEvent_t>(event), static_cast<cudaStream_t>(stream)));
}

std::int32_t wait_event(void* stream, void* event) noexcept {
  return static_cast<std::int32_t>(
      cudaStreamWaitEvent(static_cast<cudaStream_t>(stream), static_cast<cudaEvent_t>(event), 0));
}

}  // namespace voxgemm::cuda

#else  // built without CUDA

namespace voxgemm::cuda {

DeviceScope::DeviceScope(std::int32_t /*index*/) noexcept {}
DeviceScope::~DeviceScope() = default;
bool built() { return false; }
std::int32_t device_count() noexcept { return 0; }
DeviceInfo open_device(std::int32_t /*index*/) {
  throw Error(ErrorCode::kUnsupported, "this library was built without CUDA (VOXGEMM_CUDA=OFF)");
}
std::int32_t probe_kernel_image() noexcept { return 1; }
void* create_stream(std::int32_t /*index*/) { return nullptr; }
void destroy_stream(void* /*stream*/) noexcept {}
std::int32_t synchronize(void* /*stream*/) noexcept { return 0; }
const char* error_text(std::int32_t /*error*/) { return "built without CUDA"; }
void* allocate(std::int32_t /*index*/, std::size_t /*bytes*/) noexcept { return nullptr; }
void deallocate(std::int32_t /*index*/, void* /*pointer*/) noexcept {}
void copy_to_device(void*, const void*, std::size_t, void*) {}
void copy_to_host(void*, const void*, std::size_t, void*) {}
std::int32_t memset_async(void*, int, std::size_t, void*) noexcept { return 1; }
std::int32_t copy_device_async(void*, const void*, std::size_t, void*) noexcept { return 1; }
void* create_event(std::int32_t /*index*/) { return nullptr; }
void destroy_event(void* /*event*/) noexcept {}
std::int32_t record_event(void*, void*) noexcept { return 1; }
std::int32_t wait_event(void*, void*) noexcept { return 1; }

}  // namespace voxgemm::cuda

#endif
