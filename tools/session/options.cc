#include "tools/session/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "tools/io/points.h"
#include "tools/usage_error.h"
#include "voxgemm/engine.h"
#include "voxgemm/implicit_gemm.h"

namespace voxgemm::tools {

const NetworkKind& network_kind(const std::string& name) {
  static const std::array<NetworkKind, 2> kinds{{
      {"centerpoint",
       "xyzit",
       {.min_xyz = {-54.0F, -54.0F, -5.0F},
        .max_xyz = {54.0F, 54.0F, 3.0F},
        .voxel_size_xyz = {0.075F, 0.075F, 0.2F},
        .max_voxels = 160000,
        .max_points_per_voxel = 10}},
      {"second",
       "xyzi",
       {.min_xyz = {0.0F, -40.0F, -3.0F},
        .max_xyz = {70.4F, 40.0F, 1.0F},
        .voxel_size_xyz = {0.05F, 0.05F, 0.1F},
        .max_voxels = 60000,
        .max_points_per_voxel = 5}},
  }};
  for (const NetworkKind& kind : kinds) {
    if (kind.name == name) return kind;
  }
  throw Error(ErrorCode::kNotFound, fmt::format("--network {}: centerpoint or second", name));
}

VoxelGrid WorkOptions::grid() const {
  VoxelGrid grid = network_kind(network).grid;
  for (std::size_t a = 0; a < 3; ++a) {
    if (!range.empty()) {
      grid.min_xyz[a] = range[a];
      grid.max_xyz[a] = range[a + 3];
    }
    if (!voxel.empty()) grid.voxel_size_xyz[a] = voxel[a];
    if (!(grid.voxel_size_xyz[a] > 0.0F) || !(grid.max_xyz[a] > grid.min_xyz[a])) {
      throw UsageError(fmt::format("--range and --voxel: axis {} runs from {} to {} in steps of {}", "xyz"[a],
                                   grid.min_xyz[a], grid.max_xyz[a], grid.voxel_size_xyz[a]));
    }
  }
  if (max_voxels > 0) grid.max_voxels = max_voxels;
  if (max_points > 0) grid.max_points_per_voxel = max_points;
  try {
    (void)grid.grid_zyx();
  } catch (const Error& error) {
    throw UsageError(fmt::format("--range and --voxel: {}", error.what()));
  }
  return grid;
}

void WorkOptions::check() const {
  (void)grid();
  if (!columns.empty()) check_columns(columns);
  if (!columns.empty() && points.empty()) throw UsageError("--columns needs --points");
  if (points == "-" && points_format.empty()) {
    throw UsageError(fmt::format("--points - needs --format: {}", fmt::join(points_formats(), ", ")));
  }
  for (const auto& [option, value] : {std::pair{"--max-voxels", max_voxels}, {"--max-points", max_points}}) {
    if (value > 0 && !indices.empty() && !more_points) {
      throw UsageError(fmt::format("{} limits what points become: it goes without --indices", option));
    }
  }
  for (const auto& [option, value] :
       {std::pair{"--intensity-scale", intensity_scale}, {"--min-distance", min_distance}}) {
    if (value > 0.0F && !indices.empty() && !more_points) {
      throw UsageError(fmt::format("{} changes points: it goes without --indices", option));
    }
  }
  if (backend != "cuda" && graph) throw UsageError("--graph needs --backend cuda");
  if (backend != "cuda" && precision == "fp16") throw UsageError("--precision fp16 needs --backend cuda");
  if (kernel.empty()) return;
  const std::vector<std::string> names = implicit_gemm_kernel_names();
  if (std::find(names.begin(), names.end(), kernel) == names.end()) {
    throw UsageError(fmt::format("--kernel '{}' is not in the table: {}", kernel, fmt::join(names, ", ")));
  }
}

Dims WorkOptions::spatial_shape() const {
  if (!shape.empty()) return {shape[0], shape[1], shape[2]};
  Dims dims = grid().grid_zyx();
  ++dims[0];
  return dims;
}

ContextOptions WorkOptions::context_options() const {
  ContextOptions context;
  context.device = backend == "cuda" ? Device::cuda() : Device::cpu();
  context.threads = threads;
  context.log = log;
  return context;
}

std::string WorkOptions::points_name() const { return points == "-" ? kStandardInput : points; }

std::string WorkOptions::memory_text() const {
  const VoxelGrid limits = grid();
  std::string text = fmt::format("a shape of {} ({})", to_string(spatial_shape()),
                                 shape.empty() ? "--range, --voxel" : "--shape");
  if (!indices.empty()) return text + fmt::format(", the voxels of {} (--indices)", indices);
  text += fmt::format(", up to {} voxels (--max-voxels)", limits.max_voxels);
  return points.empty() ? text : text + fmt::format(", the points of {} (--points)", points_name());
}

std::array<FileOption, 3> WorkOptions::input_files() const {
  return {{{"--points", points == "-" ? std::string() : points},
           {"--indices", indices},
           {"--features", features}}};
}

Precision WorkOptions::engine_precision() const {
  return precision == "int8"   ? Precision::kInt8
         : precision == "fp16" ? Precision::kFloat16
                               : Precision::kFloat32;
}

CLI::Validator seed_check() {
  return {[](const std::string& text) {
            const bool digits = text.find_first_not_of("0123456789") == std::string::npos;
            return digits && !text.empty() && text.size() <= 19
                       ? std::string()
                       : text + " is not a whole number from 0 to 1e19";
          },
          "", "seed"};
}

CLI::Validator number_check(double least, double most) {
  return {[=](const std::string& text) {
            double value = 0.0;
            const bool number = CLI::detail::lexical_cast(text, value);
            return number && value >= least && value <= most
                       ? std::string()
                       : fmt::format("{} is not a number from {} to {}", text, least, most);
          },
          fmt::format("FLOAT in [{} - {}]", least, most), "number"};
}

void add_work_options(CLI::App& command, WorkOptions& options) {
  CLI::Option* points = command.add_option("--points", options.points,
                                           "Sweep to read: .bin, .npy, .pcd or .ply, or - for standard input "
                                           "(default: simulated)");
  command.add_option("--format", options.points_format, "What --points is (default: by its extension)")
      ->check(CLI::IsMember(points_formats()))
      ->needs(points);
  command.add_option("--columns", options.columns, "Columns of a .bin or .npy file, e.g. xyzit; _ skips one");
  command.add_option("--dtype", options.dtype, "Values of a .bin file: f32 or f16")
      ->check(CLI::IsMember({"f32", "f16"}))
      ->needs(points);
  command
      .add_option("--intensity-scale", options.intensity_scale,
                  "Divide intensities by this (0 = by 255 when one is above 1.5)")
      ->check(number_check(0.0, 1e9));
  command.add_option("--min-distance", options.min_distance, "Drop points nearer to the origin, metres")
      ->check(number_check(0.0, 1e6));
  CLI::Option* indices = command.add_option("--indices", options.indices,
                                            "Voxels instead of points: [n][4] int32 "
                                            "(b,z,y,x), .npy or .tensor");
  CLI::Option* features = command.add_option("--features", options.features,
                                             "Features of --indices: [n][channels], .npy or .tensor");
  indices->needs(features)->excludes(points);
  features->needs(indices);
  command.add_option("--shape", options.shape, "Spatial shape z y x of --indices")
      ->expected(3)
      ->needs(indices);
  command.add_option("--seed", options.simulate.seed, "Of the simulated scene and of the weights")
      ->check(seed_check());
  CLI::Option* beams =
      command.add_option("--beams", options.simulate.beams, "Simulated sensor: 32, 64 or 128 beams")
          ->check(CLI::IsMember({32, 64, 128}));
  CLI::Option* sweeps =
      command.add_option("--sweeps", options.simulate.sweeps, "Simulated sweeps to accumulate")
          ->check(CLI::Range(1, 10));
  for (CLI::Option* simulated : {beams, sweeps}) simulated->excludes(points)->excludes(indices);
  command.add_option("--network", options.network, "centerpoint or second")
      ->check(CLI::IsMember({"centerpoint", "second"}));
  command.add_option("--range", options.range, "Metres: xmin ymin zmin xmax ymax zmax")->expected(6);
  command.add_option("--voxel", options.voxel, "Voxel size in metres: x y z")->expected(3);
  command.add_option("--max-voxels", options.max_voxels, "Voxels kept (0 = usual for the network)")
      ->check(CLI::Range(0, 20'000'000));
  command
      .add_option("--max-points", options.max_points, "Points kept in a voxel (0 = usual for the network)")
      ->check(CLI::Range(0, 100'000));
  command.add_option("--threads", options.threads, "CPU threads (0 = all)")->check(CLI::Range(0, 1024));
  command.add_option("--kernel", options.kernel, "Force this row of the GEMM table (see voxgemm inspect)");
  command.add_option("--backend", options.backend, "cpu or cuda")->check(CLI::IsMember({"cpu", "cuda"}));
}

}  // namespace voxgemm::tools
