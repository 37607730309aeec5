#include "tests/engine/engine_runner.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>
#include <set>

#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"

namespace voxgemm::test {
namespace {

std::size_t output_bytes(const OutputInfo& info) {
  const std::int64_t elements = info.dense
                                    ? dense_elements(info.spatial_shape, info.batch_size, info.channels)
                                    : std::int64_t{info.capacity} * info.channels;
  return static_cast<std::size_t>(elements) * size_of(info.dtype);
}

float filler(Padding padding) {
  if (padding == Padding::kNaN) return std::numeric_limits<float>::quiet_NaN();
  float value = 0.0F;
  if (padding == Padding::kSevenF) std::memset(&value, 0x7F, sizeof value);
  return value;
}

}  // namespace

EngineRunner::EngineRunner(Context& context, std::shared_ptr<const Engine> engine)
    : context_(context), engine_(std::move(engine)), workspace_(context, engine_->workspace_bytes()) {
  std::memset(workspace_.data(), 0xEE, workspace_.bytes());
  check(engine_->prepare(context, workspace()), "prepare");
}

std::shared_ptr<const Engine> EngineRunner::build(Context& context, const Network& network,
                                                  const ScaleTable& scales, const EngineOptions& options) {
  return std::make_shared<const Engine>(Engine::build(context, network, scales, options));
}

std::vector<RunOutput> EngineRunner::fresh_outputs() const {
  std::vector<RunOutput> outputs;
  for (const OutputInfo& info : engine_->outputs()) {
    RunOutput output;
    output.features.assign(output_bytes(info), static_cast<std::byte>(kSentinel));
    if (!info.dense) {
      output.indices.assign(static_cast<std::size_t>(info.capacity * (1 + info.spatial_shape.ndim)), -77);
    }
    outputs.push_back(std::move(output));
  }
  return outputs;
}

std::vector<OutputBinding> EngineRunner::bindings(std::vector<RunOutput>& outputs) const {
  std::vector<OutputBinding> bound;
  for (RunOutput& output : outputs) {
    bound.push_back({output.features.data(), output.indices.empty() ? nullptr : output.indices.data(),
                     &output.num_voxels});
  }
  return bound;
}

SparseTensorView EngineRunner::view_of(const Frame& frame) const {
  SparseTensorView view;
  view.indices = frame.indices.data();
  view.spatial_shape = engine_->input_shape();
  view.batch_size = engine_->input_batch_size();
  view.num_voxels = view.capacity = frame.num_voxels;
  const std::int32_t channels = engine_->input_channels();
  view.features = {frame.features.data(), DType::kFloat32, frame.num_voxels, channels, channels};
  return view;
}

RunResult EngineRunner::run_view(const SparseTensorView& input) {
  RunResult result;
  result.outputs = fresh_outputs();
  const std::vector<OutputBinding> bound = bindings(result.outputs);
  result.status = engine_->enqueue(context_, input, bound, workspace());
  return result;
}

RunResult EngineRunner::run_unpadded(const Frame& frame) { return run_view(view_of(frame)); }

RunResult EngineRunner::run(const Frame& frame, Padding padding) {
  const std::int32_t capacity = engine_->input_capacity();
  const std::int32_t channels = engine_->input_channels();
  const std::int32_t stride = channels + 3;
  const auto columns = static_cast<std::size_t>(1 + engine_->input_shape().ndim);
  const float fill = filler(padding);
  std::int32_t index_fill = 0;
  std::memcpy(&index_fill, &fill, sizeof fill);
  std::vector<float> features(static_cast<std::size_t>(capacity) * static_cast<std::size_t>(stride), fill);
  std::vector<std::int32_t> indices(static_cast<std::size_t>(capacity) * columns, index_fill);
  const auto n = static_cast<std::size_t>(frame.num_voxels);
  std::copy_n(frame.indices.begin(), n * columns, indices.begin());
  for (std::size_t row = 0; row < n; ++row) {
    std::copy_n(frame.features.begin() + static_cast<std::ptrdiff_t>(row) * channels, channels,
                features.begin() + static_cast<std::ptrdiff_t>(row) * stride);
  }
  SparseTensorView view = view_of(frame);
  view.indices = indices.data();
  view.capacity = capacity;
  view.features.data = features.data();
  view.features.stride = stride;
  return run_view(view);
}

Frame random_frame(const Dims& shape, std::int32_t batch_size, std::int32_t channels, std::int32_t n,
                   std::uint32_t seed) {
  std::mt19937 random(seed);
  const auto below = [&](std::int32_t limit) {
    return static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(limit));
  };
  std::set<std::vector<std::int32_t>> seen;
  Frame frame;
  std::vector<std::int32_t> walker(static_cast<std::size_t>(1 + shape.ndim), 0);
  while (frame.num_voxels < n) {
    if (frame.num_voxels % 16 == 0) {  // a new cluster
      walker[0] = below(batch_size);
      for (int a = 0; a < shape.ndim; ++a) walker[static_cast<std::size_t>(a) + 1] = below(shape[a]);
    }
    const int axis = below(shape.ndim);
    std::int32_t& at = walker[static_cast<std::size_t>(axis) + 1];
    at = std::clamp(at + below(3) - 1, 0, shape[axis] - 1);
    if (!seen.insert(walker).second) {
      for (int a = 0; a < shape.ndim; ++a) walker[static_cast<std::size_t>(a) + 1] = below(shape[a]);
      if (!seen.insert(walker).second) continue;
    }
    frame.indices.insert(frame.indices.end(), walker.begin(), walker.end());
    ++frame.num_voxels;
    for (std::int32_t c = 0; c < channels; ++c) {
      frame.features.push_back(static_cast<float>(below(4096) - 2048) / 1024.0F);
    }
  }
  return frame;
}

ConvLayer random_conv(const std::string& name, const ConvGeometry& geometry, std::int32_t c_in,
                      std::int32_t c_out, std::uint32_t seed, Activation activation, const std::string& key) {
  std::mt19937 random(seed);
  const auto value = [&] {
    return static_cast<float>(static_cast<std::int32_t>(random() % 2048) - 1024) / 1024.0F;
  };
  ConvLayer layer{name, key, geometry, c_out};
  const std::size_t count = static_cast<std::size_t>(c_out) * static_cast<std::size_t>(c_in) *
                            static_cast<std::size_t>(geometry.kernel_volume());
  for (std::size_t i = 0; i < count; ++i) layer.weights.push_back(0.3F * value());
  for (std::int32_t i = 0; i < c_out; ++i) layer.bias.push_back(0.2F * value());
  layer.activation = activation;
  layer.act_alpha = 0.1F;
  return layer;
}

}  // namespace voxgemm::test
