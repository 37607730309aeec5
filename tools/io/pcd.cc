// Point Cloud Data files: an ASCII header of "KEY values" lines up to DATA, then the points.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <sstream>
#include <utility>

#include "tools/io/fields.h"
#include "tools/io/text.h"

namespace voxgemm::tools {
namespace {

constexpr std::int64_t kMaxPoints = std::int64_t{1} << 31;

struct Header {
  std::vector<FileField> fields;
  std::string types;  // by field: F float, I signed, U unsigned
  std::int64_t points = -1;
  std::int64_t point_bytes = 0;
  std::string data;       // "ascii", "binary", "binary_compressed"
  std::size_t start = 0;  // first byte after the header
};

std::optional<Element> element_of(char type, std::int64_t size) {
  const auto by_size =
      [&](std::initializer_list<std::pair<int, Element>> elements) -> std::optional<Element> {
    for (const auto& [bytes, element] : elements) {
      if (bytes == size) return element;
    }
    return std::nullopt;
  };
  switch (type) {
    case 'F':
      return by_size({{4, Element::kF32}, {8, Element::kF64}});
    case 'I':
      return by_size({{1, Element::kI8}, {2, Element::kI16}, {4, Element::kI32}, {8, Element::kI64}});
    case 'U':
      return by_size({{1, Element::kU8}, {2, Element::kU16}, {4, Element::kU32}, {8, Element::kU64}});
    default:
      return std::nullopt;
  }
}

std::int64_t number(const std::filesystem::path& file, const std::string& key, const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) {
    fail_io(file, fmt::format("pcd header: '{} {}' is no whole number", key, text));
  }
  return value;
}

void apply_line(const std::filesystem::path& file, const std::string& key,
                const std::vector<std::string>& words, Header& header, std::int64_t& width,
                std::int64_t& height) {
  const auto per_field = [&] {
    if (words.size() != header.fields.size()) {
      fail_io(file, fmt::format("pcd header: {} has {} values for {} fields", key, words.size(),
                                header.fields.size()));
    }
  };
  if (key == "FIELDS") {
    for (const std::string& word : words) header.fields.push_back({.name = word, .size = 4});
    header.types.assign(header.fields.size(), 'F');
  } else if (key == "SIZE" || key == "COUNT") {
    per_field();
    for (std::size_t f = 0; f < words.size(); ++f) {
      const std::int64_t value = number(file, key, words[f]);
      if (value > 4096) fail_io(file, fmt::format("pcd header: {} {} is absurd", key, value));
      (key == "SIZE" ? header.fields[f].size : header.fields[f].count) = value;
    }
  } else if (key == "TYPE") {
    per_field();
    for (std::size_t f = 0; f < words.size(); ++f) header.types[f] = words[f][0];
  } else if (key == "WIDTH" || key == "HEIGHT" || key == "POINTS" || key == "DATA") {
    if (words.size() != 1)
      fail_io(file, fmt::format("pcd header: {} has {} values, not 1", key, words.size()));
    if (key == "WIDTH") width = number(file, key, words[0]);
    if (key == "HEIGHT") height = number(file, key, words[0]);
    if (key == "POINTS") header.points = number(file, key, words[0]);
    if (key == "DATA") header.data = words[0];
  }
}

void finish_header(const std::filesystem::path& file, Header& header, std::int64_t width,
                   std::int64_t height) {
  if (width > kMaxPoints || height > kMaxPoints) fail_io(file, "pcd header: absurd WIDTH or HEIGHT");
  const bool sized = width >= 0;  // some writers give POINTS alone
  if (header.points < 0) header.points = sized ? width * height : 0;
  if (header.points > kMaxPoints)
    fail_io(file, fmt::format("pcd header: {} points are absurd", header.points));
  if (sized && width * height != header.points) {
    fail_io(file,
            fmt::format("pcd header: WIDTH {} x HEIGHT {} is not POINTS {}", width, height, header.points));
  }
  for (std::size_t f = 0; f < header.fields.size(); ++f) {
    FileField& field = header.fields[f];
    field.element = element_of(header.types[f], field.size);
    if (!field.element) {
      fail_io(file,
              fmt::format("pcd field '{}': type {}{} is not known", field.name, header.types[f], field.size));
    }
    field.offset = header.point_bytes;
    header.point_bytes += field.size * field.count;
  }
}

Header parse_header(const std::filesystem::path& file, const std::string_view text) {
  Header header;
  std::int64_t width = -1;
  std::int64_t height = 1;
  while (header.data.empty()) {
    const std::size_t end = text.find('\n', header.start);
    if (end == std::string_view::npos || header.start > 65536)
      fail_io(file, "not a .pcd file (no DATA line)");
    std::istringstream line{std::string(text.substr(header.start, end - header.start))};
    header.start = end + 1;
    std::string key;
    if (!(line >> key) || key[0] == '#') continue;
    std::vector<std::string> words;
    for (std::string word; line >> word;) words.push_back(word);
    apply_line(file, key, words, header, width, height);
  }
  finish_header(file, header, width, height);
  return header;
}

/// LZF: control byte < 32 = that many + 1 literals; else a back reference of (control >> 5) + 2 bytes, 7
/// meaning that the length goes on in the next byte.
std::optional<std::vector<std::byte>> lzf_decompress(const std::byte* in, std::size_t size,
                                                     std::size_t out_size) {
  std::vector<std::byte> out;
  out.reserve(out_size);
  std::size_t at = 0;
  while (at < size) {
    const auto control = std::to_integer<std::size_t>(in[at++]);
    if (control < 32) {
      const std::size_t count = control + 1;
      if (count > size - at || count > out_size - out.size()) return std::nullopt;
      out.insert(out.end(), in + at, in + at + count);
      at += count;
      continue;
    }
    std::size_t length = control >> 5U;
    if (length == 7) {
      if (at >= size) return std::nullopt;
      length += std::to_integer<std::size_t>(in[at++]);
    }
    length += 2;
    if (at >= size) return std::nullopt;
    const std::size_t back = ((control & 31U) << 8U) + std::to_integer<std::size_t>(in[at++]) + 1;
    if (back > out.size() || length > out_size - out.size()) return std::nullopt;
    for (std::size_t i = 0; i < length; ++i) out.push_back(out[out.size() - back]);
  }
  if (out.size() != out_size) return std::nullopt;
  return out;
}

/// One line is one point: read word by word, a lost value would shift all points after it.
PointCloud read_ascii(const std::filesystem::path& file, const Header& header, std::string_view text) {
  const std::vector<std::size_t> chosen = column_fields(file, header.fields);
  std::vector<char> wanted;  // by value of a row
  for (std::size_t f = 0; f < header.fields.size(); ++f) {
    const bool keep = std::find(chosen.begin(), chosen.end(), f) != chosen.end();
    wanted.insert(wanted.end(), static_cast<std::size_t>(header.fields[f].count), keep ? 1 : 0);
  }
  std::vector<double> values;
  std::int64_t row = 0;
  while (!text.empty()) {
    const std::vector<std::string_view> words = words_of(take_line(text));
    if (words.empty()) continue;
    if (row == header.points) {
      fail_io(file, fmt::format("surplus data after the {} points of the header: '{}'", row, words[0]));
    }
    if (words.size() != wanted.size()) {
      fail_io(file, fmt::format("point {} of {}: {} values in the row, {} in the fields", row, header.points,
                                words.size(), wanted.size()));
    }
    for (std::size_t w = 0; w < words.size(); ++w) {
      if (wanted[w] == 0) continue;
      const std::optional<double> value = decimal(words[w]);
      if (!value) fail_io(file, fmt::format("point {}: '{}' is no number", row, words[w]));
      values.push_back(*value);
    }
    ++row;
  }
  if (row < header.points) {
    fail_io(file, fmt::format("truncated: {} rows for {} points", row, header.points));
  }
  return cloud_of_fields(header.fields, chosen, std::move(values));
}

/// Zero bytes may follow the points: older writers fill pages with them.
void refuse_surplus(const std::filesystem::path& file, const std::byte* data, std::size_t size,
                    std::int64_t points) {
  const bool blank = std::all_of(data, data + size, [](std::byte b) { return b == std::byte{0}; });
  if (!blank) {
    fail_io(file, fmt::format("surplus data: {} bytes after the {} points of the header", size, points));
  }
}

/// binary: points one after another; binary_compressed: fields one after another, LZF.
PointCloud read_binary(const std::filesystem::path& file, const Header& header, const std::byte* data,
                       std::size_t size) {
  const auto wanted = static_cast<std::size_t>(header.points * header.point_bytes);
  std::vector<std::byte> unpacked;
  const bool by_field = header.data == "binary_compressed";
  if (by_field) {
    std::array<std::uint32_t, 2> sizes{};  // compressed, uncompressed
    if (size < 8) fail_io(file, "truncated before the compressed data");
    std::memcpy(sizes.data(), data, 8);
    if (sizes[1] != wanted || sizes[0] > size - 8) {
      fail_io(file, fmt::format("compressed data of {} bytes for {} bytes of points does not fit the file",
                                sizes[0], sizes[1]));
    }
    auto plain = lzf_decompress(data + 8, sizes[0], wanted);
    if (!plain) fail_io(file, "damaged compressed data");
    unpacked = std::move(*plain);
    refuse_surplus(file, data + 8 + sizes[0], size - 8 - sizes[0], header.points);
    data = unpacked.data();
  } else {
    if (size < wanted) {
      fail_io(file, fmt::format("truncated: {} points of {} bytes need {} bytes, the file has {}",
                                header.points, header.point_bytes, wanted, size));
    }
    refuse_surplus(file, data + wanted, size - wanted, header.points);
  }
  return read_fields(file, header.fields, {data, header.points, header.point_bytes, by_field});
}

}  // namespace

PointCloud read_pcd(const std::filesystem::path& file, std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const Header header = parse_header(file, text);
  if (header.data == "ascii") return read_ascii(file, header, text.substr(header.start));
  if (header.data == "binary" || header.data == "binary_compressed") {
    return read_binary(file, header, bytes.data() + header.start, bytes.size() - header.start);
  }
  fail_io(file, fmt::format("DATA {}: ascii, binary or binary_compressed", header.data));
}

}  // namespace voxgemm::tools
