// voxgemm bench: frame times over repeated frames, int8 and float32, for several thread counts.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tools/commands.h"
#include "tools/io/output.h"
#include "tools/report/message.h"
#include "tools/report/progress.h"
#include "tools/report/table.h"
#include "tools/session/frames.h"
#include "tools/session/memory.h"
#include "tools/session/options.h"
#include "tools/session/session.h"
#include "voxgemm/profile.h"

namespace voxgemm::tools {
namespace {

struct Arguments {
  WorkOptions work;
  std::string precision = "both";
  std::vector<std::int32_t> threads;
  int frames = 4;
  int repeat = 30;
  std::string json;
};

/// Times of one precision with one number of threads, microseconds.
struct Line {
  std::string precision;
  std::int32_t threads = 0;
  std::vector<double> frame;
  std::vector<double> voxelize;
};

/// One engine that takes part in the rotation.
struct Contestant {
  Context context;
  std::unique_ptr<Session> session;
  Line line;
};

/// One frame. A graph tells the voxeliser's time only in a replay of its own.
void time_frame(Contestant& contestant, const InputFrame& frame, bool keep) {
  FrameTimes times = contestant.session->run(frame);
  if (std::isnan(times.voxelize)) times.voxelize = contestant.session->run_parts(frame).voxelize;
  if (!keep) return;
  contestant.line.frame.push_back(times.frame);
  contestant.line.voxelize.push_back(times.voxelize);
}

/// Outputs of the last run are only worth their time when the device has nothing to complain of.
void check_device(Contestant& contestant) { (void)contestant.session->profile(); }

std::vector<std::int32_t> thread_counts(const Arguments& arguments) {
  if (!arguments.threads.empty()) return arguments.threads;
  const std::int32_t all = Context(ContextOptions{.threads = arguments.work.threads}).threads();
  if (arguments.work.threads > 0 || arguments.work.backend == "cuda") return {all};
  std::vector<std::int32_t> counts;
  for (std::int32_t t = 1; t < all; t *= 2) counts.push_back(t);
  counts.push_back(all);
  return counts;
}

std::vector<InputFrame> load_frames(Context& context, const Arguments& arguments) {
  std::vector<InputFrame> frames;
  const bool simulated = arguments.work.points.empty() && arguments.work.indices.empty();
  for (int i = 0; i < (simulated ? arguments.frames : 1); ++i) {
    WorkOptions work = arguments.work;
    work.simulate.seed += static_cast<std::uint64_t>(i);
    frames.push_back(load_frame(context, work));
  }
  return frames;
}

std::vector<Contestant> build_contestants(const Arguments& arguments, const PreparedNetwork& prepared) {
  std::vector<Contestant> contestants;
  for (const std::int32_t threads : thread_counts(arguments)) {
    for (const char* precision : {"int8", "fp32", "fp16"}) {
      const bool both = arguments.precision == "both" && std::string(precision) != "fp16";
      if (!both && arguments.precision != precision) continue;
      WorkOptions work = arguments.work;
      work.precision = precision;
      work.threads = threads;
      if (work.precision != "int8") work.kernel.clear();
      Contestant contestant{make_context(work), nullptr, {precision, threads, {}, {}}};
      contestants.push_back(std::move(contestant));
    }
  }
  for (Contestant& c : contestants) {  // contexts have their final addresses now
    WorkOptions work = arguments.work;
    work.precision = c.line.precision;
    c.session = std::make_unique<Session>(c.context, prepared, work, work.engine_precision());
  }
  return contestants;
}

const Line* baseline(const std::vector<Contestant>& contestants, const Line& line) {
  for (const Contestant& c : contestants) {
    if (c.line.threads == line.threads && c.line.precision == "fp32") return &c.line;
  }
  return nullptr;
}

void print_table(const std::vector<Contestant>& contestants) {
  using enum Table::Align;
  Table table({{"precision", kLeft},
               {"threads"},
               {"p50 ms"},
               {"p90 ms"},
               {"p99 ms"},
               {"voxelise p50 ms"},
               {"frames/s"},
               {"fp32 / this"},
               {"1 thread / this"}});
  for (const Contestant& c : contestants) {
    const double p50 = percentile(c.line.frame, 0.5);
    std::string ratio;
    if (const Line* fp32 = baseline(contestants, c.line))
      ratio = fmt::format("{:.2f}", percentile(fp32->frame, 0.5) / p50);
    const auto one = std::find_if(contestants.begin(), contestants.end(), [&](const Contestant& o) {
      return o.line.precision == c.line.precision && o.line.threads == 1;
    });
    const std::string speed_up =
        one == contestants.end() ? "" : fmt::format("{:.2f}", percentile(one->line.frame, 0.5) / p50);
    table.row({c.line.precision, std::to_string(c.line.threads), fmt::format("{:.3f}", p50 * 1e-3),
               fmt::format("{:.3f}", percentile(c.line.frame, 0.9) * 1e-3),
               fmt::format("{:.3f}", percentile(c.line.frame, 0.99) * 1e-3),
               fmt::format("{:.3f}", percentile(c.line.voxelize, 0.5) * 1e-3),
               fmt::format("{:.1f}", 1e6 / p50), ratio, speed_up});
  }
  fmt::print("{}", table.text());
}

nlohmann::json to_json(const Arguments& arguments, const std::string& machine,
                       const std::vector<InputFrame>& frames, const std::vector<Contestant>& contestants) {
  nlohmann::json lines = nlohmann::json::array();
  for (const Contestant& c : contestants) {
    lines.push_back({{"precision", c.line.precision},
                     {"threads", c.line.threads},
                     {"p50_us", percentile(c.line.frame, 0.5)},
                     {"p90_us", percentile(c.line.frame, 0.9)},
                     {"p99_us", percentile(c.line.frame, 0.99)},
                     {"voxelize_p50_us", percentile(c.line.voxelize, 0.5)},
                     {"graph_nodes", c.session->graph_nodes()},
                     {"checksum_fnv1a64", fmt::format("{:016x}", c.session->checksum())}});
  }
  nlohmann::json inputs = nlohmann::json::array();
  for (const InputFrame& frame : frames) {
    inputs.push_back(
        {{"source", frame.source}, {"points", frame.counts.points}, {"voxels", frame.frame.num_voxels}});
  }
  return {{"schema", "voxgemm.bench"},
          {"version", 1},
          {"machine", machine},
          {"backend", arguments.work.backend},
          {"network", arguments.work.network},
          {"forced_kernel", arguments.work.kernel},
          {"repeats", arguments.repeat},
          {"frames", inputs},
          {"results", lines}};
}

void run_bench(const Arguments& arguments) {
  check_outputs(std::array<FileOption, 1>{{{"--json", arguments.json}}}, arguments.work.input_files());
  arguments.work.check();
  WorkOptions any = arguments.work;
  any.precision = arguments.precision == "both" ? "int8" : arguments.precision;
  any.kernel.clear();
  make_context(any);  // a machine without the backend says so at once
  Context plain(ContextOptions{.threads = arguments.work.threads, .log = arguments.work.log});
  const std::vector<InputFrame> frames = load_frames(plain, arguments);
  const bool int8 = arguments.precision == "int8" || arguments.precision == "both";
  const PreparedNetwork prepared = prepare_network(plain, arguments.work, frames, int8);
  std::vector<Contestant> contestants = build_contestants(arguments, prepared);
  const std::string machine = contestants.back().context.describe();
  fmt::print("machine  {}\nnetwork  {}, frames in rotation:\n", machine, arguments.work.network);
  for (const InputFrame& frame : frames) {
    fmt::print("         {}: {} points, {} voxels\n", printable(frame.source), grouped(frame.counts.points),
               grouped(frame.frame.num_voxels));
  }
  fmt::print("\n");
  {
    // One frame of everybody in turn: whatever else the machine does hits all alike.
    ProgressBar bar("measuring");
    for (int i = -1; i < arguments.repeat; ++i) {
      const InputFrame& frame = frames[static_cast<std::size_t>(i + 1) % frames.size()];
      for (Contestant& c : contestants) time_frame(c, frame, i >= 0);
      bar.update(static_cast<double>(i + 2) / (arguments.repeat + 1));
    }
  }
  for (Contestant& c : contestants) check_device(c);
  print_table(contestants);
  if (arguments.json.empty()) return;
  write_json(arguments.json, to_json(arguments, machine, frames, contestants));
  fmt::print("{}: all figures as JSON\n", printable(arguments.json));
}

}  // namespace

void add_bench(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      app.add_subcommand("bench", "Time whole frames: percentiles, int8 against float32, threads");
  add_work_options(*command, arguments->work);
  command->add_option("--precision", arguments->precision, "int8, fp32, both (or fp16 with --backend cuda)")
      ->check(CLI::IsMember({"int8", "fp32", "both", "fp16"}));
  command
      ->add_option("--thread-counts", arguments->threads,
                   "Thread counts to compare, e.g. 1,2,4 (default: 1 to all)")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024));
  command->add_option("--frames", arguments->frames, "Simulated frames in rotation")
      ->check(CLI::Range(1, 64))
      ->excludes(command->get_option("--points"))
      ->excludes(command->get_option("--indices"));
  command->add_option("--repeat", arguments->repeat, "Timed frames for each line")
      ->check(CLI::Range(1, 100000));
  command->add_flag("--graph", arguments->work.graph, "With --backend cuda: replay one CUDA graph a frame");
  command->add_option("--json", arguments->json, "Write all figures to this file");
  command->callback([arguments] { with_memory_named(arguments->work, [&] { run_bench(*arguments); }); });
}

}  // namespace voxgemm::tools
