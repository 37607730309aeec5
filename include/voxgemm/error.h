// Errors: `Error` is thrown while something is planned or built; `Status` is returned by `run`.
#pragma once

#include <cstdint>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>

#include "voxgemm/types.h"

namespace voxgemm {

enum class ErrorCode : std::uint8_t {
  kOk,
  kInvalidArgument,  ///< a value outside its documented range
  kShape,            ///< operands whose extents disagree
  kDType,            ///< an element type that the operator does not take
  kDuplicate,        ///< two rows with the same coordinate
  kOutOfRange,       ///< a coordinate outside batch or spatial shape
  kCapacity,         ///< more rows produced than the recorded capacity holds
  kUnsupported,      ///< no kernel of this build takes the problem on this machine
  kNotFound,         ///< a name, file or layer that does not exist
  kIo,               ///< a file that cannot be read, written or parsed
  kOutOfMemory,
  kDevice,  ///< the CUDA driver or runtime reported an error
};

VOXGEMM_API std::string_view to_string(ErrorCode code);

/// Thrown by everything that plans, builds, loads or validates; never by `run` or `enqueue`.
class VOXGEMM_API Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  [[nodiscard]] ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

/// Result of the hot path: trivially copyable, no allocation. `value` and `limit` carry the
/// offending number and its bound (of kDuplicate and kOutOfRange the row and the number of rows, of kDType
/// the DType), `step` the engine step (-1 outside an engine; Engine::steps() has its name), `what` the
/// operand meant: a string literal, or null.
struct [[nodiscard]] Status {
  ErrorCode code = ErrorCode::kOk;
  std::int32_t step = -1;
  std::int64_t value = 0;
  std::int64_t limit = 0;
  const char* what = nullptr;

  [[nodiscard]] constexpr bool ok() const noexcept { return code == ErrorCode::kOk; }
};

/// "capacity exceeded: value 131072, limit 120000 (step 7)", "shape: stride of the input: value 3, limit 4"
VOXGEMM_API std::string to_string(const Status& status);

/// Throws Error(code, message) unless `condition`. The message names the value and the limit.
VOXGEMM_API void check(bool condition, ErrorCode code, std::string_view message);

/// Throws Error when `status` is not ok, prefixed by `what`.
VOXGEMM_API void check(const Status& status, std::string_view what);

}  // namespace voxgemm
