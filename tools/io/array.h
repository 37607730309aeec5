// Array: n-dimensional data as read from a file, in its stored element type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace voxgemm::tools {

/// Element type of a stored array.
enum class Element : std::uint8_t { kI8, kU8, kI16, kU16, kI32, kU32, kI64, kU64, kF16, kF32, kF64 };

std::size_t element_bytes(Element element);
std::string_view element_name(Element element);
/// The little-endian value that starts at `at`.
double value_at(const std::byte* at, Element element);

/// C-order array. `shape` has one entry per axis; `bytes` holds exactly size() elements.
struct Array {
  Element element = Element::kF32;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;

  [[nodiscard]] std::int64_t size() const;
  [[nodiscard]] std::int64_t rows() const { return shape.empty() ? 0 : shape[0]; }
  /// "[79745, 5]"
  [[nodiscard]] std::string shape_text() const;
  /// All elements as float32 (float64 and integers are rounded).
  [[nodiscard]] std::vector<float> to_float() const;
  /// All elements as int32; throws kDType for float arrays, kOutOfRange when a value does not fit.
  [[nodiscard]] std::vector<std::int32_t> to_int32(const std::filesystem::path& file) const;
};

/// How messages name standard input.
inline constexpr const char* kStandardInput = "standard input";

/// Reads the whole file. Throws kNotFound or kIo naming the file and the system's reason.
std::vector<std::byte> read_file(const std::filesystem::path& file);

/// Reads standard input until it ends. Throws kIo when it is a terminal or cannot be read.
std::vector<std::byte> read_standard_input();

/// Throws Error(kIo, "FILE: reason").
[[noreturn]] void fail_io(const std::filesystem::path& file, std::string_view reason);

/// ASCII letters A to Z in lower case; other bytes stay. For extensions and names of fields.
std::string lower_case(std::string text);

/// Number of elements of `shape`. Throws kIo when an extent is negative or the data would not be exactly
/// `bytes` long; products that overflow 64 bits are caught too.
std::int64_t checked_size(const std::filesystem::path& file, const std::vector<std::int64_t>& shape,
                          std::size_t item_bytes, std::size_t bytes);

/// .npy (format 1.0 to 3.0, little-endian; Fortran order is transposed) or .tensor, by the first bytes of the
/// file.
Array read_array(const std::filesystem::path& file);
/// Throws kIo for structured data, which is no array of one type: see NpyFile.
Array read_npy(const std::filesystem::path& file);
Array read_tensor(const std::filesystem::path& file);

/// .npy format 1.0.
void write_npy(const std::filesystem::path& file, const Array& array);

}  // namespace voxgemm::tools
