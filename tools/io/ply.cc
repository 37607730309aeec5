// Polygon files: a header of lines from "ply" to "end_header", then its elements one after the other, of
// which "vertex" holds the points.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "tools/io/fields.h"
#include "tools/io/text.h"

namespace voxgemm::tools {
namespace {

constexpr std::int64_t kMaxInstances = std::int64_t{1} << 31;
constexpr std::size_t kMaxHeader = 65536;

enum class Encoding : std::uint8_t { kAscii, kLittleEndian, kBigEndian };

struct Property {
  FileField field;
  std::optional<Element> length;  // of a list: what its length is stored as
};

struct PlyElement {
  std::string name;
  std::int64_t count = 0;
  std::vector<Property> properties;
};

struct Header {
  Encoding encoding = Encoding::kAscii;
  std::vector<PlyElement> elements;
  std::size_t start = 0;  // first byte after the header
};

std::optional<Element> element_of(std::string_view type) {
  constexpr std::array<std::pair<std::string_view, Element>, 16> kTypes{{{"char", Element::kI8},
                                                                         {"int8", Element::kI8},
                                                                         {"uchar", Element::kU8},
                                                                         {"uint8", Element::kU8},
                                                                         {"short", Element::kI16},
                                                                         {"int16", Element::kI16},
                                                                         {"ushort", Element::kU16},
                                                                         {"uint16", Element::kU16},
                                                                         {"int", Element::kI32},
                                                                         {"int32", Element::kI32},
                                                                         {"uint", Element::kU32},
                                                                         {"uint32", Element::kU32},
                                                                         {"float", Element::kF32},
                                                                         {"float32", Element::kF32},
                                                                         {"double", Element::kF64},
                                                                         {"float64", Element::kF64}}};
  const auto found =
      std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& t) { return t.first == type; });
  return found == kTypes.end() ? std::nullopt : std::optional(found->second);
}

class HeaderReader {
 public:
  HeaderReader(const std::filesystem::path& file, std::string_view text) : file_(file), rest_(text) {
    const std::size_t whole = rest_.size();
    if (words_of(take_line(rest_)) != Words{"ply"}) fail("not a .ply file (the first line is not 'ply')");
    bool formatted = false;
    for (;;) {
      if (rest_.empty() || whole - rest_.size() > kMaxHeader) fail("not a .ply file (no 'end_header')");
      const Words words = words_of(take_line(rest_));
      if (words.empty() || words[0] == "comment" || words[0] == "obj_info") continue;
      if (words[0] == "end_header") break;
      if (words[0] == "format") {
        set_format(words);
        formatted = true;
      } else if (words[0] == "element") {
        add_element(words);
      } else if (words[0] == "property") {
        add_property(words);
      } else {
        fail(fmt::format("ply header: '{}' is not known", words[0]));
      }
    }
    if (!formatted) fail("ply header: no 'format'");
    header_.start = whole - rest_.size();
  }

  [[nodiscard]] Header header() && { return std::move(header_); }

 private:
  using Words = std::vector<std::string_view>;

  [[noreturn]] void fail(const std::string& reason) const { fail_io(file_, reason); }

  void set_format(const Words& words) {
    if (words.size() != 3 || words[2] != "1.0") fail("ply header: the format is not 1.0");
    if (words[1] == "ascii") {
      header_.encoding = Encoding::kAscii;
    } else if (words[1] == "binary_little_endian") {
      header_.encoding = Encoding::kLittleEndian;
    } else if (words[1] == "binary_big_endian") {
      header_.encoding = Encoding::kBigEndian;
    } else {
      fail(
          fmt::format("ply header: format '{}': ascii, binary_little_endian or binary_big_endian", words[1]));
    }
  }

  void add_element(const Words& words) {
    if (words.size() != 3) fail("ply header: an 'element' has a name and a count");
    PlyElement element{.name = std::string(words[1])};
    const std::string_view count = words[2];
    const auto [end, error] = std::from_chars(count.data(), count.data() + count.size(), element.count);
    if (error != std::errc{} || end != count.data() + count.size() || element.count < 0) {
      fail(fmt::format("ply header: 'element {} {}' has no count", words[1], count));
    }
    if (element.count > kMaxInstances) {
      fail(fmt::format("ply header: {} of '{}' are absurd", element.count, element.name));
    }
    const auto same = [&](const PlyElement& other) { return other.name == element.name; };
    if (std::any_of(header_.elements.begin(), header_.elements.end(), same)) {
      fail(fmt::format("ply header: two elements '{}'", element.name));
    }
    header_.elements.push_back(std::move(element));
  }

  void add_property(const Words& words) {
    const bool list = words.size() == 5 && words[1] == "list";
    if (header_.elements.empty() || (!list && words.size() != 3)) {
      fail("ply header: a 'property' has a type and a name and follows its element");
    }
    const auto known = [&](std::string_view type) {
      const std::optional<Element> element = element_of(type);
      if (!element) fail(fmt::format("ply property '{}': type '{}' is not known", words.back(), type));
      return *element;
    };
    Property property;
    property.field.name = words.back();
    property.field.element = known(words[list ? 3 : 1]);
    if (list) {
      property.length = known(words[2]);
      if (property.length == Element::kF32 || property.length == Element::kF64) {
        fail(fmt::format("ply property '{}': the length of a list is no {}", words.back(), words[2]));
      }
      property.field.count = 0;  // no single value: never a column
    }
    header_.elements.back().properties.push_back(std::move(property));
  }

  const std::filesystem::path& file_;
  std::string_view rest_;
  Header header_;
};

/// Values one after the other, in the encoding of the file.
class Values {
 public:
  Values(const std::filesystem::path& file, Encoding encoding, std::string_view data)
      : file_(file), encoding_(encoding), rest_(data) {}

  /// Before and after an instance of an element: one line of text, or nothing.
  void begin(const PlyElement& element, std::int64_t instance) {
    element_ = &element;
    instance_ = instance;
    if (encoding_ != Encoding::kAscii) return;
    next_ = 0;
    words_.clear();
    while (words_.empty() && !rest_.empty()) words_ = words_of(take_line(rest_));
    if (words_.empty()) fail("truncated");
  }
  void end() const {
    if (encoding_ != Encoding::kAscii || next_ == words_.size()) return;
    fail(fmt::format("{} values in the row, {} in the properties", words_.size(), next_));
  }

  double value(Element element) {
    if (encoding_ == Encoding::kAscii) {
      const std::string_view word = next_word();
      const std::optional<double> value = decimal(word);
      if (!value) fail(fmt::format("'{}' is no number", word));
      return *value;
    }
    std::array<std::byte, 8> bytes{};
    const std::size_t size = element_bytes(element);
    const auto* from = reinterpret_cast<const std::byte*>(take(size).data());
    std::copy_n(from, size, bytes.begin());
    if (encoding_ == Encoding::kBigEndian) std::reverse(bytes.begin(), bytes.begin() + size);
    return value_at(bytes.data(), element);
  }

  void skip(Element element, std::int64_t count) {
    if (encoding_ == Encoding::kAscii) {
      for (std::int64_t i = 0; i < count; ++i) (void)next_word();
    } else {
      take(element_bytes(element) * static_cast<std::size_t>(count));
    }
  }

  /// Elements of a list. Lengths are integers of at most 32 bits: no product of them overflows.
  std::int64_t length(Element element) {
    const double length = value(element);
    const bool whole = length >= 0.0 && length < 4294967296.0 && length == std::floor(length);
    if (!whole) fail(fmt::format("a list of {} values", length));
    return static_cast<std::int64_t>(length);
  }

  /// Nothing but blanks, or zero bytes of filled pages, may follow.
  void finish() const {
    const std::string_view blank = encoding_ == Encoding::kAscii ? " \t\r\n" : std::string_view("\0", 1);
    if (rest_.find_first_not_of(blank) == std::string_view::npos) return;
    fail_io(file_, fmt::format("surplus data: {} bytes after the elements of the header", rest_.size()));
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    fail_io(file_, fmt::format("{} {} of {}: {}", element_->name, instance_, element_->count, reason));
  }

  std::string_view next_word() {
    if (next_ == words_.size()) fail(fmt::format("only {} values in the row", words_.size()));
    return words_[next_++];
  }

  std::string_view take(std::size_t bytes) {
    if (bytes > rest_.size()) fail("truncated");
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }

  const std::filesystem::path& file_;
  Encoding encoding_;
  std::string_view rest_;
  const PlyElement* element_ = nullptr;
  std::int64_t instance_ = 0;
  std::vector<std::string_view> words_;  // of the row, ASCII
  std::size_t next_ = 0;
};

/// Walks an element and keeps the values of the properties that are wanted, by index.
std::vector<double> read_element(const PlyElement& element, std::span<const std::size_t> wanted,
                                 Values& values) {
  std::vector<char> keep(element.properties.size(), 0);
  for (const std::size_t p : wanted) keep[p] = 1;
  std::vector<double> kept;
  if (element.properties.empty()) return kept;  // its instances take no bytes
  for (std::int64_t i = 0; i < element.count; ++i) {
    values.begin(element, i);
    for (std::size_t p = 0; p < keep.size(); ++p) {
      const Property& property = element.properties[p];
      if (property.length) {
        values.skip(*property.field.element, values.length(*property.length));
      } else if (keep[p] != 0) {
        kept.push_back(values.value(*property.field.element));
      } else {
        values.skip(*property.field.element, 1);
      }
    }
    values.end();
  }
  return kept;
}

}  // namespace

PointCloud read_ply(const std::filesystem::path& file, std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const Header header = HeaderReader(file, text).header();
  const auto vertex = std::find_if(header.elements.begin(), header.elements.end(),
                                   [](const PlyElement& element) { return element.name == "vertex"; });
  if (vertex == header.elements.end()) fail_io(file, "ply header: no element 'vertex'");
  std::vector<FileField> fields;
  for (const Property& property : vertex->properties) fields.push_back(property.field);
  const std::vector<std::size_t> chosen = column_fields(file, fields);
  Values values(file, header.encoding, text.substr(header.start));
  std::vector<double> points;
  for (auto element = header.elements.begin(); element != header.elements.end(); ++element) {
    if (element == vertex) {
      points = read_element(*element, chosen, values);
    } else {
      read_element(*element, {}, values);
    }
  }
  values.finish();
  return cloud_of_fields(fields, chosen, std::move(points));
}

}  // namespace voxgemm::tools
