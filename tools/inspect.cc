// voxgemm inspect: what an engine is made of and why, without timing it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tools/commands.h"
#include "tools/io/points.h"
#include "tools/report/message.h"
#include "tools/report/table.h"
#include "tools/session/frames.h"
#include "tools/session/memory.h"
#include "tools/session/options.h"
#include "tools/session/session.h"
#include "tools/session/stages.h"
#include "tools/usage_error.h"
#include "voxgemm/engine.h"
#include "voxgemm/error.h"
#include "voxgemm/implicit_gemm.h"

namespace voxgemm::tools {
namespace {

struct Arguments {
  WorkOptions work;
  std::string compare;
  std::string compare_columns;
  std::string compare_dtype = "f32";
  std::string compare_format;
  bool kernels_only = false;
};

/// Plans a layer of 64 -> 64 channels with a forced row. Empty when that works, else the reason.
std::string plan_error(const WorkOptions& work, const std::string& name, DType dtype, bool non_negative) {
  ContextOptions options = work.context_options();
  options.kernels.force = name;
  ImplicitGemmDesc desc;
  desc.name = name;
  desc.kv = 27;
  desc.c_in = desc.c_out = 64;
  desc.in_dtype = desc.out_dtype = dtype;
  desc.input_non_negative = non_negative;
  const std::size_t count = 64 * 27 * 64;
  EpilogueParams epilogue;
  epilogue.scale = {1.0F};
  try {
    Context context(options);
    if (dtype == DType::kInt8) {
      const ImplicitGemm plan(context, desc, std::vector<std::int8_t>(count), epilogue);
    } else {
      const ImplicitGemm plan(context, desc, std::vector<float>(count), epilogue);
    }
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

/// "runs int8", "runs fp32", ..., or why the row cannot run here.
std::string verdict(const WorkOptions& work, const std::string& name) {
  const std::string reason = plan_error(work, name, DType::kInt8, false);
  if (reason.empty()) return "runs int8";
  if (plan_error(work, name, DType::kInt8, true).empty()) return "runs int8, input that is never negative";
  if (plan_error(work, name, DType::kFloat32, false).empty()) return "runs fp32";
  if (plan_error(work, name, DType::kFloat16, false).empty()) return "runs fp16";
  // "...: no kernel takes the problem (NAME: why)": the row's own words are enough here.
  const std::size_t own = reason.find('(' + name + ": ");
  return own == std::string::npos
             ? reason
             : reason.substr(own + name.size() + 3, reason.size() - own - name.size() - 4);
}

void print_kernels(const WorkOptions& work) {
  using enum Table::Align;
  Table table({{"implicit GEMM kernel", kLeft}, {"on this machine", kLeft}});
  for (const std::string& name : implicit_gemm_kernel_names()) {
    table.row({name, verdict(work, name)});
  }
  fmt::print("kernels of this build, best first\n{}\n", table.text());
}

void print_refusals(const Engine& engine) {
  using enum Table::Align;
  Table table({{"layer", kLeft}, {"chosen", kLeft}, {"refused", kLeft}, {"because", kLeft}});
  for (const StepInfo& step : engine.steps()) {
    bool first = true;
    for (const RefusedKernel& refused : step.refused) {
      table.row({first ? step.name : "", first ? step.kernel : "", refused.name, refused.reason});
      first = false;
    }
  }
  fmt::print("better rows that a layer refused\n{}\n", table.text());
}

void print_comparison(const std::vector<Stage>& one, const std::string& one_name,
                      const std::vector<Stage>& two, const std::string& two_name) {
  using enum Table::Align;
  Table table({{"map", kLeft},
               {"N"},
               {"pairs"},
               {"pairs/N"},
               {"N"},
               {"pairs"},
               {"pairs/N"},
               {"N ratio"},
               {"pairs ratio"}});
  for (std::size_t i = 0; i < one.size(); ++i) {
    std::vector<std::string> cells{one[i].name, grouped(one[i].n_out), grouped(one[i].pairs),
                                   fmt::format("{:.2f}", one[i].density())};
    if (i < two.size()) {
      for (const std::string& cell :
           {grouped(two[i].n_out), grouped(two[i].pairs), fmt::format("{:.2f}", two[i].density()),
            fmt::format("{:.2f}", static_cast<double>(one[i].n_out) / std::max(two[i].n_out, 1)),
            fmt::format("{:.2f}", static_cast<double>(one[i].pairs) /
                                      static_cast<double>(std::max<std::int64_t>(two[i].pairs, 1)))}) {
        cells.push_back(cell);
      }
    }
    table.row(cells);
  }
  fmt::print("voxels and pairs of each kernel map: {}{}{}\n{}\n", printable(one_name),
             two.empty() ? "" : " against ", printable(two_name), table.text());
}

/// Scales of 1 for every value: enough to build an engine that is looked at and never run.
ScaleTable unit_scales(Context& context, const Network& network) {
  ScaleTable table;
  const Engine engine = Engine::build(context, network, {}, {.precision = Precision::kFloat32});
  for (const StepInfo& step : engine.steps()) {
    if (!step.value.empty()) table.scale[step.value] = 1.0F;
  }
  return table;
}

void print_engine(const WorkOptions& work, Context& plain, const InputFrame& frame) {
  PreparedNetwork prepared = prepare_network(plain, work, {&frame, 1}, false);
  if (work.precision == "int8") prepared.scales = unit_scales(plain, prepared.network);
  ContextOptions chosen = work.context_options();
  chosen.kernels.force = work.kernel;
  Context context(chosen);
  const Engine engine =
      Engine::build(context, prepared.network, prepared.scales, {.precision = work.engine_precision()});
  fmt::print("{}\n", engine.describe());
  print_refusals(engine);
}

void run_inspect(const Arguments& arguments) {
  WorkOptions work = arguments.work;
  work.more_points = !arguments.compare.empty();
  work.check();
  if (arguments.compare == "-" && work.points == "-") {
    throw UsageError("--points and --compare are both standard input");
  }
  if (arguments.compare == "-" && arguments.compare_format.empty()) {
    throw UsageError(
        fmt::format("--compare - needs --compare-format: {}", fmt::join(points_formats(), ", ")));
  }
  fmt::print("machine  {}\n\n", Context(work.context_options()).describe());
  print_kernels(work);
  if (arguments.kernels_only) return;
  Context plain(ContextOptions{.threads = work.threads, .log = work.log});
  const InputFrame frame = load_frame(plain, work);
  const auto stages = [&](const InputFrame& f) {
    return backbone_stages(plain, f.frame, work.spatial_shape(), f.batch_size);
  };
  if (arguments.compare.empty()) {
    print_engine(work, plain, frame);
    return print_comparison(stages(frame), frame.source, {}, "");
  }
  WorkOptions other = work;
  other.indices.clear();
  other.features.clear();
  other.points = arguments.compare;
  other.columns = arguments.compare_columns;
  other.dtype = arguments.compare_dtype;
  other.points_format = arguments.compare_format;
  const InputFrame real = load_frame(plain, other);
  print_comparison(stages(frame), frame.source, stages(real), real.source);
}

}  // namespace

void add_inspect(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("inspect", "Show layers, kernels, refusals, kernel maps and memory");
  add_work_options(*command, arguments->work);
  command->add_option("--precision", arguments->work.precision, "int8 or fp32 (fp16 with --backend cuda)")
      ->check(CLI::IsMember({"int8", "fp32", "fp16"}));
  command->add_flag("--kernels", arguments->kernels_only, "Only list the kernels of this build");
  CLI::Option* compare = command->add_option("--compare", arguments->compare,
                                             "Second sweep: compare its voxels and pairs, stage by stage");
  command->add_option("--compare-columns", arguments->compare_columns, "Its columns")->needs(compare);
  command->add_option("--compare-dtype", arguments->compare_dtype, "Its values: f32 or f16")
      ->check(CLI::IsMember({"f32", "f16"}))
      ->needs(compare);
  command->add_option("--compare-format", arguments->compare_format, "What it is (default: by its extension)")
      ->check(CLI::IsMember(points_formats()))
      ->needs(compare);
  command->callback([arguments] { with_memory_named(arguments->work, [&] { run_inspect(*arguments); }); });
}

}  // namespace voxgemm::tools
