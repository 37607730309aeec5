#include "voxgemm/context.h"

#include <fmt/format.h>
#include <tbb/global_control.h>
#include <tbb/info.h>
#include <tbb/task_arena.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "core/check.h"
#include "core/context_impl.h"
#include "core/cpu_quota.h"
#include "core/cuda_device.h"

namespace voxgemm {
namespace {

// From this size on, memory begins at a huge page and asks for huge pages: the random reads of a large index
// or feature matrix would otherwise wait for page walks more than for data.
constexpr std::size_t kHugePage = std::size_t{2} << 20;

constexpr std::int32_t kMostThreads = 4096;

std::align_val_t alignment_of(std::size_t bytes) {
  return std::align_val_t{bytes >= kHugePage ? kHugePage : 256};
}

void* allocate_host(std::size_t bytes) {
  void* p = ::operator new(bytes, alignment_of(bytes), std::nothrow);
#if defined(__linux__)
  if (p != nullptr && bytes >= kHugePage)
    madvise(p, bytes, MADV_HUGEPAGE);  // a wish: failure changes nothing
#endif
  return p;
}

/// Threads that will really work. An arena takes any number, but oneTBB lends it no more than its own limit,
/// the hardware threads in the process's affinity unless the program sets another by tbb::global_control.
std::int32_t working_threads(std::int32_t asked) {
  using tbb::global_control;
  const auto limit = std::min<std::size_t>(
      global_control::active_value(global_control::max_allowed_parallelism), kMostThreads);
  const auto lent = static_cast<std::int32_t>(limit);
  if (asked > 0) return std::min(asked, lent);
  // oneTBB may look at the affinity alone: above the quota of a cgroup all threads stand still for the rest
  // of each period, in the middle of loops that others wait for.
  const std::int32_t present = std::min(tbb::info::default_concurrency(), lent);
  return std::min(present, cpu_quota().value_or(present));
}

std::byte* allocate_bytes(Context& context, std::size_t bytes) {
  Allocator* allocator = context.impl().options.allocator;
  const Device device = context.device();
  void* p = nullptr;
  if (allocator != nullptr) {
    p = allocator->allocate(device, bytes);
  } else if (device.kind == DeviceKind::kCuda) {
    p = cuda::allocate(device.index, bytes);
  } else {
    p = allocate_host(bytes);
  }
  return static_cast<std::byte*>(p);
}

}  // namespace

Context::Impl::~Impl() {
  if (owns_stream) cuda::destroy_stream(stream);
}

Context::Context(ContextOptions options) : impl_(std::make_unique<Impl>()) {
  impl_->options = std::move(options);
  const ContextOptions& o = impl_->options;
  check(o.threads >= 0 && o.threads <= kMostThreads, ErrorCode::kInvalidArgument,
        "ContextOptions::threads is {}, allowed 0 to {}", o.threads, kMostThreads);
  check(o.device.kind == DeviceKind::kCuda || o.device.index == 0, ErrorCode::kInvalidArgument,
        "ContextOptions::device is the CPU with index {}, must be 0", o.device.index);
  impl_->threads = working_threads(o.threads);
  if (impl_->threads > 1) {
    auto arena = std::make_shared<tbb::task_arena>(impl_->threads);
    arena->initialize();
    impl_->arena = std::move(arena);
  }
  if (o.device.kind == DeviceKind::kCuda) {
    const cuda::DeviceInfo info = cuda::open_device(o.device.index);
    impl_->num_sms = info.num_sms;
    impl_->shared_bytes = info.shared_bytes;
    impl_->compute_capability = info.compute_capability;
    impl_->stream = o.stream;
    if (o.stream == nullptr) {
      impl_->stream = cuda::create_stream(o.device.index);
      impl_->owns_stream = true;
    }
  }
}

Context::~Context() = default;
Context::Context(Context&&) noexcept = default;
Context& Context::operator=(Context&&) noexcept = default;

Device Context::device() const noexcept { return impl_->options.device; }
std::int32_t Context::threads() const noexcept { return impl_->threads; }
void* Context::stream() const noexcept { return impl_->stream; }
const KernelPolicy& Context::kernels() const noexcept { return impl_->options.kernels; }

void Context::log(LogLevel level, std::string_view message) const {
  if (impl_->options.log) impl_->options.log(level, message);
}

bool Context::supports(Isa isa) const noexcept {
  if (static_cast<int>(isa) > static_cast<int>(kernels().max_isa)) return false;
  if (device().kind == DeviceKind::kCpu) return cpu_features().has(isa);
  if (isa == Isa::kSm80) return impl_->compute_capability >= 75;  // ptx.cuh makes up for what 7.5 lacks
  return isa == Isa::kSm90 && impl_->compute_capability == 90;    // sm_90a code runs on 9.0 alone
}

std::string Context::describe() const {
  if (device().kind == DeviceKind::kCuda) {
    return fmt::format("{}, compute capability {}.{}, {} multiprocessors",
                       cuda::open_device(device().index).name, impl_->compute_capability / 10,
                       impl_->compute_capability % 10, impl_->num_sms);
  }
  std::string isas;
  for (Isa isa : {Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Vnni, Isa::kAmxInt8}) {
    if (supports(isa)) isas += fmt::format("{} ", to_string(isa));
  }
  return fmt::format("{}: {}scalar; {} thread{}", cpu_name(), isas, threads(), threads() == 1 ? "" : "s");
}

Status Context::synchronize() noexcept {
  if (device().kind == DeviceKind::kCpu) return {};
  const std::int32_t error = cuda::synchronize(impl_->stream);
  const std::int32_t first = impl_->launch_error != 0 ? impl_->launch_error : error;
  impl_->launch_error = 0;
  if (first == 0) return {};
  return {.code = ErrorCode::kDevice, .value = first};
}

Buffer::Buffer(Context& context, std::size_t bytes)
    : bytes_(bytes), device_(context.device()), allocator_(context.impl().options.allocator) {
  if (bytes == 0) return;
  data_ = allocate_bytes(context, bytes);
  if (data_ == nullptr) {
    throw Error(ErrorCode::kOutOfMemory,
                fmt::format("out of memory: {} bytes on {}", bytes, to_string(device_)));
  }
}

Buffer::~Buffer() {
  if (data_ == nullptr) return;
  if (allocator_ != nullptr) {
    allocator_->deallocate(device_, data_, bytes_);
  } else if (device_.kind == DeviceKind::kCuda) {
    cuda::deallocate(device_.index, data_);
  } else {
    ::operator delete(data_, alignment_of(bytes_));
  }
}

Buffer::Buffer(Buffer&& other) noexcept { *this = std::move(other); }

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(device_, other.device_);
  std::swap(allocator_, other.allocator_);
  return *this;
}

void Buffer::upload(Context& context, const void* host, std::size_t bytes) {
  check(bytes <= bytes_, ErrorCode::kShape, "upload of {} bytes into a buffer of {}", bytes, bytes_);
  if (bytes == 0) return;
  if (device_.kind == DeviceKind::kCuda) {
    cuda::copy_to_device(data_, host, bytes, context.stream());
  } else {
    std::memcpy(data_, host, bytes);
  }
}

void Buffer::download(Context& context, void* host, std::size_t bytes) const {
  check(bytes <= bytes_, ErrorCode::kShape, "download of {} bytes from a buffer of {}", bytes, bytes_);
  if (bytes == 0) return;
  if (device_.kind == DeviceKind::kCuda) {
    cuda::copy_to_host(host, data_, bytes, context.stream());
  } else {
    std::memcpy(host, data_, bytes);
  }
}

void Buffer::fill_zero(Context& context) {
  if (bytes_ == 0) return;
  if (device_.kind == DeviceKind::kCuda) {
    const std::int32_t error = cuda::memset_async(data_, 0, bytes_, context.stream());
    check(error == 0, ErrorCode::kDevice, "{}", cuda::error_text(error));
  } else {
    std::memset(data_, 0, bytes_);
  }
}

}  // namespace voxgemm
