// The subcommands of `voxgemm`. Each adds its options and, when it is chosen, runs when parsing is over.
#pragma once

#include <CLI/CLI.hpp>

namespace voxgemm::tools {

void add_simulate(CLI::App& app);
void add_run(CLI::App& app);
void add_bench(CLI::App& app);
void add_inspect(CLI::App& app);

}  // namespace voxgemm::tools
