// Captured CUDA graphs, and the clock that may stand in one.
#include <chrono>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/context_impl.h"
#include "core/cuda_device.h"
#include "core/cuda_graph.h"
#include "voxgemm/cuda_graph.h"
#include "voxgemm/profile.h"

namespace voxgemm {
namespace {

void check_runtime(std::int32_t error, const char* what) {
  check(error == 0, ErrorCode::kDevice, "{}: {}", what, cuda::error_text(error));
}

/// A recording between the end of the capture and its instantiation.
struct Recording {
  Recording() = default;
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
  ~Recording() { cuda::destroy_graph(graph); }
  void* graph = nullptr;
};

}  // namespace

struct CapturedGraph::Impl {
  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { cuda::destroy_executable(executable); }
  void* executable = nullptr;
  std::size_t nodes = 0;
};

CapturedGraph::CapturedGraph() : impl_(std::make_unique<Impl>()) {}
CapturedGraph::~CapturedGraph() = default;
CapturedGraph::CapturedGraph(CapturedGraph&&) noexcept = default;
CapturedGraph& CapturedGraph::operator=(CapturedGraph&&) noexcept = default;

CapturedGraph CapturedGraph::capture(Context& context, const std::function<Status()>& enqueue) {
  check(cuda::built(), ErrorCode::kUnsupported,
        "graphs need CUDA: this library was built without it (VOXGEMM_CUDA=OFF)");
  check(context.device().kind == DeviceKind::kCuda, ErrorCode::kUnsupported,
        "graphs need a context on a CUDA device; this one is on the CPU");
  CapturedGraph captured;
  Recording recording;
  Context::Impl& impl = context.impl();
  check_runtime(cuda::begin_capture(impl.stream), "a graph's capture does not begin");
  Status status;
  try {
    status = enqueue();
  } catch (...) {
    cuda::end_capture(impl.stream, &recording.graph);
    impl.launch_error = 0;
    throw;
  }
  const std::int32_t error = cuda::end_capture(impl.stream, &recording.graph);
  impl.launch_error = 0;  // whatever it was is told below
  if (error == 0) check(status, "capturing a graph");
  check_runtime(error, "capturing a graph (a call that synchronises or allocates cannot be captured)");
  check_runtime(cuda::instantiate_graph(recording.graph, impl.stream, &captured.impl_->executable,
                                        &captured.impl_->nodes),
                "instantiating a graph");
  return captured;
}

Status CapturedGraph::launch(Context& context) const noexcept {
  const std::int32_t error = cuda::launch_graph(impl_->executable, context.stream());
  if (error != 0) return {.code = ErrorCode::kDevice, .value = error};
  return {};
}

std::size_t CapturedGraph::node_count() const noexcept { return impl_->nodes; }

struct StreamClock::Impl {
  using Time = std::chrono::steady_clock::time_point;

  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    for (void* event : events) cuda::destroy_event(event);
  }
  std::int32_t marks = 0;
  std::vector<void*> events;               // CUDA
  std::vector<std::optional<Time>> times;  // CPU
};

StreamClock::StreamClock(Context& context, std::int32_t marks) : impl_(std::make_unique<Impl>()) {
  check(marks >= 1, ErrorCode::kInvalidArgument, "StreamClock of {} marks, at least 1", marks);
  impl_->marks = marks;
  if (context.device().kind == DeviceKind::kCpu) {
    impl_->times.resize(static_cast<std::size_t>(marks));
    return;
  }
  impl_->events.reserve(static_cast<std::size_t>(marks));
  for (std::int32_t i = 0; i < marks; ++i)
    impl_->events.push_back(cuda::create_timed_event(context.device().index));
}

StreamClock::~StreamClock() = default;
StreamClock::StreamClock(StreamClock&&) noexcept = default;
StreamClock& StreamClock::operator=(StreamClock&&) noexcept = default;

std::int32_t StreamClock::marks() const noexcept { return impl_->marks; }

void StreamClock::mark(Context& context, std::int32_t i) noexcept {
  if (i < 0 || i >= impl_->marks) return;
  const auto at = static_cast<std::size_t>(i);
  if (impl_->events.empty()) {
    impl_->times[at] = std::chrono::steady_clock::now();
    return;
  }
  const std::int32_t error = cuda::record_timed_event(impl_->events[at], context.stream());
  if (error != 0 && context.impl().launch_error == 0) context.impl().launch_error = error;
}

double StreamClock::microseconds(std::int32_t from, std::int32_t to) const noexcept {
  constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
  if (from < 0 || to < 0 || from >= impl_->marks || to >= impl_->marks) return kUnknown;
  const auto a = static_cast<std::size_t>(from);
  const auto b = static_cast<std::size_t>(to);
  if (impl_->events.empty()) {
    if (!impl_->times[a] || !impl_->times[b]) return kUnknown;
    return std::chrono::duration<double, std::micro>(*impl_->times[b] - *impl_->times[a]).count();
  }
  double time = 0.0;
  return cuda::elapsed_microseconds(impl_->events[a], impl_->events[b], &time) == 0 ? time : kUnknown;
}

}  // namespace voxgemm
