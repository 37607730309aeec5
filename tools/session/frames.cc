#include "tools/session/frames.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "tools/io/adjust.h"
#include "tools/report/message.h"
#include "tools/report/progress.h"
#include "tools/report/table.h"
#include "voxgemm/error.h"

namespace voxgemm::tools {
namespace {

InputFrame load_voxels(Context& context, const WorkOptions& options) {
  const Array indices = read_array(options.indices);
  const Array features = read_array(options.features);
  if (indices.shape.size() != 2 || indices.shape[1] != 4) {
    fail_io(options.indices, fmt::format("shape {}: indices are [n][4] (b,z,y,x)", indices.shape_text()));
  }
  if (features.shape.size() != 2 || features.shape[0] != indices.shape[0] || features.shape[1] < 1) {
    fail_io(options.features, fmt::format("shape {}: features are [n][channels] for the {} rows of {}",
                                          features.shape_text(), indices.shape[0], options.indices));
  }
  InputFrame frame;
  frame.source = options.indices;
  frame.channels = static_cast<std::int32_t>(features.shape[1]);
  frame.frame.indices = indices.to_int32(options.indices);
  frame.frame.features = features.to_float();
  frame.frame.num_voxels = static_cast<std::int32_t>(indices.shape[0]);
  for (std::size_t i = 0; i < frame.frame.features.size(); ++i) {
    if (std::isfinite(frame.frame.features[i])) continue;
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: row {}, channel {} is {}", options.features,
                            i / static_cast<std::size_t>(frame.channels),
                            i % static_cast<std::size_t>(frame.channels), frame.frame.features[i]));
  }
  frame.ranges = column_ranges(frame.channel_names(), frame.frame.features);
  for (std::size_t i = 0; i < frame.frame.indices.size(); i += 4) {
    const std::int64_t entries = std::int64_t{frame.frame.indices[i]} + 1;
    frame.batch_size = static_cast<std::int32_t>(
        std::clamp<std::int64_t>(entries, frame.batch_size, std::numeric_limits<std::int32_t>::max()));
  }
  SparseTensorView view;
  view.indices = frame.frame.indices.data();
  view.spatial_shape = options.spatial_shape();
  view.batch_size = frame.batch_size;
  view.capacity = view.num_voxels = frame.frame.num_voxels;
  view.features = {frame.frame.features.data(), DType::kFloat32, view.num_voxels, frame.channels,
                   frame.channels};
  try {
    validate(context, view);
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("{}: {}", options.indices, error.what()));
  }
  return frame;
}

std::vector<std::string> letters(std::string_view columns) {
  std::vector<std::string> names;
  for (const char column : columns) names.emplace_back(1, column);
  return names;
}

/// Files in unusual units, and sensors that store lost returns.
void adjust_points(const WorkOptions& options, InputFrame& frame) {
  const float brightest = scale_intensity(frame.cloud, options.intensity_scale);
  if (brightest > 1.5F) {
    print_message(
        fmt::format("warning: {}: intensities reach {} where networks get 0 to 1; --intensity-scale "
                    "says what to divide them by",
                    frame.source, brightest));
  }
  if (options.min_distance > 0.0F) {
    frame.too_near = drop_near(frame.cloud, options.min_distance);
    return;
  }
  const std::int64_t lost = points_at_origin(frame.cloud);
  if (lost <= 1) return;
  print_message(
      fmt::format("warning: {}: {} of {} points lie at (0, 0, 0), as lost returns do; --min-distance "
                  "drops them",
                  frame.source, grouped(lost), grouped(frame.cloud.num_points())));
}

/// Rows read with the wrong columns give points all over space.
void warn_of_dropped_points(const WorkOptions& options, const InputFrame& frame) {
  const std::int64_t dropped = frame.counts.out_of_range + frame.counts.not_finite;
  if (options.points.empty() || 2 * dropped <= frame.counts.points) return;
  print_message(fmt::format(
      "warning: {}: {} of {} points are dropped; are --columns, --dtype, --range and --network right?",
      frame.source, grouped(dropped), grouped(frame.counts.points)));
}

}  // namespace

PointsView InputFrame::points() const {
  const auto columns = static_cast<std::int32_t>(cloud.columns.size());
  return {cloud.values.data(), DType::kFloat32, cloud.num_points(), columns, columns};
}

std::vector<std::string> InputFrame::channel_names() const {
  if (cloud.num_points() > 0) return letters(cloud.columns);
  std::vector<std::string> names;
  for (std::int32_t c = 0; c < channels; ++c) names.push_back(fmt::format("c{}", c));
  return names;
}

void voxelize_frame(Context& context, const WorkOptions& options, InputFrame& frame) {
  const VoxelGrid grid = options.grid();
  const auto columns = static_cast<std::int32_t>(frame.cloud.columns.size());
  SparseTensor out(context, options.spatial_shape(), 1, grid.max_voxels, columns, DType::kFloat32);
  const PointsView cloud = frame.points();
  frame.counts = voxelize(context, {&cloud, 1}, grid, out).front();
  frame.channels = columns;
  frame.frame = Frame::from_view(context, out.view());
}

InputFrame load_frame(Context& context, const WorkOptions& options) {
  if (!options.indices.empty()) return load_voxels(context, options);
  InputFrame frame;
  const NetworkKind& kind = network_kind(options.network);
  if (options.points.empty()) {
    ProgressBar bar("simulating");
    frame.cloud = simulate(options.simulate, [&](double done) { bar.update(done); });
    frame.source =
        fmt::format("simulated sweep ({} beams, {} sweep{}, seed {})", options.simulate.beams,
                    options.simulate.sweeps, options.simulate.sweeps == 1 ? "" : "s", options.simulate.seed);
  } else {
    frame.cloud =
        read_points(options.points, {options.columns, options.dtype, options.points_format, kind.columns});
    frame.source = options.points_name();
  }
  frame.ranges = column_ranges(letters(frame.cloud.columns), frame.cloud.values);
  const PointCloud chosen = select_columns(frame.cloud, kind.columns);
  check_ages(frame.source, chosen);
  check_assumed(frame.source, frame.cloud);
  frame.cloud = chosen;
  adjust_points(options, frame);
  voxelize_frame(context, options, frame);
  if (frame.counts.points == 0) {
    throw Error(ErrorCode::kInvalidArgument,
                frame.too_near == 0
                    ? fmt::format("{}: no points", frame.source)
                    : fmt::format("{}: all {} points are nearer than {} m (--min-distance)", frame.source,
                                  grouped(frame.too_near), options.min_distance));
  }
  if (frame.counts.voxels == 0) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: no voxels: of {} points {} are not finite and {} lie outside the range",
                            frame.source, grouped(frame.counts.points), grouped(frame.counts.not_finite),
                            grouped(frame.counts.out_of_range)));
  }
  warn_of_dropped_points(options, frame);
  return frame;
}

}  // namespace voxgemm::tools
