#include "tools/session/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <memory>

#include "voxgemm/error.h"
#include "voxgemm/operators.h"

namespace voxgemm::tools {
namespace {

using Clock = std::chrono::steady_clock;

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

}  // namespace

PreparedNetwork prepare_network(Context& context, const WorkOptions& options,
                                std::span<const InputFrame> frames, bool calibrate) {
  BackboneOptions backbone;
  backbone.in_channels = frames[0].channels;
  backbone.spatial_shape = options.spatial_shape();
  backbone.batch_size = frames[0].batch_size;
  backbone.seed = options.simulate.seed;
  backbone.capacity = 1;
  std::vector<Frame> voxels;
  for (const InputFrame& frame : frames) {
    voxels.push_back(frame.frame);
    backbone.capacity = std::max(backbone.capacity, frame.frame.num_voxels);
  }
  PreparedNetwork prepared{
      options.network == "second" ? make_second_backbone(backbone) : make_centerpoint_backbone(backbone), {}};
  prepared.network.set_capacities(record_capacities(context, prepared.network, voxels));
  if (calibrate) prepared.scales = calibrate_min_max(context, prepared.network, voxels);
  return prepared;
}

Session::Session(Context& context, const PreparedNetwork& prepared, const WorkOptions& options,
                 Precision precision, bool profile)
    : context_(context),
      engine_(Engine::build(context, prepared.network, prepared.scales,
                            {.precision = precision, .profile = profile})),
      grid_(options.grid()),
      workspace_(context, std::max<std::size_t>(engine_.workspace_bytes(), 1)) {
  check(engine_.prepare(context_, {workspace_.data(), workspace_.bytes()}), "preparing the workspace");
  grid_.max_voxels = engine_.input_capacity();
  const auto rows = static_cast<std::size_t>(engine_.input_capacity());
  indices_ = Buffer(context_, rows * 4 * sizeof(std::int32_t));
  features_ = Buffer(context_, rows * static_cast<std::size_t>(engine_.input_channels()) * sizeof(float));
  count_ = Buffer(context_, sizeof(std::int32_t));
  for (const OutputInfo& info : engine_.outputs()) {
    const std::int64_t elements = info.dense
                                      ? dense_elements(info.spatial_shape, info.batch_size, info.channels)
                                      : static_cast<std::int64_t>(info.capacity) * info.channels;
    outputs_.emplace_back(context_, static_cast<std::size_t>(elements) * size_of(info.dtype));
    outputs_.back().fill_zero(context_);
    output_counts_.emplace_back(context_, sizeof(std::int32_t));
    bindings_.push_back({.features = outputs_.back().data(),
                         .num_voxels = info.dense ? nullptr : output_counts_.back().as<std::int32_t>()});
  }
}

FrameTimes Session::run(const InputFrame& frame, std::span<StepProfile> profile) {
  FrameTimes times;
  const bool cuda = context_.device().kind == DeviceKind::kCuda;
  num_voxels_ = frame.frame.num_voxels;
  if (frame.cloud.num_points() > 0) {
    const std::int32_t columns = engine_.input_channels();
    const Voxelizer voxelizer(context_, grid_, columns, frame.cloud.num_points(), 1, engine_.input_shape());
    if (voxelize_workspace_.bytes() < voxelizer.workspace_bytes()) {
      voxelize_workspace_ = Buffer(context_, voxelizer.workspace_bytes());
    }
    PointsView cloud = frame.points();
    if (cuda) {
      points_ = Buffer(context_, frame.cloud.values.size() * sizeof(float));
      points_.upload(context_, frame.cloud.values.data(), points_.bytes());
      cloud.data = points_.data();
    }
    const Clock::time_point start = Clock::now();
    check(voxelizer.run(context_, {&cloud, 1}, indices_.as<std::int32_t>(), features_.as<float>(), columns,
                        count_.as<std::int32_t>(), nullptr,
                        {voxelize_workspace_.data(), voxelize_workspace_.bytes()}),
          "voxelising");
    check(context_.synchronize(), "voxelising");
    times.voxelize = microseconds_since(start);
    count_.download(context_, &num_voxels_, sizeof(num_voxels_));
  } else {
    indices_.upload(context_, frame.frame.indices.data(), frame.frame.indices.size() * sizeof(std::int32_t));
    features_.upload(context_, frame.frame.features.data(), frame.frame.features.size() * sizeof(float));
    count_.upload(context_, &num_voxels_, sizeof(num_voxels_));
  }
  SparseTensorView input;
  input.indices = indices_.as<std::int32_t>();
  input.spatial_shape = engine_.input_shape();
  input.batch_size = engine_.input_batch_size();
  input.capacity = engine_.input_capacity();
  input.num_voxels = num_voxels_;
  if (cuda) input.device_num_voxels = count_.as<std::int32_t>();
  input.features = {features_.data(), DType::kFloat32, num_voxels_, engine_.input_channels(),
                    engine_.input_channels()};
  const Workspace workspace{workspace_.data(), workspace_.bytes()};
  const Clock::time_point start = Clock::now();
  check(engine_.enqueue(context_, input, bindings_, workspace, profile), "running the engine");
  if (cuda) check(engine_.status(context_, workspace), "running the engine");
  times.engine = microseconds_since(start);
  return times;
}

std::vector<std::vector<std::byte>> Session::outputs_on_host() {
  std::vector<std::vector<std::byte>> host;
  for (const Buffer& output : outputs_) {
    host.emplace_back(output.bytes());
    output.download(context_, host.back().data(), output.bytes());
  }
  return host;
}

std::uint64_t Session::checksum() {
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  for (const std::vector<std::byte>& output : outputs_on_host()) {
    for (const std::byte byte : output)
      hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001B3ULL;
  }
  return hash;
}

bool Session::has_not_finite() {
  const std::vector<std::vector<std::byte>> host = outputs_on_host();
  for (std::size_t i = 0; i < host.size(); ++i) {
    if (engine_.outputs()[i].dtype != DType::kFloat32) continue;
    for (std::size_t at = 0; at < host[i].size(); at += sizeof(float)) {
      float value = 0.0F;
      std::memcpy(&value, host[i].data() + at, sizeof(value));
      if (!std::isfinite(value)) return true;
    }
  }
  return false;
}

double percentile(std::vector<double> sample, double p) {
  if (sample.empty()) return 0.0;
  std::sort(sample.begin(), sample.end());
  const auto rank = static_cast<std::size_t>(std::ceil(p * static_cast<double>(sample.size())));
  return sample[std::clamp<std::size_t>(rank, 1, sample.size()) - 1];
}

}  // namespace voxgemm::tools
