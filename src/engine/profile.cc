// What a frame did, asked for after it: times of a StepTimer, real rows and pairs of either device.
#include "voxgemm/profile.h"

#include <vector>

#include "core/check.h"
#include "core/cuda_device.h"
#include "engine/count_step.h"
#include "engine/engine_impl.h"
#include "voxgemm/engine.h"

namespace voxgemm {
namespace {

/// Sizes of one frame, read once.
class FrameCounts {
 public:
  FrameCounts(const Engine::Impl& engine, Context& context, Workspace pairs)
      : batch_size_(engine.levels.front().batch_size) {
    for (std::size_t l = 0; l < engine.levels.size(); ++l) {
      const LevelView view = engine.pairs.level_view(static_cast<std::int32_t>(l), pairs);
      levels_.push_back(view.n);
      if (view.device_n == nullptr) continue;
      cuda::copy_to_host(&levels_.back(), view.device_n, sizeof(std::int32_t), context.stream());
    }
    for (std::int32_t m = 0; m < engine.pairs.num_maps(); ++m) {
      const IndicePairsView view = engine.pairs.map_view(m, pairs);
      maps_.push_back(view.device_num_out != nullptr
                          ? count_pairs(context, view)
                          : MapCounts{view.n_in, view.num_out, engine.pairs.num_pairs(m, pairs)});
    }
  }
  [[nodiscard]] std::int32_t level_rows(std::int32_t level) const {
    return level < 0 ? batch_size_ : levels_[static_cast<std::size_t>(level)];
  }
  [[nodiscard]] MapCounts map_counts(std::int32_t map) const { return maps_[static_cast<std::size_t>(map)]; }

 private:
  std::int32_t batch_size_;
  std::vector<std::int32_t> levels_;
  std::vector<MapCounts> maps_;
};

}  // namespace

StepTimer::StepTimer(Context& context, std::size_t steps)
    : clock_(context, static_cast<std::int32_t>(2 * steps)), issued_macs_(steps, 0) {}

void StepTimer::step_begin(Context& context, std::int32_t step) noexcept { clock_.mark(context, 2 * step); }
void StepTimer::step_end(Context& context, std::int32_t step, std::int64_t issued_macs) noexcept {
  clock_.mark(context, 2 * step + 1);
  issued_macs_[static_cast<std::size_t>(step)] = issued_macs;
}
double StepTimer::microseconds(std::int32_t step) const noexcept {
  return clock_.microseconds(2 * step, 2 * step + 1);
}
std::int64_t StepTimer::issued_macs(std::int32_t step) const noexcept {
  return issued_macs_[static_cast<std::size_t>(step)];
}
std::size_t StepTimer::steps() const noexcept { return static_cast<std::size_t>(clock_.marks()) / 2; }

void Engine::collect_profile(Context& context, Workspace workspace, const StepTimer* timer,
                             std::span<StepProfile> profile) const {
  const std::size_t count = impl_->steps.size();
  check(profile.size() == count, ErrorCode::kShape, "collect_profile: {} profiles for {} steps",
        profile.size(), count);
  check(timer == nullptr || timer->steps() == count, ErrorCode::kShape,
        "collect_profile: a timer of {} steps for {} steps", timer == nullptr ? 0 : timer->steps(), count);
  check(workspace.size() >= workspace_bytes(), ErrorCode::kInvalidArgument,
        "collect_profile: workspace of {} bytes, needs {}", workspace.size(), workspace_bytes());
  check(impl_->pairs.is_prepared(workspace), ErrorCode::kInvalidArgument,
        "collect_profile: the workspace was not prepared for this engine");
  check(context.synchronize(), "collect_profile");
  const FrameCounts counts(*impl_, context, workspace.first(impl_->pairs_bytes));
  for (std::size_t i = 0; i < count; ++i) {
    profile[i] = {};
    if (timer != nullptr) {
      profile[i].microseconds = timer->microseconds(static_cast<std::int32_t>(i));
      profile[i].issued_macs = timer->issued_macs(static_cast<std::int32_t>(i));
    }
    count_step(*impl_, i, counts, profile[i]);
  }
}

}  // namespace voxgemm
