// CapturedGraph: what a call enqueues, recorded once and replayed with one launch. StreamClock: times of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "voxgemm/context.h"
#include "voxgemm/error.h"

namespace voxgemm {

/// A CUDA graph of everything that a callable enqueues on a context's stream: voxeliser and engine, say. The
/// memory that was bound while capturing is read and written by every replay and must outlive the graph; row
/// counts on the device may change between replays. Move-only; one launch at a time.
class VOXGEMM_API CapturedGraph {
 public:
  /// Calls `enqueue` once while the stream records; nothing runs yet. Throws kUnsupported on a CPU context or
  /// in a library built without CUDA, kDevice when the calls cannot be captured (one of them synchronised or
  /// allocated), and whatever `enqueue` throws or returns. The stream is usable afterwards in every case.
  static CapturedGraph capture(Context& context, const std::function<Status()>& enqueue);
  ~CapturedGraph();
  CapturedGraph(CapturedGraph&&) noexcept;
  CapturedGraph& operator=(CapturedGraph&&) noexcept;

  /// Enqueues one replay on the context's stream; kDevice when the runtime refuses.
  Status launch(Context& context) const noexcept;
  /// Kernels, copies, fills and event records of one replay.
  [[nodiscard]] std::size_t node_count() const noexcept;

 private:
  CapturedGraph();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Marks in a stream's work and the time between them. On CUDA an event each, read by the device as it gets
/// there; while a graph is being captured a mark becomes part of it and tells the time of the last replay. On
/// the CPU the time of the call. One thread at a time.
class VOXGEMM_API StreamClock {
 public:
  /// Throws kInvalidArgument unless marks >= 1, kDevice.
  StreamClock(Context& context, std::int32_t marks);
  ~StreamClock();
  StreamClock(StreamClock&&) noexcept;
  StreamClock& operator=(StreamClock&&) noexcept;

  /// Neither blocks nor allocates. 0 <= i < marks.
  void mark(Context& context, std::int32_t i) noexcept;
  /// Microseconds from mark `from` to mark `to` after Context::synchronize(); NaN when one was not passed.
  [[nodiscard]] double microseconds(std::int32_t from, std::int32_t to) const noexcept;
  [[nodiscard]] std::int32_t marks() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace voxgemm
