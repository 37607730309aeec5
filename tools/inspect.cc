// voxgemm inspect: what an engine is made of and why, without timing it.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tools/commands.h"
#include "tools/report/table.h"
#include "tools/work/frames.h"
#include "tools/work/options.h"
#include "tools/work/session.h"
#include "voxgemm/error.h"
#include "voxgemm/implicit_gemm.h"

namespace voxgemm::tools {
namespace {

struct Arguments {
  WorkOptions work;
  std::string compare;
  std::string compare_columns;
  std::string compare_dtype = "f32";
  bool kernels_only = false;
};

/// Empty when a row can run here, else the reason.
std::string why_not(const WorkOptions& work, const std::string& name) {
  ContextOptions options = work.context_options();
  options.kernels.force = name;
  std::string reason;
  for (const DType dtype : {DType::kInt8, DType::kFloat32, DType::kFloat16}) {
    try {
      Context context(options);
      ImplicitGemmDesc desc;
      desc.name = "probe";
      desc.kv = 27;
      desc.c_in = desc.c_out = 64;
      desc.in_dtype = dtype;
      desc.out_dtype = dtype;
      desc.max_rows = 100000;
      const std::size_t count = 64 * 27 * 64;
      EpilogueParams epilogue;
      epilogue.scale = {1.0F};
      if (dtype == DType::kInt8) {
        const ImplicitGemm plan(context, desc, std::vector<std::int8_t>(count), epilogue);
      } else {
        const ImplicitGemm plan(context, desc, std::vector<float>(count), epilogue);
      }
      return {};
    } catch (const Error& error) {
      if (reason.empty()) reason = error.what();
    }
  }
  return reason;
}

void print_kernels(const WorkOptions& work) {
  using enum Table::Align;
  Table table({{"implicit GEMM kernel", kLeft}, {"on this machine", kLeft}});
  for (const std::string& name : implicit_gemm_kernel_names()) {
    const std::string reason = why_not(work, name);
    table.row({name, reason.empty() ? "runs" : reason});
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

/// Rows and pairs of every kernel map of one frame.
struct Stage {
  std::string name;
  std::int32_t n_out = 0;
  std::int64_t pairs = 0;
};

std::vector<Stage> stages_of(Context& context, const WorkOptions& work, const InputFrame& frame) {
  WorkOptions plain = work;
  plain.precision = "fp32";
  const PreparedNetwork prepared = prepare_network(context, plain, {&frame, 1}, false);
  Session session(context, prepared, plain, Precision::kFloat32, true);
  std::vector<StepProfile> profile(session.engine().steps().size());
  session.run(frame, profile);
  std::vector<Stage> stages;
  for (std::size_t s = 0; s < profile.size(); ++s) {
    const StepInfo& info = session.engine().steps()[s];
    if (info.pairs.empty() || info.kv == 0) continue;
    if (std::any_of(stages.begin(), stages.end(),
                    [&](const Stage& stage) { return stage.name == info.pairs; }))
      continue;
    stages.push_back({info.pairs, profile[s].n_out, profile[s].pairs});
  }
  return stages;
}

void print_comparison(const std::vector<Stage>& one, const std::string& one_name,
                      const std::vector<Stage>& two, const std::string& two_name) {
  using enum Table::Align;
  Table table({{"kernel map", kLeft},
               {"N"},
               {"pairs"},
               {"pairs/N"},
               {"N"},
               {"pairs"},
               {"pairs/N"},
               {"N ratio"},
               {"pairs ratio"}});
  const auto density = [](const Stage& s) {
    return s.n_out > 0 ? static_cast<double>(s.pairs) / s.n_out : 0.0;
  };
  for (std::size_t i = 0; i < one.size(); ++i) {
    std::vector<std::string> cells{one[i].name, grouped(one[i].n_out), grouped(one[i].pairs),
                                   fmt::format("{:.2f}", density(one[i]))};
    if (i < two.size()) {
      for (const std::string& cell :
           {grouped(two[i].n_out), grouped(two[i].pairs), fmt::format("{:.2f}", density(two[i])),
            fmt::format("{:.2f}", static_cast<double>(one[i].n_out) / std::max(two[i].n_out, 1)),
            fmt::format("{:.2f}", static_cast<double>(one[i].pairs) /
                                      static_cast<double>(std::max<std::int64_t>(two[i].pairs, 1)))}) {
        cells.push_back(cell);
      }
    }
    table.row(cells);
  }
  fmt::print("voxels and pairs of each kernel map: {}{}{}\n{}\n", one_name, two.empty() ? "" : " against ",
             two_name, table.text());
}

void run_inspect(const Arguments& arguments) {
  const WorkOptions& work = arguments.work;
  ContextOptions chosen = work.context_options();
  Context context(chosen);
  fmt::print("machine  {}\n\n", context.describe());
  print_kernels(work);
  if (arguments.kernels_only) return;
  Context plain(ContextOptions{.threads = work.threads});
  const InputFrame frame = load_frame(plain, work);
  const PreparedNetwork prepared = prepare_network(plain, work, {&frame, 1}, work.precision == "int8");
  chosen.kernels.force = work.kernel;
  Context forced(chosen);
  const Engine engine =
      Engine::build(forced, prepared.network, prepared.scales, {.precision = work.engine_precision()});
  fmt::print("{}\n", engine.describe());
  print_refusals(engine);
  const std::vector<Stage> own = stages_of(plain, work, frame);
  if (arguments.compare.empty()) return print_comparison(own, frame.source, {}, "");
  WorkOptions other = work;
  other.indices.clear();
  other.features.clear();
  other.points = arguments.compare;
  other.columns = arguments.compare_columns;
  other.dtype = arguments.compare_dtype;
  const InputFrame real = load_frame(plain, other);
  print_comparison(own, frame.source, stages_of(plain, other, real), real.source);
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
  command->callback([arguments] { run_inspect(*arguments); });
}

}  // namespace voxgemm::tools
