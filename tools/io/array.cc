#include "tools/io/array.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <system_error>
#include <type_traits>
#include <utility>

#include "voxgemm/error.h"
#include "voxgemm/types.h"

namespace voxgemm::tools {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using FileHandle = std::unique_ptr<std::FILE, CloseFile>;

/// Calls use(T{}) with the C++ type of the element; float16 is voxgemm::Half.
template <typename Use>
void with_type(Element element, Use use) {
  switch (element) {
    case Element::kI8:
      return use(std::int8_t{});
    case Element::kU8:
      return use(std::uint8_t{});
    case Element::kI16:
      return use(std::int16_t{});
    case Element::kU16:
      return use(std::uint16_t{});
    case Element::kI32:
      return use(std::int32_t{});
    case Element::kU32:
      return use(std::uint32_t{});
    case Element::kI64:
      return use(std::int64_t{});
    case Element::kU64:
      return use(std::uint64_t{});
    case Element::kF16:
      return use(Half{});
    case Element::kF32:
      return use(float{});
    case Element::kF64:
      return use(double{});
  }
}

template <typename T>
T load(const std::vector<std::byte>& bytes, std::size_t i) {
  T value{};
  std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
  return value;
}

/// Sizes of pipes are unknown, so the file is read until it ends.
std::vector<std::byte> read_all(const std::filesystem::path& file, std::FILE* handle) {
  std::vector<std::byte> bytes;
  std::vector<std::byte> block(std::size_t{1} << 20U);
  for (;;) {
    const std::size_t got = std::fread(block.data(), 1, block.size(), handle);
    bytes.insert(bytes.end(), block.begin(), block.begin() + static_cast<std::ptrdiff_t>(got));
    if (got < block.size()) break;
  }
  if (std::ferror(handle) != 0) fail_io(file, "cannot be read");
  return bytes;
}

}  // namespace

std::size_t element_bytes(Element element) {
  std::size_t bytes = 0;
  with_type(element, [&](auto value) { bytes = sizeof(value); });
  return bytes;
}

std::string_view element_name(Element element) {
  switch (element) {
    case Element::kI8:
      return "int8";
    case Element::kU8:
      return "uint8";
    case Element::kI16:
      return "int16";
    case Element::kU16:
      return "uint16";
    case Element::kI32:
      return "int32";
    case Element::kU32:
      return "uint32";
    case Element::kI64:
      return "int64";
    case Element::kU64:
      return "uint64";
    case Element::kF16:
      return "float16";
    case Element::kF32:
      return "float32";
    case Element::kF64:
      return "float64";
  }
  return "unknown";
}

double value_at(const std::byte* at, Element element) {
  double result = 0.0;
  with_type(element, [&](auto value) {
    std::memcpy(&value, at, sizeof(value));
    if constexpr (std::is_same_v<decltype(value), Half>) {
      result = voxgemm::to_float(value);
    } else {
      result = static_cast<double>(value);
    }
  });
  return result;
}

std::int64_t Array::size() const {
  std::int64_t n = 1;
  for (std::int64_t extent : shape) n *= extent;
  return n;
}

std::string Array::shape_text() const { return fmt::format("[{}]", fmt::join(shape, ", ")); }

std::vector<float> Array::to_float() const {
  std::vector<float> out(static_cast<std::size_t>(size()));
  with_type(element, [&](auto type) {
    using T = decltype(type);
    for (std::size_t i = 0; i < out.size(); ++i) {
      const T value = load<T>(bytes, i);
      if constexpr (std::is_same_v<T, Half>) {
        out[i] = voxgemm::to_float(value);
      } else {
        out[i] = static_cast<float>(value);
      }
    }
  });
  return out;
}

std::vector<std::int32_t> Array::to_int32(const std::filesystem::path& file) const {
  std::vector<std::int32_t> out(static_cast<std::size_t>(size()));
  with_type(element, [&](auto type) {
    using T = decltype(type);
    if constexpr (std::is_integral_v<T>) {
      for (std::size_t i = 0; i < out.size(); ++i) {
        const T value = load<T>(bytes, i);
        if (!std::in_range<std::int32_t>(value)) {
          throw Error(ErrorCode::kOutOfRange,
                      fmt::format("{}: element {} is {}, which does not fit int32", file.string(), i, value));
        }
        out[i] = static_cast<std::int32_t>(value);
      }
    } else {
      throw Error(ErrorCode::kDType, fmt::format("{}: integers expected, the file holds {}", file.string(),
                                                 element_name(element)));
    }
  });
  return out;
}

void fail_io(const std::filesystem::path& file, std::string_view reason) {
  throw Error(ErrorCode::kIo, fmt::format("{}: {}", file.string(), reason));
}

std::string lower_case(std::string text) {
  for (char& letter : text) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  return text;
}

std::vector<std::byte> read_file(const std::filesystem::path& file) {
  std::error_code code;
  if (!std::filesystem::exists(file, code)) {
    throw Error(ErrorCode::kNotFound, fmt::format("{}: no such file", file.string()));
  }
  if (std::filesystem::is_directory(file, code)) fail_io(file, "is a folder, not a file");
  const FileHandle handle(std::fopen(file.c_str(), "rb"));
  if (!handle) fail_io(file, std::strerror(errno));
  return read_all(file, handle.get());
}

std::vector<std::byte> read_standard_input() {
  if (::isatty(STDIN_FILENO) != 0) fail_io(kStandardInput, "is a terminal: give it a file or a pipe");
  return read_all(kStandardInput, stdin);
}

std::int64_t checked_size(const std::filesystem::path& file, const std::vector<std::int64_t>& shape,
                          std::size_t item_bytes, std::size_t bytes) {
  const std::string text = fmt::format("[{}]", fmt::join(shape, ", "));
  std::int64_t n = 1;
  for (std::int64_t extent : shape) {
    if (extent < 0) fail_io(file, fmt::format("shape {} has a negative extent", text));
    if (extent > 0 && n > std::numeric_limits<std::int64_t>::max() / 16 / extent) {
      fail_io(file, fmt::format("shape {} is absurdly large", text));
    }
    n *= extent;
  }
  const auto wanted = static_cast<std::uint64_t>(n) * item_bytes;
  if (wanted != bytes) {
    fail_io(file,
            fmt::format("{}: shape {} of {}-byte elements needs {} bytes of data, the file has {}",
                        wanted > bytes ? "truncated" : "surplus data", text, item_bytes, wanted, bytes));
  }
  return n;
}

}  // namespace voxgemm::tools
