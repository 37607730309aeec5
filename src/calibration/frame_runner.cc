#include "calibration/frame_runner.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/check.h"
#include "core/extents.h"
#include "core/named_buffer.h"
#include "graph/nodes.h"
#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"

namespace voxgemm {
namespace {

std::size_t output_bytes(const OutputInfo& info) {
  const std::int64_t elements = info.dense
                                    ? dense_elements(info.spatial_shape, info.batch_size, info.channels)
                                    : std::int64_t{info.capacity} * info.channels;
  return static_cast<std::size_t>(elements) * size_of(info.dtype);
}

}  // namespace

SparseTensor upload_frame(Context& context, const Dims& spatial_shape, std::int32_t batch_size,
                          std::int32_t channels, const Frame& frame) {
  const auto n = static_cast<std::size_t>(std::max(frame.num_voxels, 0));
  const std::size_t columns = 1 + static_cast<std::size_t>(spatial_shape.ndim);
  check(frame.num_voxels >= 0 && frame.indices.size() == n * columns &&
            frame.features.size() == n * static_cast<std::size_t>(channels),
        ErrorCode::kShape,
        "frame of {} voxels has {} index values and {} feature values; {} and {} a voxel expected",
        frame.num_voxels, frame.indices.size(), frame.features.size(), columns, channels);
  return SparseTensor::from_host(context, spatial_shape, batch_size,
                                 std::span(frame.indices).first(n * columns), frame.features.data(), channels,
                                 DType::kFloat32, std::max(frame.num_voxels, 1));
}

FrameRunner::FrameRunner(Context& context, const Network& network, const ScaleTable& scales,
                         Precision precision, std::span<const Frame> frames)
    : context_(context) {
  Network roomy(network);
  roomy.set_capacities(record_capacities(context, network, frames, 1.0F));
  const Network::Impl& net = roomy.impl();
  shape_ = net.site_set(0).shape;
  batch_size_ = net.site_set(0).batch_size;
  channels_ = net.nodes.front().channels;
  EngineOptions options;
  options.precision = precision;
  options.keep_all_values = true;
  engine_ = Engine::build(context, roomy, scales, options);
  workspace_ = named_buffer(context, engine_->workspace_bytes(), [&] {
    return fmt::format("all values of a frame of up to {} voxels of {}, batch {}", engine_->input_capacity(),
                       axes_text(shape_), batch_size_);
  });
  check(engine_->prepare(context, {workspace_.data(), workspace_.bytes()}), "prepare");
  for (const OutputInfo& info : engine_->outputs()) {
    outputs_.push_back(named_buffer(context, output_bytes(info), [&] {
      return fmt::format("output '{}' of {}, batch {} and {} channels", info.name,
                         axes_text(info.spatial_shape), info.batch_size, info.channels);
    }));
    bindings_.push_back({outputs_.back().data()});
  }
}

void FrameRunner::run(const Frame& frame) {
  input_ = upload_frame(context_, shape_, batch_size_, channels_, frame);
  const Workspace workspace{workspace_.data(), workspace_.bytes()};
  check(engine_->enqueue(context_, input_.view(), bindings_, workspace), "frame", engine_->steps());
  check(engine_->status(context_, workspace), "frame", engine_->steps());
  check(context_.synchronize(), "frame");
}

HostValue FrameRunner::value(std::int32_t step) const {
  const SparseTensorView view =
      engine_->value_view(step, input_.view(), {workspace_.data(), workspace_.bytes()});
  if (view.features.data == nullptr) return {};
  return read_rows(context_, view.features, std::min(count_rows(context_, view), view.capacity));
}

}  // namespace voxgemm
