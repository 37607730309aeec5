// A status in the words of the network: layers instead of numbers of steps.
#include <fmt/format.h>

#include "voxgemm/engine.h"

namespace voxgemm {

std::string to_string(const Status& status, std::span<const StepInfo> steps) {
  if (status.ok() || status.step < 0 || static_cast<std::size_t>(status.step) >= steps.size())
    return to_string(status);
  const StepInfo& step = steps[static_cast<std::size_t>(status.step)];
  Status rest = status;
  rest.step = -1;
  if (step.kind != "pairs") return fmt::format("layer '{}': {}", step.name, to_string(rest));
  const bool coordinate = status.code == ErrorCode::kOutOfRange || status.code == ErrorCode::kDuplicate;
  return fmt::format("{}: {}", coordinate ? "the input" : "the kernel maps", to_string(rest));
}

void check(const Status& status, std::string_view what, std::span<const StepInfo> steps) {
  if (!status.ok()) throw Error(status.code, fmt::format("{}: {}", what, to_string(status, steps)));
}

}  // namespace voxgemm
