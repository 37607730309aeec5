// voxgemm simulate: writes a simulated sweep.
#include <fmt/format.h>

#include <array>
#include <memory>
#include <string>

#include "tools/commands.h"
#include "tools/io/output.h"
#include "tools/io/points.h"
#include "tools/report/message.h"
#include "tools/report/picture.h"
#include "tools/report/progress.h"
#include "tools/report/table.h"
#include "tools/session/options.h"
#include "tools/sim/simulator.h"

namespace voxgemm::tools {
namespace {

struct Arguments {
  SimulateOptions options;
  std::string out;
  std::string png;
  std::string columns = "xyzit";
  std::string dtype = "f32";
};

void run_simulate(const Arguments& arguments) {
  check_columns(arguments.columns);
  check_points_output("--out", arguments.out);
  check_outputs(std::array<FileOption, 2>{{{"--out", arguments.out}, {"--png", arguments.png}}}, {});
  PointCloud cloud;
  {
    ProgressBar bar("simulating");
    cloud = simulate(arguments.options, [&](double done) { bar.update(done); });
  }
  write_points(arguments.out, select_columns(cloud, arguments.columns), arguments.dtype);
  fmt::print("{}: {} points, {} beams, {} sweep{}, seed {}, columns {}\n", printable(arguments.out),
             grouped(cloud.num_points()), arguments.options.beams, arguments.options.sweeps,
             arguments.options.sweeps == 1 ? "" : "s", arguments.options.seed, arguments.columns);
  if (arguments.png.empty()) return;
  PictureOptions picture;
  picture.grid.min_xyz = {-54.0F, -54.0F, -5.0F};
  picture.grid.max_xyz = {54.0F, 54.0F, 3.0F};
  picture.grid.voxel_size_xyz = {0.075F, 0.075F, 0.2F};
  picture.points_title = fmt::format("{} points", grouped(cloud.num_points()));
  draw_birds_eye(cloud, {}, picture).write_png(arguments.png);
  fmt::print("{}: bird's-eye picture\n", printable(arguments.png));
}

}  // namespace

void add_simulate(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      app.add_subcommand("simulate", "Simulate a spinning LiDAR in a street and write the points");
  command->add_option("-o,--out", arguments->out, "File to write: .bin or .npy")->required();
  command->add_option("--beams", arguments->options.beams, "32, 64 or 128")
      ->check(CLI::IsMember({32, 64, 128}));
  command
      ->add_option("--sweeps", arguments->options.sweeps,
                   "Revolutions to accumulate, with their age in column t")
      ->check(CLI::Range(1, 10));
  command
      ->add_option("--seed", arguments->options.seed, "Scene and noise; the same seed gives the same bytes")
      ->check(seed_check());
  command->add_option("--speed", arguments->options.speed, "Of the ego vehicle, m/s")
      ->check(number_check(0.0, 40.0));
  command->add_option("--columns", arguments->columns, "Columns to write, letters of x y z i t");
  command->add_option("--dtype", arguments->dtype, "f32 or f16")->check(CLI::IsMember({"f32", "f16"}));
  command->add_option("--png", arguments->png, "Bird's-eye picture of the points");
  command->callback([arguments] { run_simulate(*arguments); });
}

}  // namespace voxgemm::tools
