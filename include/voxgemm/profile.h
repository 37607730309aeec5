// Times: of the work on a stream, and of every step of an engine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "voxgemm/context.h"
#include "voxgemm/error.h"

namespace voxgemm {

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

/// What one step did in the last frame; filled by Engine::collect_profile().
struct StepProfile {
  double microseconds = 0.0;
  std::int32_t n_in = 0;
  std::int32_t n_out = 0;
  std::int64_t pairs = 0;  ///< (output, offset) entries of the map it used
  std::int64_t issued_macs =
      0;  ///< of a kernel that multiplies absent pairs too; 0 = it does not, or not known
};

/// Told around every step of one enqueue, in step order, on the calling thread: event timing, ranges of a
/// profiler, dumps. Must neither block nor allocate.
class VOXGEMM_API StepListener {
 public:
  virtual ~StepListener() = default;
  virtual void step_begin(Context& context, std::int32_t step) noexcept = 0;
  /// `issued_macs`: multiplications of a CPU kernel that multiplies absent pairs too; else 0.
  virtual void step_end(Context& context, std::int32_t step, std::int64_t issued_macs) noexcept = 0;
};

/// Times every step: the listener for an enqueue whose steps are to be measured, on any device. On CUDA by
/// events, also inside a captured graph, whose replays then time themselves. Steps that run side by side
/// otherwise are kept apart by the events: their sum exceeds a frame without a timer. One thread at a time.
class VOXGEMM_API StepTimer final : public StepListener {
 public:
  /// `steps`: Engine::steps().size(). Throws kInvalidArgument, kDevice.
  StepTimer(Context& context, std::size_t steps);
  void step_begin(Context& context, std::int32_t step) noexcept override;
  void step_end(Context& context, std::int32_t step, std::int64_t issued_macs) noexcept override;
  /// Of the last enqueue or replay, after Context::synchronize(); NaN for a step that did not run.
  [[nodiscard]] double microseconds(std::int32_t step) const noexcept;
  /// As step_end() was told in the last enqueue.
  [[nodiscard]] std::int64_t issued_macs(std::int32_t step) const noexcept;
  [[nodiscard]] std::size_t steps() const noexcept;

 private:
  StreamClock clock_;
  std::vector<std::int64_t> issued_macs_;
};

}  // namespace voxgemm
