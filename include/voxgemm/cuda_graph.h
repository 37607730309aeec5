// CapturedGraph: what a call enqueues, recorded once and replayed with one launch.
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

}  // namespace voxgemm
