// voxgemm: simulate, run, bench and inspect int8 sparse-convolution backbones on LiDAR sweeps.
#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <system_error>

#include "tools/commands.h"
#include "tools/report/message.h"
#include "tools/usage_error.h"
#include "voxgemm/error.h"
#include "voxgemm/version.h"

using voxgemm::tools::print_message;

namespace {

/// A value that is empty is no value: taken for an option left out, it would silently simulate a sweep or
/// write nothing.
void refuse_empty_values(CLI::App& app) {
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) {
    for (CLI::Option* option : command->get_options()) {
      if (option->get_items_expected_max() == 0) continue;  // a flag
      option->check(CLI::Validator(
          [](const std::string& value) {
            return value.empty() ? std::string("the value is empty") : std::string();
          },
          "", "value"));
    }
  }
}

/// Exit code of what the command line asks for.
int run_program(int argc, char** argv) {
  CLI::App app{"voxgemm: int8 sparse convolution for point clouds"};
  app.require_subcommand(1);
  app.set_version_flag("--version", fmt::format("voxgemm {}", voxgemm::version()));
  app.option_defaults()->always_capture_default();
  app.get_formatter()->column_width(34);
  voxgemm::tools::add_simulate(app);
  voxgemm::tools::add_run(app);
  voxgemm::tools::add_bench(app);
  voxgemm::tools::add_inspect(app);
  refuse_empty_values(app);
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    if (app.get_subcommands().empty() && argc > 1) {
      print_message(fmt::format("'{}' is no subcommand (see voxgemm --help)", argv[1]));
      return 2;
    }
    print_message(
        fmt::format("{} (see voxgemm {}--help)", error.what(),
                    app.get_subcommands().empty() ? "" : app.get_subcommands()[0]->get_name() + " "));
    return 2;
  } catch (const voxgemm::tools::UsageError& error) {
    print_message(error.what());
    return 2;
  } catch (const voxgemm::Error& error) {
    print_message(error.what());
  } catch (const std::bad_alloc&) {
    print_message("out of memory");
  } catch (const std::exception& error) {
    print_message(error.what());
  }
  return 1;
}

/// Output waits in memory until the end: a full disk may show only when it is flushed.
bool standard_output_arrived() {
  errno = 0;
  const bool flushed = std::fflush(stdout) == 0;
  if (flushed && std::ferror(stdout) == 0) return true;
  const std::string reason = errno != 0 ? ": " + std::generic_category().message(errno) : "";
  print_message("standard output is lost" + reason);
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  const int code = run_program(argc, argv);
  if (code != 0) return code;
  return standard_output_arrived() ? 0 : 1;
}
