// voxgemm run: one frame through a backbone, layer by layer.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/commands.h"
#include "tools/io/output.h"
#include "tools/report/columns.h"
#include "tools/report/layers.h"
#include "tools/report/message.h"
#include "tools/report/picture.h"
#include "tools/report/progress.h"
#include "tools/report/table.h"
#include "tools/session/frames.h"
#include "tools/session/memory.h"
#include "tools/session/options.h"
#include "tools/session/session.h"
#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"
#include "voxgemm/profile.h"

namespace voxgemm::tools {
namespace {

constexpr int kWarmUps = 2;
constexpr int kRepeatsCpu = 15;
constexpr int kRepeatsCuda = 200;

struct Arguments {
  WorkOptions work;
  int repeat = 0;  ///< 0 = by backend
  bool sqnr = true;
  std::string json;
  std::string png;
};

/// All that one run found.
struct Findings {
  std::vector<LayerRow> rows;
  TimeTotals totals;
  std::uint64_t checksum = 0;
  bool not_finite = false;
  std::optional<double> output_sqnr_db;
  std::vector<double> input_sqnr_db;  ///< by channel; empty without a comparison
};

/// Microseconds of each step and of the whole frame over the repeats.
struct Samples {
  std::vector<std::vector<double>> steps;
  std::vector<double> voxelize;
  std::vector<double> frame;
  std::vector<StepProfile> last;  ///< rows and pairs
};

/// On CUDA frames are timed once more in a second round: the first one's events keep the steps apart.
Samples measure(Session& session, const InputFrame& frame, int repeat, bool cuda) {
  Samples samples;
  const std::size_t count = session.engine().steps().size();
  samples.steps.resize(count);
  ProgressBar bar("measuring");
  for (int i = -kWarmUps; i < repeat; ++i) {
    const FrameTimes times = session.run_parts(frame);
    bar.update(static_cast<double>(i + kWarmUps + 1) / (repeat + kWarmUps));
    if (i < 0) continue;
    for (std::size_t s = 0; s < count; ++s) samples.steps[s].push_back(session.step_microseconds(s));
    samples.voxelize.push_back(times.voxelize);
    samples.frame.push_back(times.frame);
  }
  samples.last = session.profile();
  if (!cuda) return samples;
  samples.frame.clear();
  for (int i = -kWarmUps; i < repeat; ++i) {
    const FrameTimes times = session.run(frame);
    if (i >= 0) samples.frame.push_back(times.frame);
  }
  return samples;
}

std::vector<LayerRow> make_rows(const Engine& engine, const Samples& samples, const SqnrReport& sqnr) {
  std::vector<LayerRow> rows;
  for (std::size_t s = 0; s < engine.steps().size(); ++s) {
    const StepInfo& info = engine.steps()[s];
    const StepProfile& profile = samples.last[s];
    LayerRow row;
    row.name = info.name;
    row.kind = info.kind;
    row.precision = info.precision;
    row.kernel = info.kernel;
    row.pairs_of = info.pairs;
    row.c_in = info.c_in;
    row.c_out = info.c_out;
    row.kv = info.kv;
    row.n_in = profile.n_in;
    row.n_out = profile.n_out;
    row.capacity = info.capacity;
    row.pairs = profile.pairs;
    row.median_us = percentile(samples.steps[s], 0.5);
    row.p90_us = percentile(samples.steps[s], 0.9);
    if (is_convolution(row)) {
      row.useful_macs = row.pairs * row.c_in * row.c_out;
      row.issued_macs = profile.issued_macs > 0 ? profile.issued_macs : issued_macs(row);
    }
    for (const LayerSqnr& layer : sqnr.layers) {
      if (!info.value.empty() && layer.name == info.value) row.sqnr_db = layer.sqnr_db;
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

TimeTotals make_totals(const std::vector<LayerRow>& rows, const Samples& samples) {
  TimeTotals totals;
  for (const LayerRow& row : rows) {
    double& part = row.kind == "pairs" ? totals.pairs : is_convolution(row) ? totals.gemm : totals.other;
    part += row.median_us;
  }
  totals.voxelize = percentile(samples.voxelize, 0.5);
  totals.frame = percentile(samples.frame, 0.5);
  totals.frame_p90 = percentile(samples.frame, 0.9);
  totals.frame_p99 = percentile(samples.frame, 0.99);
  return totals;
}

nlohmann::json input_json(const WorkOptions& work, const InputFrame& frame, const Findings& found) {
  const VoxelGrid grid = work.grid();
  const Dims shape = work.spatial_shape();
  nlohmann::json sqnr = nlohmann::json::array();
  for (const double db : found.input_sqnr_db) {
    sqnr.push_back(std::isfinite(db) ? nlohmann::json(db) : nlohmann::json());
  }
  return {{"source", frame.source},
          {"points", frame.counts.points},
          {"points_too_near", frame.too_near},
          {"points_not_finite", frame.counts.not_finite},
          {"points_out_of_range", frame.counts.out_of_range},
          {"points_beyond_max_points", frame.counts.point_overflow},
          {"points_beyond_max_voxels", frame.counts.voxel_overflow},
          {"voxels", frame.frame.num_voxels},
          {"channels", frame.channels},
          {"channel_names", frame.channel_names()},
          {"channel_sqnr_db", sqnr},
          {"columns", ranges_json(frame.ranges)},
          {"assumed", frame.cloud.notes},
          {"batch_size", frame.batch_size},
          {"spatial_shape_zyx", {shape[0], shape[1], shape[2]}},
          {"range_min_xyz", grid.min_xyz},
          {"range_max_xyz", grid.max_xyz},
          {"voxel_size_xyz", grid.voxel_size_xyz}};
}

void write_figures(const Arguments& arguments, const Context& context, const InputFrame& frame,
                   const Session& session, const Findings& found) {
  nlohmann::json output{{"checksum_fnv1a64", fmt::format("{:016x}", found.checksum)},
                        {"not_finite", found.not_finite},
                        {"sqnr_db", nullptr}};
  if (found.output_sqnr_db) output["sqnr_db"] = *found.output_sqnr_db;
  const nlohmann::json document{{"schema", "voxgemm.run"},
                                {"version", 1},
                                {"machine", context.describe()},
                                {"backend", arguments.work.backend},
                                {"threads", context.threads()},
                                {"network", arguments.work.network},
                                {"precision", arguments.work.precision},
                                {"forced_kernel", arguments.work.kernel},
                                {"seed", arguments.work.simulate.seed},
                                {"repeats", arguments.repeat},
                                {"input", input_json(arguments.work, frame, found)},
                                {"layers", layers_json(found.rows)},
                                {"totals", totals_json(found.totals)},
                                {"workspace_bytes", session.workspace_bytes()},
                                {"arena_bytes", session.engine().arena_bytes()},
                                {"pairs_bytes", session.engine().pairs_bytes()},
                                {"graph_nodes", session.graph_nodes()},
                                {"output", output}};
  write_json(arguments.json, document);
}

void write_png(const Arguments& arguments, const InputFrame& frame) {
  PictureOptions picture;
  picture.grid = arguments.work.grid();
  picture.points_title = fmt::format("{} points", grouped(frame.cloud.num_points()));
  picture.voxels_title = fmt::format("{} voxels", grouped(frame.frame.num_voxels));
  draw_birds_eye(frame.cloud, frame.frame.indices, picture).write_png(arguments.png);
}

void print_head(const Arguments& arguments, const Context& context, const InputFrame& frame) {
  fmt::print("input    {}\n", printable(frame.source));
  if (frame.counts.points > 0) {
    fmt::print("points   {}: {} out of range, {} not finite, {} beyond {} a voxel, {} beyond {} voxels\n",
               grouped(frame.counts.points), grouped(frame.counts.out_of_range),
               grouped(frame.counts.not_finite), grouped(frame.counts.point_overflow),
               arguments.work.grid().max_points_per_voxel, grouped(frame.counts.voxel_overflow),
               grouped(arguments.work.grid().max_voxels));
  }
  if (frame.too_near > 0) {
    fmt::print("near     {} points more are nearer than {} m: dropped\n", grouped(frame.too_near),
               arguments.work.min_distance);
  }
  fmt::print("columns  {}\n", ranges_text(frame.ranges));
  if (!frame.cloud.notes.empty()) {
    fmt::print("assumed  {}\n", printable(fmt::format("{}", fmt::join(frame.cloud.notes, "; "))));
  }
  fmt::print("voxels   {} of shape {}, {} channels\n", grouped(frame.frame.num_voxels),
             to_string(arguments.work.spatial_shape()), frame.channels);
  fmt::print("network  {} {}, seeded weights\n", arguments.work.network, arguments.work.precision);
  fmt::print("machine  {}\n\n", context.describe());
}

void print_memory(const Session& session) {
  const auto megabytes = [](std::size_t bytes) { return static_cast<double>(bytes) * 1e-6; };
  fmt::print("  {:<10} {:>10.1f} MB for values, {:.1f} MB for kernel maps\n", "arena",
             megabytes(session.engine().arena_bytes()), megabytes(session.engine().pairs_bytes()));
  if (session.graph_nodes() > 0)
    fmt::print("  {:<10} {:>10} nodes a frame, one launch\n", "graph", session.graph_nodes());
}

void run_run(const Arguments& given) {
  Arguments arguments = given;
  const WorkOptions& work = arguments.work;
  check_outputs(std::array<FileOption, 2>{{{"--json", arguments.json}, {"--png", arguments.png}}},
                work.input_files());
  Context context = make_context(work);  // first: a machine without the backend says so at once
  const bool cuda = context.device().kind == DeviceKind::kCuda;
  if (arguments.repeat == 0) arguments.repeat = cuda ? kRepeatsCuda : kRepeatsCpu;
  // Reads, calibrates and compares on the CPU.
  Context plain(ContextOptions{.threads = work.threads, .log = work.log});
  const InputFrame frame = load_frame(plain, work);
  print_head(arguments, context, frame);
  const bool int8 = work.precision == "int8";
  PreparedNetwork prepared = prepare_network(plain, work, {&frame, 1}, int8);
  SqnrReport sqnr;
  if (int8 && arguments.sqnr)
    sqnr = compare_precisions(plain, prepared.network, prepared.scales, frame.frame);

  Session session(context, prepared, work, work.engine_precision());
  const Samples samples = measure(session, frame, arguments.repeat, cuda);
  Findings found;
  found.rows = make_rows(session.engine(), samples, sqnr);
  found.totals = make_totals(found.rows, samples);
  found.checksum = session.checksum();
  found.not_finite = session.has_not_finite();
  if (!sqnr.layers.empty()) {
    found.output_sqnr_db = sqnr.layers.back().sqnr_db;
    found.input_sqnr_db = sqnr.layers.front().channel_sqnr_db;
  }

  fmt::print("{}", layer_table(found.rows, found.totals));
  print_memory(session);
  fmt::print("\noutput checksum {:016x}{}\n", found.checksum,
             found.not_finite ? " (NaN or infinite values!)" : "");
  if (!found.input_sqnr_db.empty()) {
    fmt::print("input SQNR in dB by channel: {}\n",
               channels_text(frame.channel_names(), found.input_sqnr_db));
  }
  if (found.output_sqnr_db)
    fmt::print("output SQNR {:.1f} dB against the float32 pass\n", *found.output_sqnr_db);
  if (!arguments.json.empty()) {
    write_figures(arguments, context, frame, session, found);
    fmt::print("{}: all figures as JSON\n", printable(arguments.json));
  }
  if (!arguments.png.empty()) {
    write_png(arguments, frame);
    fmt::print("{}: bird's-eye picture\n", printable(arguments.png));
  }
}

}  // namespace

void add_run(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("run", "Run a backbone on a sweep and show every layer");
  add_work_options(*command, arguments->work);
  command->add_option("--precision", arguments->work.precision, "int8 or fp32 (fp16 with --backend cuda)")
      ->check(CLI::IsMember({"int8", "fp32", "fp16"}));
  command->add_flag("--graph", arguments->work.graph, "With --backend cuda: replay one CUDA graph a frame");
  command->add_option("--repeat", arguments->repeat, "Timed repeats (0 = 15, with --backend cuda 200)")
      ->check(CLI::Range(0, 100000));
  command->add_flag("!--no-sqnr", arguments->sqnr, "Skip the comparison with the float32 pass");
  command->add_option("--json", arguments->json, "Write all figures to this file");
  command->add_option("--png", arguments->png, "Write a bird's-eye picture of points and voxels");
  command->callback([arguments] { with_memory_named(arguments->work, [&] { run_run(*arguments); }); });
}

}  // namespace voxgemm::tools
