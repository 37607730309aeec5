// Context: the state that calls share (threads, stream, kernel policy, log sink) and where bytes live.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "voxgemm/error.h"
#include "voxgemm/types.h"

namespace voxgemm {

/// Memory source of a Context. `allocate` returns 256-byte aligned memory on the context's device or
/// nullptr; `bytes` is never 0. Called while planning and building only, from one thread at a time.
class VOXGEMM_API Allocator {
 public:
  virtual ~Allocator() = default;
  virtual void* allocate(Device device, std::size_t bytes) noexcept = 0;
  virtual void deallocate(Device device, void* pointer, std::size_t bytes) noexcept = 0;
};

/// Why one row of the kernel table was not chosen.
struct RefusedKernel {
  std::string name;
  std::string reason;
};

/// Limits the choice among kernel rows. Results never depend on it: all rows agree bit for bit.
struct KernelPolicy {
  std::string force;         ///< row name, e.g. "avx2_4x16x2"; planning throws if it cannot run
  Isa max_isa = Isa::kSm90;  ///< rows that need more are refused ("policy")
};

enum class LogLevel : std::uint8_t { kError, kWarning, kInfo, kVerbose };
using LogSink = std::function<void(LogLevel, std::string_view)>;

struct ContextOptions {
  Device device{};  ///< CPU (index 0), or a CUDA ordinal
  /// CPU threads; 0 = all that the process may use: its hardware threads, affinity and cgroup CPU quota. More
  /// than oneTBB lends (by default the hardware threads) do not work; Context::threads() says how many do.
  std::int32_t threads = 0;
  void* stream = nullptr;  ///< cudaStream_t of the caller; null = one that the context owns
  KernelPolicy kernels{};
  LogSink log{};                   ///< empty = silent
  Allocator* allocator = nullptr;  ///< null = aligned operator new / cudaMalloc; must outlive all users
};

/// Single-owner handle, cheap to move. One thread at a time uses a context: threads that run side by side
/// have one each, also on one device, and may share plans and engines.
class VOXGEMM_API Context {
 public:
  explicit Context(ContextOptions options = {});
  ~Context();
  Context(Context&&) noexcept;
  Context& operator=(Context&&) noexcept;

  [[nodiscard]] Device device() const noexcept;
  [[nodiscard]] std::int32_t threads() const noexcept;
  [[nodiscard]] void* stream() const noexcept;  ///< cudaStream_t; null on the CPU
  [[nodiscard]] const KernelPolicy& kernels() const noexcept;
  void log(LogLevel level, std::string_view message) const;
  /// True when a kernel row of this ISA can run in this context's device.
  [[nodiscard]] bool supports(Isa isa) const noexcept;
  /// One line: CPU brand and ISAs, or GPU name and compute capability, threads.
  [[nodiscard]] std::string describe() const;
  /// Waits for the stream; reports a pending device error. No-op on the CPU.
  Status synchronize() noexcept;

  struct Impl;
  [[nodiscard]] Impl& impl() const noexcept { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// Owned, 256-byte aligned bytes on one device. Move-only. Contents start undefined.
class VOXGEMM_API Buffer {
 public:
  Buffer() = default;
  /// Throws kOutOfMemory naming the bytes asked for.
  Buffer(Context& context, std::size_t bytes);
  ~Buffer();
  Buffer(Buffer&&) noexcept;
  Buffer& operator=(Buffer&&) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] Device device() const noexcept { return device_; }
  template <typename T>
  [[nodiscard]] T* as() const noexcept {
    return reinterpret_cast<T*>(data_);
  }
  /// Copies host memory in or out (synchronously with respect to the caller's memory).
  void upload(Context& context, const void* host, std::size_t bytes);
  void download(Context& context, void* host, std::size_t bytes) const;
  void fill_zero(Context& context);

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  Device device_{};
  Allocator* allocator_ = nullptr;
};

/// Bytes lent for one call, 256-byte aligned, on the context's device; never grown, never retained.
using Workspace = std::span<std::byte>;

/// Rounds a byte count up to the alignment of workspace slices.
constexpr std::size_t align_up(std::size_t bytes, std::size_t alignment = 256) {
  return (bytes + alignment - 1) / alignment * alignment;
}

}  // namespace voxgemm
