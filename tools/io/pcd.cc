// Point Cloud Data files: an ASCII header of "KEY values" lines up to DATA, then the points.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <sstream>
#include <utility>

#include "tools/io/points.h"

namespace voxgemm::tools {
namespace {

constexpr std::int64_t kMaxPoints = std::int64_t{1} << 31;

struct Field {
  std::string name;
  char type = 'F';          // F float, I signed, U unsigned
  std::int64_t size = 4;    // bytes of one value
  std::int64_t count = 1;   // values a point
  std::int64_t offset = 0;  // bytes from the start of a point
  char column = '_';
};

struct Header {
  std::vector<Field> fields;
  std::int64_t points = -1;
  std::int64_t point_bytes = 0;
  std::string data;       // "ascii", "binary", "binary_compressed"
  std::size_t start = 0;  // first byte after the header
};

char column_of(std::string name) {
  name = lower_case(std::move(name));
  constexpr std::array<std::pair<std::string_view, char>, 13> kNames{{{"x", 'x'},
                                                                      {"y", 'y'},
                                                                      {"z", 'z'},
                                                                      {"intensity", 'i'},
                                                                      {"i", 'i'},
                                                                      {"reflectivity", 'i'},
                                                                      {"t", 't'},
                                                                      {"dt", 't'},
                                                                      {"time", 't'},
                                                                      {"timestamp", 't'},
                                                                      {"ring", 'r'},
                                                                      {"r", 'r'},
                                                                      {"laser", 'r'}}};
  for (const auto& [known, column] : kNames) {
    if (name == known) return column;
  }
  return '_';
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
    for (const std::string& word : words) header.fields.push_back({.name = word, .column = column_of(word)});
  } else if (key == "SIZE" || key == "COUNT") {
    per_field();
    for (std::size_t f = 0; f < words.size(); ++f) {
      const std::int64_t value = number(file, key, words[f]);
      if (value > 4096) fail_io(file, fmt::format("pcd header: {} {} is absurd", key, value));
      (key == "SIZE" ? header.fields[f].size : header.fields[f].count) = value;
    }
  } else if (key == "TYPE") {
    per_field();
    for (std::size_t f = 0; f < words.size(); ++f) header.fields[f].type = words[f][0];
  } else if (words.size() == 1) {
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
  for (Field& field : header.fields) {
    const bool known = (field.type == 'F' && (field.size == 4 || field.size == 8)) ||
                       ((field.type == 'I' || field.type == 'U') &&
                        (field.size == 1 || field.size == 2 || field.size == 4 || field.size == 8));
    if (!known) {
      fail_io(file,
              fmt::format("pcd field '{}': type {}{} is not known", field.name, field.type, field.size));
    }
    field.offset = header.point_bytes;
    header.point_bytes += field.size * field.count;
  }
  for (const char column : {'x', 'y', 'z'}) {
    if (std::none_of(header.fields.begin(), header.fields.end(),
                     [&](const Field& f) { return f.column == column && f.count == 1; })) {
      fail_io(file, fmt::format("pcd header: no field '{}'", column));
    }
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

double value_of(const std::byte* at, const Field& field) {
  const auto as = [&](auto value) {
    std::memcpy(&value, at, sizeof(value));
    return static_cast<double>(value);
  };
  switch (field.type) {
    case 'F':
      return field.size == 4 ? as(float{}) : as(double{});
    case 'I':
      return field.size == 1   ? as(std::int8_t{})
             : field.size == 2 ? as(std::int16_t{})
             : field.size == 4 ? as(std::int32_t{})
                               : as(std::int64_t{});
    default:
      return field.size == 1   ? as(std::uint8_t{})
             : field.size == 2 ? as(std::uint16_t{})
             : field.size == 4 ? as(std::uint32_t{})
                               : as(std::uint64_t{});
  }
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

/// The fields that the cloud keeps, in file order.
std::vector<Field> kept_fields(const Header& header) {
  std::vector<Field> kept;
  for (const Field& field : header.fields) {
    const bool again =
        std::any_of(kept.begin(), kept.end(), [&](const Field& k) { return k.column == field.column; });
    if (field.column != '_' && field.count == 1 && !again) kept.push_back(field);
  }
  return kept;
}

std::vector<std::string_view> words_of(std::string_view line) {
  constexpr std::string_view kBlanks = " \t\r";
  std::vector<std::string_view> words;
  for (std::size_t at = line.find_first_not_of(kBlanks); at != std::string_view::npos;) {
    const std::size_t end = std::min(line.find_first_of(kBlanks, at), line.size());
    words.push_back(line.substr(at, end - at));
    at = line.find_first_not_of(kBlanks, end);
  }
  return words;
}

/// from_chars knows no plus sign, which printf("%+f") and spreadsheets write.
std::optional<double> decimal(std::string_view word) {
  const bool plus = word.size() > 1 && word[0] == '+' && word[1] != '-';
  if (plus) word.remove_prefix(1);
  double value = 0.0;
  const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || stop != word.data() + word.size()) return std::nullopt;
  return value;
}

/// One line is one point: read word by word, a lost value would shift all points after it.
void read_ascii(const std::filesystem::path& file, const Header& header, const std::vector<Field>& kept,
                std::string_view text, PointCloud& cloud) {
  std::vector<char> wanted;  // by value of a row
  for (const Field& field : header.fields) {
    const bool keep =
        std::any_of(kept.begin(), kept.end(), [&](const Field& k) { return k.offset == field.offset; });
    wanted.insert(wanted.end(), static_cast<std::size_t>(field.count), keep ? 1 : 0);
  }
  std::int64_t row = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::vector<std::string_view> words = words_of(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
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
      cloud.values.push_back(static_cast<float>(*value));
    }
    ++row;
  }
  if (row < header.points) {
    fail_io(file, fmt::format("truncated: {} rows for {} points", row, header.points));
  }
}

/// binary: points one after another; binary_compressed: fields one after another, LZF.
void read_binary(const std::filesystem::path& file, const Header& header, const std::vector<Field>& kept,
                 const std::byte* data, std::size_t size, PointCloud& cloud) {
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
    data = unpacked.data();
  } else if (size < wanted) {
    fail_io(file, fmt::format("truncated: {} points of {} bytes need {} bytes, the file has {}",
                              header.points, header.point_bytes, wanted, size));
  }
  cloud.values.reserve(static_cast<std::size_t>(header.points) * kept.size());
  for (std::int64_t p = 0; p < header.points; ++p) {
    for (const Field& field : kept) {
      const std::int64_t at =
          by_field ? header.points * field.offset + p * field.size : p * header.point_bytes + field.offset;
      cloud.values.push_back(static_cast<float>(value_of(data + at, field)));
    }
  }
}

}  // namespace

PointCloud read_pcd(const std::filesystem::path& file) {
  const std::vector<std::byte> bytes = read_file(file);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const Header header = parse_header(file, text);
  const std::vector<Field> kept = kept_fields(header);
  PointCloud cloud;
  cloud.columns.clear();
  for (const Field& field : kept) cloud.columns += field.column;
  if (header.data == "ascii") {
    read_ascii(file, header, kept, text.substr(header.start), cloud);
  } else if (header.data == "binary" || header.data == "binary_compressed") {
    read_binary(file, header, kept, bytes.data() + header.start, bytes.size() - header.start, cloud);
  } else {
    fail_io(file, fmt::format("DATA {}: ascii, binary or binary_compressed", header.data));
  }
  return cloud;
}

}  // namespace voxgemm::tools
