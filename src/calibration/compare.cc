#include <algorithm>
#include <cmath>
#include <limits>

#include "calibration/frame_runner.h"
#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"

namespace voxgemm {
namespace {

struct Power {
  double signal = 0.0;
  double noise = 0.0;

  void add(const Power& other) {
    signal += other.signal;
    noise += other.noise;
  }
  [[nodiscard]] double sqnr_db() const {
    return noise > 0.0 ? 10.0 * std::log10(signal / noise) : std::numeric_limits<double>::infinity();
  }
};

LayerSqnr compare(const HostValue& exact, const HostValue& rounded) {
  LayerSqnr layer;
  std::vector<Power> channels(static_cast<std::size_t>(exact.channels));
  for (std::size_t i = 0; i < exact.real.size(); ++i) {
    const double x = exact.real[i];
    const double error = x - static_cast<double>(rounded.real[i]);
    channels[i % channels.size()].add({x * x, error * error});
    layer.amax = std::max(layer.amax, std::fabs(x));
    layer.max_error = std::max(layer.max_error, std::fabs(error));
  }
  Power all;
  for (const Power& channel : channels) {
    all.add(channel);
    layer.channel_sqnr_db.push_back(channel.sqnr_db());
  }
  layer.sqnr_db = all.sqnr_db();
  layer.saturated = std::count_if(rounded.stored.begin(), rounded.stored.end(),
                                  [](std::int8_t q) { return q == 127 || q == -128; });
  layer.elements = static_cast<std::int64_t>(exact.real.size());
  return layer;
}

}  // namespace

SqnrReport compare_precisions(Context& context, const Network& network, const ScaleTable& scales,
                              const Frame& frame) {
  FrameRunner exact(context, network, {}, Precision::kFloat32, {&frame, 1});
  FrameRunner rounded(context, network, scales, Precision::kInt8, {&frame, 1});
  exact.run(frame);
  rounded.run(frame);
  SqnrReport report;
  const auto steps = exact.engine().steps();
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].value.empty()) continue;
    const auto other = std::find_if(rounded.engine().steps().begin(), rounded.engine().steps().end(),
                                    [&](const StepInfo& info) { return info.value == steps[i].value; });
    const auto at = static_cast<std::int32_t>(other - rounded.engine().steps().begin());
    LayerSqnr layer = compare(exact.value(static_cast<std::int32_t>(i)), rounded.value(at));
    layer.name = steps[i].value;
    layer.kind = other->kind;
    report.layers.push_back(std::move(layer));
  }
  return report;
}

}  // namespace voxgemm
