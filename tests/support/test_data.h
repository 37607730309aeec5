// Real data for tests: the folder named by VOXGEMM_TEST_DATA, and a reader for its .npy and .tensor files.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

namespace voxgemm::test {

/// Folder of real data, or empty when there is none: skip then, saying so.
std::filesystem::path test_data();

/// Case folders below test_data()/name, sorted; empty when there is no data.
std::vector<std::filesystem::path> case_folders(const std::string& name);

/// An array read from a .npy (little-endian, C order) or .tensor file.
struct Array {
  std::string dtype;  ///< "i1" "u1" "i4" "i8" "f2" "f4" "f8"
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;

  [[nodiscard]] std::int64_t size() const;
  [[nodiscard]] std::int64_t rows() const { return shape.empty() ? 1 : shape[0]; }
  /// Elements converted to T, whatever the stored type (f2 included).
  template <typename T>
  [[nodiscard]] std::vector<T> as() const;
};
Array read_array(const std::filesystem::path& file);  ///< throws std::runtime_error naming the file

/// Raw little-endian file as T.
template <typename T>
std::vector<T> read_raw(const std::filesystem::path& file);

}  // namespace voxgemm::test
