#include "voxgemm/error.h"

#include <fmt/format.h>

#include "core/check.h"

namespace voxgemm {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::kOk:
      return "ok";
    case ErrorCode::kInvalidArgument:
      return "invalid argument";
    case ErrorCode::kShape:
      return "shape";
    case ErrorCode::kDType:
      return "dtype";
    case ErrorCode::kDuplicate:
      return "duplicate coordinate";
    case ErrorCode::kOutOfRange:
      return "coordinate out of range";
    case ErrorCode::kCapacity:
      return "capacity exceeded";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kNotFound:
      return "not found";
    case ErrorCode::kIo:
      return "input/output";
    case ErrorCode::kOutOfMemory:
      return "out of memory";
    case ErrorCode::kDevice:
      return "device";
  }
  return "?";
}

std::string to_string(const Status& status) {
  if (status.ok()) return "ok";
  std::string text(to_string(status.code));
  if (status.what != nullptr) text += fmt::format(": {}", status.what);
  if (status.code == ErrorCode::kDuplicate || status.code == ErrorCode::kOutOfRange) {
    text += fmt::format(": row {}", status.value);
    if (status.limit != 0) text += fmt::format(" of {}", status.limit);
  } else if (status.code == ErrorCode::kDType) {
    text += fmt::format(": {}", to_string(static_cast<DType>(status.value)));
  } else if (status.what == nullptr || status.value != 0 || status.limit != 0) {
    text += fmt::format(": value {}", status.value);
    if (status.limit != 0 || status.code == ErrorCode::kCapacity)
      text += fmt::format(", limit {}", status.limit);
  }
  if (status.step >= 0) text += fmt::format(" (step {})", status.step);
  return text;
}

void throw_error(ErrorCode code, fmt::string_view format, fmt::format_args args) {
  throw Error(code, fmt::format("{}: {}", to_string(code), fmt::vformat(format, args)));
}

void throw_layer_error(ErrorCode code, std::string_view layer, fmt::string_view format,
                       fmt::format_args args) {
  throw Error(code, fmt::format("{}: layer '{}': {}", to_string(code), layer, fmt::vformat(format, args)));
}

void check(bool condition, ErrorCode code, std::string_view message) {
  if (!condition) throw Error(code, fmt::format("{}: {}", to_string(code), message));
}

void check(const Status& status, std::string_view what) {
  if (!status.ok()) throw Error(status.code, fmt::format("{}: {}", what, to_string(status)));
}

}  // namespace voxgemm
