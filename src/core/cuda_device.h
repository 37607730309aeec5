// The CUDA runtime behind plain functions, so that nothing else in src/core sees its headers. Without CUDA
// every function says so. Errors: Error(kDevice) with the runtime's text while building; ints on the hot
// path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace voxgemm::cuda {

struct DeviceInfo {
  std::string name;
  std::int32_t compute_capability = 0;  // 90 for 9.0
  std::int32_t num_sms = 0;
  std::int32_t shared_bytes = 0;  // shared memory that one block may ask for
};

/// Makes a device current for one scope and restores the caller's: launches and attributes go to the current
/// device, also when the stream belongs to another. A negative index changes nothing.
class DeviceScope {
 public:
  explicit DeviceScope(std::int32_t index) noexcept;
  ~DeviceScope();
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

 private:
  std::int32_t before_ = -1;  // to be restored
};

/// True when the library was built with CUDA.
bool built();
/// Number of usable devices; 0 without a driver or without CUDA in the build.
std::int32_t device_count() noexcept;
/// Throws kDevice when the ordinal does not exist, kUnsupported when no built kernel fits the device: the
/// message names the device and the built architectures.
DeviceInfo open_device(std::int32_t index);
/// Launches an empty kernel on the current device: 0, or the cudaError_t (no kernel image, ...).
std::int32_t probe_kernel_image() noexcept;
void* create_stream(std::int32_t index);
void destroy_stream(void* stream) noexcept;
/// 0 or a cudaError_t.
std::int32_t synchronize(void* stream) noexcept;
const char* error_text(std::int32_t error);
void* allocate(std::int32_t index, std::size_t bytes) noexcept;  // nullptr on failure
void deallocate(std::int32_t index, void* pointer) noexcept;
void copy_to_device(void* device, const void* host, std::size_t bytes, void* stream);
void copy_to_host(void* host, const void* device, std::size_t bytes, void* stream);
std::int32_t memset_async(void* device, int value, std::size_t bytes, void* stream) noexcept;
std::int32_t copy_device_async(void* to, const void* from, std::size_t bytes, void* stream) noexcept;

/// Events without timing, to order streams.
void* create_event(std::int32_t index);
void destroy_event(void* event) noexcept;
std::int32_t record_event(void* event, void* stream) noexcept;
std::int32_t wait_event(void* stream, void* event) noexcept;

}  // namespace voxgemm::cuda
