// NumPy's .npy: magic, version, header length, a Python dict literal, data.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include "tools/io/array.h"
#include "tools/io/fields.h"
#include "tools/io/output.h"

namespace voxgemm::tools {
namespace {

constexpr std::int64_t kMaxItemBytes = std::int64_t{1} << 20U;

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

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) + 1 - first);
}

/// What stands between the brackets of a Python tuple, list or dict, cut at its commas and colons. Nothing
/// when brackets or quotes do not close.
std::optional<std::vector<std::string_view>> items_of(std::string_view text) {
  text = trimmed(text);
  if (text.empty() || std::string_view("([{").find(text[0]) == std::string_view::npos) return std::nullopt;
  std::vector<std::string_view> items;
  int depth = 0;
  char quote = 0;
  std::size_t start = 1;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0) {
      if (c == '\\') ++i;
      if (c == quote) quote = 0;
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (std::string_view("([{").find(c) != std::string_view::npos) {
      ++depth;
    } else if (const bool close = std::string_view(")]}").find(c) != std::string_view::npos;
               (close && --depth == 0) || (depth == 1 && (c == ',' || c == ':'))) {
      const std::string_view item = trimmed(text.substr(start, i - start));
      if (!item.empty() || !close) items.push_back(item);
      start = i + 1;
      if (close) return i + 1 == text.size() ? std::optional(items) : std::nullopt;
    }
  }
  return std::nullopt;
}

/// 'text' or "text" without its quotes.
std::optional<std::string_view> unquoted(std::string_view text) {
  const bool quoted = text.size() >= 2 && (text[0] == '\'' || text[0] == '"') && text.back() == text[0];
  if (!quoted) return std::nullopt;
  return text.substr(1, text.size() - 2);
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  const std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (!rest.empty() && rest != "L") return std::nullopt;  // Python 2 wrote (2L, 3L)
  return value;
}

/// One type string, e.g. "<f4". Text and void, which structured data may hold, have a size and no element.
FileField parse_type(const std::filesystem::path& file, std::string_view text) {
  FileField field;
  if (text.size() < 2) fail_io(file, "npy header: unreadable 'descr'");
  const bool ordered = std::string_view("<>|=").find(text[0]) != std::string_view::npos;
  const std::string_view code = ordered ? text.substr(1) : text;
  for (const auto& [name, element] : kTypes) {
    if (name == code) field.element = element;
  }
  if (field.element) {
    field.size = static_cast<std::int64_t>(element_bytes(*field.element));
    if (text[0] == '>' && field.size > 1) fail_io(file, "big-endian npy data is not supported");
    return field;
  }
  const std::optional<std::int64_t> size = whole_number(code.substr(std::min<std::size_t>(1, code.size())));
  const bool bytes = !code.empty() && std::string_view("VSaU").find(code[0]) != std::string_view::npos;
  if (!bytes || !size || *size < 0 || *size > kMaxItemBytes) {
    fail_io(file, fmt::format("npy element type '{}' is not supported", text));
  }
  field.size = code[0] == 'U' ? 4 * *size : *size;
  return field;
}

std::vector<std::int64_t> parse_shape(const std::filesystem::path& file, std::string_view text) {
  const auto extents = items_of(text);
  std::vector<std::int64_t> shape;
  bool readable = extents && text[0] == '(' && extents->size() <= 32;
  for (std::size_t a = 0; readable && a < extents->size(); ++a) {
    const std::optional<std::int64_t> extent = whole_number((*extents)[a]);
    readable = extent.has_value();
    if (readable) shape.push_back(*extent);
  }
  if (!readable) fail_io(file, "npy header: unreadable 'shape'");
  return shape;
}

/// descr of structured data: [('x', '<f4'), ('rgb', '|u1', (3,)), ...]; a name may be ('title', 'name').
std::vector<FileField> parse_fields(const std::filesystem::path& file, std::string_view descr) {
  const auto entries = items_of(descr);
  if (!entries || descr[0] != '[') fail_io(file, "npy header: unreadable 'descr'");
  std::vector<FileField> fields;
  std::int64_t offset = 0;
  for (const std::string_view entry : *entries) {
    const auto parts = items_of(entry);
    if (!parts || parts->size() < 2 || parts->size() > 3) fail_io(file, "npy header: unreadable 'descr'");
    const auto title = items_of((*parts)[0]);
    const auto name = unquoted(title && title->size() == 2 ? (*title)[1] : (*parts)[0]);
    const auto type = unquoted((*parts)[1]);
    if (!name) fail_io(file, "npy header: unreadable 'descr'");
    if (!type) fail_io(file, fmt::format("npy field '{}' is structured itself: not supported", *name));
    FileField field = parse_type(file, *type);
    field.name = *name;
    field.offset = offset;
    if (parts->size() == 3) {
      for (const std::int64_t extent : parse_shape(file, (*parts)[2])) {
        if (extent < 0 || extent > kMaxItemBytes) fail_io(file, "npy header: unreadable 'descr'");
        field.count = std::min(field.count * extent, kMaxItemBytes);
      }
    }
    offset += field.size * field.count;
    if (offset > kMaxItemBytes) fail_io(file, "npy header: absurdly large elements");
    fields.push_back(std::move(field));
  }
  return fields;
}

std::uint32_t little_endian(const std::vector<std::byte>& bytes, std::size_t at, std::size_t count) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value |= std::to_integer<std::uint32_t>(bytes[at + i]) << (8 * i);
  return value;
}

/// Elements whose first axis runs fastest, put so that the last axis does.
std::vector<std::byte> c_order(const std::vector<std::byte>& fortran, const std::vector<std::int64_t>& shape,
                               std::size_t item) {
  if (item == 0) return fortran;
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

NpyFile parse_npy(const std::filesystem::path& file, std::vector<std::byte> bytes) {
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
  const auto header = items_of({reinterpret_cast<const char*>(bytes.data()) + start, length});
  if (!header) fail_io(file, "npy header: unreadable");
  std::string_view descr;
  std::string_view order;
  std::string_view shape;
  for (std::size_t i = 0; i + 1 < header->size(); i += 2) {
    const std::string_view key = unquoted((*header)[i]).value_or("");
    if (key == "descr") descr = (*header)[i + 1];
    if (key == "fortran_order") order = (*header)[i + 1];
    if (key == "shape") shape = (*header)[i + 1];
  }
  if (descr.empty() || order.empty() || shape.empty())
    fail_io(file, "npy header lacks 'descr', 'fortran_order' or 'shape'");
  if (order != "True" && order != "False") fail_io(file, "npy header: unreadable 'fortran_order'");
  NpyFile npy;
  npy.shape = parse_shape(file, shape);
  if (const auto type = unquoted(descr)) {
    npy.fields.push_back(parse_type(file, *type));
    if (!npy.fields[0].element) fail_io(file, fmt::format("npy element type '{}' is not supported", *type));
  } else {
    npy.structured = true;
    npy.fields = parse_fields(file, descr);
  }
  for (const FileField& field : npy.fields) npy.item_bytes += field.size * field.count;
  const auto item = static_cast<std::size_t>(npy.item_bytes);
  checked_size(file, npy.shape, item, bytes.size() - start - length);
  const bool transposed = order == "True" && npy.shape.size() > 1;
  bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(start + length));
  npy.bytes = transposed ? c_order(bytes, npy.shape, item) : std::move(bytes);
  return npy;
}

Array read_npy(const std::filesystem::path& file) {
  NpyFile npy = parse_npy(file, read_file(file));
  if (npy.structured) fail_io(file, "structured npy data: an array of one type is expected");
  return {*npy.fields[0].element, std::move(npy.shape), std::move(npy.bytes)};
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
