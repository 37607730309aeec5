// Checks whose text is made only when they fail: a passing one costs a branch, so it may stand in a loop over
// weights or voxels. A check of a std::string, which was formatted before, does not compile where this header
// is included; tests/layering.cmake looks for it elsewhere.
#pragma once

#include <fmt/format.h>

#include <concepts>
#include <string>
#include <string_view>

#include "core/extents.h"
#include "voxgemm/error.h"

/// So that a shape can be an argument of a check, in the words of core/extents.h: axes_text() of one would be
/// called every time.
template <>
struct fmt::formatter<voxgemm::Dims> : fmt::formatter<std::string_view> {
  template <typename FormatContext>
  auto format(const voxgemm::Dims& dims, FormatContext& context) const {
    return fmt::formatter<std::string_view>::format(axes_text(dims), context);
  }
};

namespace voxgemm {

/// Throw Error(code, "CODE: TEXT") and Error(code, "CODE: layer 'LAYER': TEXT").
[[noreturn]] void throw_error(ErrorCode code, fmt::string_view format, fmt::format_args args);
[[noreturn]] void throw_layer_error(ErrorCode code, std::string_view layer, fmt::string_view format,
                                    fmt::format_args args);

/// Throws Error(code, the text) with the text of fmt::format(format, args...).
template <typename... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw_error(code, format, fmt::make_format_args(args...));
}
template <typename... Args>
[[noreturn]] void fail_layer(ErrorCode code, std::string_view layer, fmt::format_string<Args...> format,
                             Args&&... args) {
  throw_layer_error(code, layer, format, fmt::make_format_args(args...));
}

/// Likewise, unless `condition`. Arguments are evaluated before: an expensive one belongs behind an `if` and
/// into fail().
template <typename... Args>
void check(bool condition, ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) [[unlikely]]
    throw_error(code, format, fmt::make_format_args(args...));
}
template <typename... Args>
void check_layer(bool condition, ErrorCode code, std::string_view layer, fmt::format_string<Args...> format,
                 Args&&... args) {
  if (!condition) [[unlikely]]
    throw_layer_error(code, layer, format, fmt::make_format_args(args...));
}

template <std::same_as<std::string> Text>
void check(bool condition, ErrorCode code, const Text& made_text) = delete;

}  // namespace voxgemm
