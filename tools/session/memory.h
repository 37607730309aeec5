// Memory that runs out is told with the options that asked for it.
#pragma once

#include <fmt/format.h>

#include <new>
#include <string>

#include "tools/session/options.h"
#include "voxgemm/error.h"

namespace voxgemm::tools {

/// Runs `work`. Its kOutOfMemory or std::bad_alloc becomes kOutOfMemory with WorkOptions::memory_text()
/// behind it.
template <typename Work>
void with_memory_named(const WorkOptions& options, Work work) {
  std::string reason = "out of memory";
  try {
    return work();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kOutOfMemory) throw;
    reason = error.what();
  } catch (const std::bad_alloc&) {
  }
  throw Error(ErrorCode::kOutOfMemory, fmt::format("{}; asked for by {}", reason, options.memory_text()));
}

}  // namespace voxgemm::tools
