// NumPy's .npy: magic, version, header length, a Python dict literal, data.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include "tools/io/array.h"
#include "tools/io/output.h"

namespace voxgemm::tools {
namespace {

constexpr std::array<std::pair<std::string_view, Element>, 12> kTypes{{{"i1", Element::kI8},
                                                                       {"u1", Element::kU8},
                                                                       {"b1", Element::kU8},
                                                                       {"i2", Element::kI16},
                                                                       {"u2", Element::kU16},
                                                                       {"i4", Element::kI32},
                                                                       {"u4", Element::kU32},
                                                                       {"i8", Element::kI64},
                                                                       {"u8", Element::kU64},
                                                                       {"f2", Element::kF16},
                                                                       {"f4", Element::kF32},
                                                                       {"f8", Element::kF64}}};

/// Text after "'key':", blanks skipped; nothing when the key is absent.
std::optional<std::string_view> field(std::string_view header, std::string_view key) {
  for (const char quote : {'\'', '"'}) {
    const std::string name = fmt::format("{}{}{}", quote, key, quote);
    const std::size_t at = header.find(name);
    if (at == std::string_view::npos) continue;
    std::string_view rest = header.substr(at + name.size());
    const std::size_t value = rest.find_first_not_of(" :");
    if (value == std::string_view::npos) return std::nullopt;
    return rest.substr(value);
  }
  return std::nullopt;
}

Element parse_descr(const std::filesystem::path& file, std::string_view text) {
  if (text.size() < 5 || (text[0] != '\'' && text[0] != '"')) fail_io(file, "npy header: unreadable 'descr'");
  const char order = text[1];
  const std::string_view code = text.substr(2, 2);
  if (order == '>') fail_io(file, "big-endian npy data is not supported");
  if (order != '<' && order != '|' && order != '=') fail_io(file, "npy header: unreadable 'descr'");
  for (const auto& [name, element] : kTypes) {
    if (name == code && text[4] == text[0]) return element;
  }
  fail_io(file,
          fmt::format("npy element type '{}' is not supported", text.substr(1, text.find(text[0], 1) - 1)));
}

std::vector<std::int64_t> parse_shape(const std::filesystem::path& file, std::string_view text) {
  const std::size_t close = text.find(')');
  if (text.empty() || text[0] != '(' || close == std::string_view::npos) {
    fail_io(file, "npy header: unreadable 'shape'");
  }
  std::vector<std::int64_t> shape;
  const char* at = text.data() + 1;
  const char* const end = text.data() + close;
  for (;;) {
    while (at != end && (*at == ' ' || *at == ',')) ++at;
    if (at == end) return shape;
    std::int64_t extent = 0;
    const auto [next, error] = std::from_chars(at, end, extent);
    if (error != std::errc{} || shape.size() == 32) fail_io(file, "npy header: unreadable 'shape'");
    shape.push_back(extent);
    at = next;
  }
}

std::uint32_t little_endian(const std::vector<std::byte>& bytes, std::size_t at, std::size_t count) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value |= std::to_integer<std::uint32_t>(bytes[at + i]) << (8 * i);
  return value;
}

/// Elements whose first axis runs fastest, put so that the last axis does.
std::vector<std::byte> c_order(const std::vector<std::byte>& fortran, const std::vector<std::int64_t>& shape,
                               std::size_t item) {
  std::vector<std::byte> out(fortran.size());
  std::vector<std::int64_t> index(shape.size(), 0);
  for (std::size_t to = 0; to < out.size(); to += item) {
    std::size_t from = 0;
    for (std::size_t a = shape.size(); a-- > 0;) {
      from = from * static_cast<std::size_t>(shape[a]) + static_cast<std::size_t>(index[a]);
    }
    std::memcpy(out.data() + to, fortran.data() + from * item, item);
    for (std::size_t a = shape.size(); a-- > 0;) {
      if (++index[a] < shape[a]) break;
      index[a] = 0;
    }
  }
  return out;
}

}  // namespace

Array read_npy(const std::filesystem::path& file) {
  std::vector<std::byte> bytes = read_file(file);
  if (bytes.size() < 10 || std::memcmp(bytes.data(), "\x93NUMPY", 6) != 0) {
    fail_io(file, "not a .npy file (the first bytes are not \\x93NUMPY)");
  }
  const auto version = std::to_integer<int>(bytes[6]);
  if (version < 1 || version > 3) fail_io(file, fmt::format("npy format {} is not known", version));
  const std::size_t length_bytes = version == 1 ? 2 : 4;
  const std::size_t start = 8 + length_bytes;
  if (bytes.size() < start) fail_io(file, "truncated in the npy header");
  const std::size_t length = little_endian(bytes, 8, length_bytes);
  if (length > bytes.size() - start) {
    fail_io(file, fmt::format("truncated: the npy header is {} bytes long, the file ends after {}", length,
                              bytes.size() - start));
  }
  const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + start, length);
  const auto descr = field(header, "descr");
  const auto order = field(header, "fortran_order");
  const auto shape = field(header, "shape");
  if (!descr || !order || !shape) fail_io(file, "npy header lacks 'descr', 'fortran_order' or 'shape'");
  const bool fortran = order->starts_with("True");
  if (!fortran && !order->starts_with("False")) fail_io(file, "npy header: unreadable 'fortran_order'");
  Array array;
  array.element = parse_descr(file, *descr);
  array.shape = parse_shape(file, *shape);
  const std::size_t data = start + length;
  checked_size(file, array.shape, element_bytes(array.element), bytes.size() - data);
  bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(data));
  array.bytes = fortran ? c_order(bytes, array.shape, element_bytes(array.element)) : std::move(bytes);
  return array;
}

void write_npy(const std::filesystem::path& file, const Array& array) {
  std::string_view code;
  for (const auto& [name, element] : kTypes) {
    if (element == array.element && name != "b1") code = name;
  }
  const char order = element_bytes(array.element) == 1 ? '|' : '<';
  std::string header = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}{}), }}", order,
                                   code, fmt::join(array.shape, ", "), array.shape.size() == 1 ? "," : "");
  header.append(63 - (10 + header.size()) % 64, ' ');  // data starts at a multiple of 64
  header.push_back('\n');
  std::string out("\x93NUMPY\x01\x00", 8);
  out.push_back(static_cast<char>(header.size() & 0xFFU));
  out.push_back(static_cast<char>(header.size() >> 8U));
  out += header;
  out.append(reinterpret_cast<const char*>(array.bytes.data()), array.bytes.size());
  write_file(file, out.data(), out.size());
}

}  // namespace voxgemm::tools
