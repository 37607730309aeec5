#include "tools/session/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <utility>

#include "voxgemm/backbones.h"
#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"
#include "voxgemm/error.h"
#include "voxgemm/operators.h"
#include "voxgemm/profile.h"

namespace voxgemm::tools {
namespace {

// Marks of a session's clock.
constexpr std::int32_t kStart = 0;
constexpr std::int32_t kVoxels = 1;
constexpr std::int32_t kEnd = 2;
constexpr std::int32_t kMarks = 3;

/// Most rows that the frame can bring to the engine, exactly: the voxeliser's limit comes from it, so
/// headroom here would let more voxels through than the options allow. A point makes at most one voxel: few
/// points need no memory for a generous limit.
std::int32_t input_rows(const WorkOptions& options, const InputFrame& frame) {
  if (frame.cloud.num_points() == 0) return std::max(frame.frame.num_voxels, 1);
  return static_cast<std::int32_t>(
      std::min<std::int64_t>(frame.cloud.num_points(), options.grid().max_voxels));
}

Buffer output_memory(Context& context, const OutputInfo& info, std::size_t elements) {
  try {
    return {context, elements * size_of(info.dtype)};
  } catch (const Error& error) {
    throw Error(error.code(),
                fmt::format("output '{}' of shape {}, batch {} and {} channels: {}", info.name,
                            to_string(info.spatial_shape), info.batch_size, info.channels, error.what()));
  }
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
    backbone.capacity = std::max(backbone.capacity, input_rows(options, frame));
  }
  PreparedNetwork prepared{
      options.network == "second" ? make_second_backbone(backbone) : make_centerpoint_backbone(backbone), {}};
  CapacityTable capacities = record_capacities(context, prepared.network, voxels);
  capacities.rows.at("input") = backbone.capacity;
  prepared.network.set_capacities(capacities);
  if (calibrate) prepared.scales = calibrate_min_max(context, prepared.network, voxels);
  return prepared;
}

Context make_context(const WorkOptions& options) {
  options.check();
  ContextOptions chosen = options.context_options();
  chosen.kernels.force = options.kernel;
  return Context(chosen);
}

Session::Session(Context& context, const PreparedNetwork& prepared, const WorkOptions& options,
                 Precision precision)
    : context_(context),
      engine_(Engine::build(context, prepared.network, prepared.scales, {.precision = precision})),
      grid_(options.grid()),
      cuda_(context.device().kind == DeviceKind::kCuda),
      graph_(cuda_ && options.graph),
      workspace_(context, std::max<std::size_t>(engine_.workspace_bytes(), 1)),
      clock_(context, kMarks),
      timer_(context, engine_.steps().size()) {
  check(engine_.prepare(context_, workspace()), "preparing the workspace", engine_.steps());
  grid_.max_voxels = engine_.input_capacity();
  const auto rows = static_cast<std::size_t>(engine_.input_capacity());
  indices_ = Buffer(context_, rows * 4 * sizeof(std::int32_t));
  features_ = Buffer(context_, rows * static_cast<std::size_t>(engine_.input_channels()) * sizeof(float));
  count_ = Buffer(context_, sizeof(std::int32_t));
  for (const OutputInfo& info : engine_.outputs()) {
    const std::int64_t elements = info.dense
                                      ? dense_elements(info.spatial_shape, info.batch_size, info.channels)
                                      : static_cast<std::int64_t>(info.capacity) * info.channels;
    outputs_.push_back(output_memory(context_, info, static_cast<std::size_t>(elements)));
    outputs_.back().fill_zero(context_);
    output_counts_.emplace_back(context_, sizeof(std::int32_t));
    bindings_.push_back({.features = outputs_.back().data(),
                         .num_voxels = info.dense ? nullptr : output_counts_.back().as<std::int32_t>()});
  }
}

/// Plans the voxeliser and brings the points to the device. A graph holds addresses: memory that moves drops
/// the graphs.
void Session::load_points(const InputFrame& frame) {
  cloud_ = frame.points();
  if (planned_points_ != cloud_.num_points) {
    voxelizer_.emplace(context_, grid_, engine_.input_channels(), cloud_.num_points, 1,
                       engine_.input_shape());
    planned_points_ = cloud_.num_points;
  }
  const std::size_t bytes = frame.cloud.values.size() * sizeof(float);
  if (voxelize_workspace_.bytes() < voxelizer_->workspace_bytes() || (cuda_ && points_.bytes() < bytes)) {
    frame_graphs_.clear();
    part_graphs_.clear();
    voxelize_workspace_ =
        Buffer(context_, std::max(voxelize_workspace_.bytes(), voxelizer_->workspace_bytes()));
    if (cuda_) points_ = Buffer(context_, std::max(points_.bytes(), bytes));
  }
  if (!cuda_) return;
  points_.upload(context_, frame.cloud.values.data(), bytes);
  cloud_.data = points_.data();
}

void Session::load(const InputFrame& frame) {
  if (loaded_ == &frame) return;
  loaded_ = &frame;
  cloud_ = {};
  if (frame.cloud.num_points() > 0) {
    load_points(frame);
    return;
  }
  num_voxels_ = frame.frame.num_voxels;
  indices_.upload(context_, frame.frame.indices.data(), frame.frame.indices.size() * sizeof(std::int32_t));
  features_.upload(context_, frame.frame.features.data(), frame.frame.features.size() * sizeof(float));
  count_.upload(context_, &num_voxels_, sizeof(num_voxels_));
}

Status Session::enqueue_voxelizer() {
  if (cloud_.num_points == 0) return {};
  return voxelizer_->run(context_, {&cloud_, 1}, indices_.as<std::int32_t>(), features_.as<float>(),
                         engine_.input_channels(), count_.as<std::int32_t>(), nullptr,
                         {voxelize_workspace_.data(), voxelize_workspace_.bytes()});
}

Status Session::enqueue_engine(StepListener* listener) {
  SparseTensorView input;
  input.indices = indices_.as<std::int32_t>();
  input.spatial_shape = engine_.input_shape();
  input.batch_size = engine_.input_batch_size();
  input.capacity = engine_.input_capacity();
  input.num_voxels = cuda_ ? input.capacity : num_voxels_;
  if (cuda_) input.device_num_voxels = count_.as<std::int32_t>();
  input.features = {features_.data(), DType::kFloat32, input.num_voxels, engine_.input_channels(),
                    engine_.input_channels()};
  return engine_.enqueue(context_, input, bindings_, workspace(), listener);
}

FrameTimes Session::run(const InputFrame& frame) {
  return cuda_ ? run_on_cuda(frame, false) : run_on_cpu(frame, false);
}

FrameTimes Session::run_parts(const InputFrame& frame) {
  return cuda_ ? run_on_cuda(frame, true) : run_on_cpu(frame, true);
}

std::vector<StepProfile> Session::profile() {
  check(engine_.status(context_, workspace()), "running the engine", engine_.steps());
  std::vector<StepProfile> profile(engine_.steps().size());
  engine_.collect_profile(context_, workspace(), &timer_, profile);
  return profile;
}

FrameTimes Session::run_on_cpu(const InputFrame& frame, bool parts) {
  load(frame);
  clock_.mark(context_, kStart);
  check(enqueue_voxelizer(), "voxelising");
  clock_.mark(context_, kVoxels);
  if (cloud_.num_points > 0) num_voxels_ = *count_.as<std::int32_t>();
  check(enqueue_engine(parts ? &timer_ : nullptr), "running the engine", engine_.steps());
  clock_.mark(context_, kEnd);
  return {clock_.microseconds(kStart, kVoxels), clock_.microseconds(kVoxels, kEnd),
          clock_.microseconds(kStart, kEnd)};
}

/// The graph of what the loaded frame needs; it tells the times of its parts when asked to.
const CapturedGraph& Session::graph_of(bool parts) {
  auto& graphs = parts ? part_graphs_ : frame_graphs_;
  const auto known = graphs.find(cloud_.num_points);
  if (known != graphs.end()) return known->second;
  CapturedGraph graph = CapturedGraph::capture(context_, [&] {
    if (parts) clock_.mark(context_, kStart);
    if (const Status status = enqueue_voxelizer(); !status.ok()) return status;
    if (parts) clock_.mark(context_, kVoxels);
    const Status status = enqueue_engine(parts ? &timer_ : nullptr);
    if (parts) clock_.mark(context_, kEnd);
    check(status, "capturing a graph", engine_.steps());
    return status;
  });
  return graphs.emplace(cloud_.num_points, std::move(graph)).first->second;
}

FrameTimes Session::run_on_cuda(const InputFrame& frame, bool parts) {
  load(frame);
  const CapturedGraph* graph = graph_ ? &graph_of(parts) : nullptr;
  if (graph != nullptr && parts) {
    check(graph->launch(context_), "launching the graph");
  } else if (graph != nullptr) {
    graph_nodes_ = graph->node_count();
    clock_.mark(context_, kStart);
    check(graph->launch(context_), "launching the graph");
    clock_.mark(context_, kEnd);
  } else {
    clock_.mark(context_, kStart);
    check(enqueue_voxelizer(), "voxelising");
    clock_.mark(context_, kVoxels);
    check(enqueue_engine(parts ? &timer_ : nullptr), "running the engine", engine_.steps());
    clock_.mark(context_, kEnd);
  }
  check(context_.synchronize(), "running a frame");
  FrameTimes times{.frame = clock_.microseconds(kStart, kEnd)};
  const bool whole = graph != nullptr && !parts;
  times.voxelize = cloud_.num_points == 0 ? 0.0 : whole ? std::nan("") : clock_.microseconds(kStart, kVoxels);
  times.engine = whole ? std::nan("") : clock_.microseconds(kVoxels, kEnd);
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
