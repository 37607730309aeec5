#include "tools/report/message.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <set>
#include <vector>

namespace voxgemm::tools {
namespace {

/// Bytes of the UTF-8 character at the start of `text`, 0 when there is none; `code` is its number.
std::size_t utf8_character(std::string_view text, std::uint32_t& code) {
  const auto byte = [&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i]));
  };
  const std::uint32_t first = byte(0);
  const std::size_t length = first < 0x80   ? 1
                             : first < 0xC2 ? 0
                             : first < 0xE0 ? 2
                             : first < 0xF0 ? 3
                             : first < 0xF5 ? 4
                                            : 0;
  if (length == 0 || length > text.size()) return 0;
  code = length == 1 ? first : first & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) return 0;
    code = code << 6U | (byte(i) & 0x3FU);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  return overlong || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF) ? 0 : length;
}

bool is_control(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x200E || code == 0x200F ||
         (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069) || code == 0xFEFF;
}

std::string escaped(std::string_view bytes) {
  if (bytes == "\n") return "\\n";
  if (bytes == "\r") return "\\r";
  if (bytes == "\t") return "\\t";
  std::string out;
  for (const char byte : bytes) out += fmt::format("\\x{:02X}", static_cast<unsigned char>(byte));
  return out;
}

}  // namespace

std::string printable(std::string_view text, std::size_t limit) {
  std::string out;
  std::vector<std::size_t> starts;  // of the characters of `out`
  while (!text.empty()) {
    std::uint32_t code = 0;
    const std::size_t length = utf8_character(text, code);
    if (length > 0 && !is_control(code)) {
      starts.push_back(out.size());
      out += text.substr(0, length);
    } else {
      const std::string escape = escaped(text.substr(0, length > 0 ? length : 1));
      for (std::size_t i = 0; i < escape.size(); ++i) starts.push_back(out.size() + i);
      out += escape;
    }
    text.remove_prefix(length > 0 ? length : 1);
  }
  if (starts.size() <= limit) return out;
  constexpr std::string_view kCut = " ... ";
  const std::size_t kept = limit - kCut.size();
  const std::size_t tail = kept / 2;
  return out.substr(0, starts[kept - tail]) + std::string(kCut) + out.substr(starts[starts.size() - tail]);
}

void print_message(std::string_view text) {
  fmt::print(stderr, "{}\n", printable("voxgemm: " + std::string(text), kMessageCharacters));
}

LogSink warnings_once() {
  return [said = std::make_shared<std::set<std::string>>()](LogLevel level, std::string_view text) {
    if (level != LogLevel::kWarning && level != LogLevel::kError) return;
    if (said->emplace(text).second) print_message("warning: " + std::string(text));
  };
}

}  // namespace voxgemm::tools
