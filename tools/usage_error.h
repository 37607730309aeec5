// Errors of the command line itself, which end the program with exit code 2.
#pragma once

#include <string>

#include "voxgemm/error.h"

namespace voxgemm::tools {

/// An option whose value makes no sense, alone or beside another. The message names the option.
struct UsageError : Error {
  explicit UsageError(const std::string& message) : Error(ErrorCode::kInvalidArgument, message) {}
};

}  // namespace voxgemm::tools
