// Min-max calibration: the scale of every value, from a float32 pass.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "calibration/frame_runner.h"
#include "core/check.h"
#include "graph/nodes.h"
#include "quant/scale.h"
#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"

namespace voxgemm {

ScaleTable calibrate_min_max(Context& context, const Network& network, std::span<const Frame> frames) {
  check(!frames.empty(), ErrorCode::kInvalidArgument, "no frames given");
  FrameRunner runner(context, network, {}, Precision::kFloat32, frames);
  std::vector<float> amax(runner.engine().steps().size(), 0.0F);
  for (const Frame& frame : frames) {
    runner.run(frame);
    for (std::size_t step = 0; step < amax.size(); ++step) {
      const std::string& layer = runner.engine().steps()[step].name;
      for (const float x : runner.value(static_cast<std::int32_t>(step)).real) {
        check_layer(std::isfinite(x), ErrorCode::kInvalidArgument, layer,
                    "makes a value that is not finite: {}", x);
        amax[step] = std::max(amax[step], std::fabs(x));
      }
    }
  }
  ScaleTable table;
  std::vector<std::string> tiny;
  const Network::Impl& net = network.impl();
  std::size_t step = 0;
  const std::vector<FusedNode> fused = fuse(net);
  for (const StepInfo& info : runner.engine().steps()) {
    const float most = amax[step];
    ++step;
    const auto made = std::find_if(fused.begin(), fused.end(), [&](const FusedNode& node) {
      return !info.value.empty() && net.node(node.output).name == info.value;
    });
    if (made == fused.end()) continue;
    for (const std::int32_t part : made->parts) table.scale[net.node(part).name] = scale_of_magnitude(most);
    if (is_too_small_for_scale(most)) tiny.push_back(info.value);
  }
  if (!tiny.empty()) {
    context.log(LogLevel::kWarning,
                fmt::format("values too small for int8, so their scale is the least, {}: '{}'",
                            kLeastMadeScale, fmt::join(tiny, "', '")));
  }
  return table;
}

}  // namespace voxgemm
