// Insides of Context, for src/core and the rooms that launch CUDA work.
#pragma once

#include <memory>

#include "core/cpu_features.h"
#include "core/cuda_device.h"
#include "voxgemm/context.h"

namespace voxgemm {

struct Context::Impl {
  ContextOptions options;
  std::int32_t threads = 1;
  std::shared_ptr<void> arena;  // tbb::task_arena, null with one thread
  // CUDA only
  void* stream = nullptr;
  bool owns_stream = false;
  std::int32_t num_sms = 0;
  std::int32_t shared_bytes = 0;        // shared memory that one block may ask for
  std::int32_t compute_capability = 0;  // 90 for 9.0
  std::int32_t launch_error = 0;        // first cudaError_t seen by a launch

  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl();
};

/// Every function that launches work, or asks for attributes of the device, opens one: the context's device
/// is current until it ends. Nothing on the CPU.
class CurrentDevice : public cuda::DeviceScope {
 public:
  explicit CurrentDevice(const Context& context) noexcept
      : DeviceScope(context.device().kind == DeviceKind::kCuda ? context.device().index : -1) {}
};

/// Typed slices of one workspace, in order, 256-byte aligned. With a null base it only measures.
class Carver {
 public:
  Carver() = default;
  explicit Carver(Workspace workspace) : base_(workspace.data()), limit_(workspace.size()) {}

  template <typename T>
  T* take(std::int64_t count) noexcept {
    const std::size_t at = used_;
    used_ += align_up(static_cast<std::size_t>(count < 0 ? 0 : count) * sizeof(T));
    return base_ == nullptr || used_ > limit_ ? nullptr : reinterpret_cast<T*>(base_ + at);
  }
  [[nodiscard]] std::size_t used() const noexcept { return used_; }

 private:
  std::byte* base_ = nullptr;
  std::size_t limit_ = 0;
  std::size_t used_ = 0;
};

}  // namespace voxgemm
