// Options that run, bench and inspect share: where the frames come from, which network, which engine.
#pragma once

#include <CLI/CLI.hpp>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tools/io/output.h"
#include "tools/report/message.h"
#include "tools/sim/simulator.h"
#include "voxgemm/context.h"
#include "voxgemm/engine.h"
#include "voxgemm/voxelize.h"

namespace voxgemm::tools {

/// What a network is usually fed with.
struct NetworkKind {
  std::string name;
  std::string columns;  ///< of the points, in channel order
  VoxelGrid grid{};
};
/// "centerpoint" (nuScenes grid, xyzit) or "second" (KITTI grid, xyzi). Throws kNotFound.
const NetworkKind& network_kind(const std::string& name);

struct WorkOptions {
  // input
  std::string points;
  std::string columns;
  std::string dtype = "f32";
  std::string points_format;     ///< empty = by extension
  float intensity_scale = 0.0F;  ///< what intensities are divided by; 0 = by their range
  float min_distance = 0.0F;     ///< metres; nearer points are dropped
  std::string indices;
  std::string features;
  SimulateOptions simulate{};
  // network
  std::string network = "centerpoint";
  std::vector<float> range;         ///< xmin ymin zmin xmax ymax zmax; empty = the network's
  std::vector<float> voxel;         ///< x y z; empty = the network's
  std::vector<std::int32_t> shape;  ///< z y x, for --indices; empty = the network's
  std::int32_t max_voxels = 0;      ///< 0 = the network's
  std::int32_t max_points = 0;      ///< 0 = the network's
  bool more_points = false;         ///< points are read besides: limits for them go with --indices
  // engine
  std::string precision = "int8";
  std::int32_t threads = 0;
  std::string kernel;
  std::string backend = "cpu";
  bool graph = false;
  LogSink log = warnings_once();  ///< of all contexts

  /// Throws UsageError for values that make no sense together and for unknown kernels.
  void check() const;
  /// The network's grid with what the user changed. Throws UsageError.
  [[nodiscard]] VoxelGrid grid() const;
  /// Sparse shape: the grid and one more z cell, or --shape.
  [[nodiscard]] Dims spatial_shape() const;
  [[nodiscard]] ContextOptions context_options() const;
  /// What decides how much memory is taken, and the options that set it: "a shape of [41, 1440, 1440]
  /// (--range,
  /// --voxel), up to 160000 voxels (--max-voxels)".
  [[nodiscard]] std::string memory_text() const;
  /// --points as messages name it.
  [[nodiscard]] std::string points_name() const;
  /// The files that are read.
  [[nodiscard]] std::array<FileOption, 3> input_files() const;
  [[nodiscard]] Precision engine_precision() const;
};

/// A seed: digits only, at most 19. (The parser alone takes -1 for 2^64 - 1.)
CLI::Validator seed_check();
/// A finite number from `least` to `most`. (CLI::Range takes nan.)
CLI::Validator number_check(double least, double most);

/// Adds them to a subcommand.
void add_work_options(CLI::App& command, WorkOptions& options);

}  // namespace voxgemm::tools
