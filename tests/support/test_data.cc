#include "tests/support/test_data.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "voxgemm/types.h"

namespace voxgemm::test {
namespace {

std::vector<std::byte> read_bytes(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw std::runtime_error("cannot open " + file.string());
  std::vector<char> chars((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  std::vector<std::byte> bytes(chars.size());
  std::memcpy(bytes.data(), chars.data(), chars.size());
  return bytes;
}

std::size_t item_size(const std::string& dtype) { return static_cast<std::size_t>(dtype[1] - '0'); }

Array parse_npy(const std::filesystem::path& file, std::vector<std::byte> bytes) {
  const auto fail = [&](const char* why) { return std::runtime_error(file.string() + ": " + why); };
  if (bytes.size() < 10 || static_cast<unsigned char>(bytes[0]) != 0x93) throw fail("not a npy file");
  const std::size_t length = static_cast<std::size_t>(bytes[8]) | static_cast<std::size_t>(bytes[9]) << 8;
  const std::string header(reinterpret_cast<const char*>(bytes.data()) + 10, length);
  Array array;
  const std::size_t descr = header.find("'descr'");
  const std::size_t quote = header.find('\'', descr + 7);
  array.dtype = header.substr(quote + 2, 2);
  if (header.find("'fortran_order': False") == std::string::npos) throw fail("not C order");
  std::size_t at = header.find('(', header.find("'shape'")) + 1;
  const std::size_t close = header.find(')', at);
  while (at < close) {
    std::size_t used = 0;
    const std::string rest = header.substr(at, close - at);
    if (rest.find_first_of("0123456789") == std::string::npos) break;
    array.shape.push_back(std::stoll(rest, &used));
    at += used;
    while (at < close && (header[at] == ',' || header[at] == ' ')) ++at;
  }
  array.bytes.assign(bytes.begin() + static_cast<std::ptrdiff_t>(10 + length), bytes.end());
  if (array.bytes.size() != static_cast<std::size_t>(array.size()) * item_size(array.dtype)) {
    throw fail("size does not match its header");
  }
  return array;
}

Array parse_tensor(const std::filesystem::path& file, const std::vector<std::byte>& bytes) {
  const auto word = [&](std::size_t i) {
    std::uint32_t w = 0;
    if (bytes.size() < 4 * (i + 1)) throw std::runtime_error(file.string() + ": truncated");
    std::memcpy(&w, bytes.data() + 4 * i, 4);
    return w;
  };
  if (word(0) != 0x33FF1101U) throw std::runtime_error(file.string() + ": not a .tensor file");
  Array array;
  const std::uint32_t ndim = word(1);
  array.dtype = word(2) == 1 ? "i4" : word(2) == 2 ? "f2" : "f4";
  for (std::uint32_t a = 0; a < ndim; ++a) array.shape.push_back(word(3 + a));
  array.bytes.assign(bytes.begin() + 4 * (3 + ndim), bytes.end());
  return array;
}

template <typename T, typename S>
std::vector<T> convert(const std::vector<std::byte>& bytes) {
  std::vector<S> stored(bytes.size() / sizeof(S));
  std::memcpy(stored.data(), bytes.data(), stored.size() * sizeof(S));
  if constexpr (std::is_same_v<S, Half>) {
    std::vector<T> out(stored.size());
    std::transform(stored.begin(), stored.end(), out.begin(),
                   [](Half h) { return static_cast<T>(to_float(h)); });
    return out;
  } else {
    return std::vector<T>(stored.begin(), stored.end());
  }
}

}  // namespace

std::filesystem::path test_data() {
  const char* folder = std::getenv("VOXGEMM_TEST_DATA");
  if (folder == nullptr || *folder == '\0' || !std::filesystem::is_directory(folder)) return {};
  return folder;
}

std::vector<std::filesystem::path> case_folders(const std::string& name) {
  std::vector<std::filesystem::path> folders;
  const std::filesystem::path root = test_data();
  if (root.empty() || !std::filesystem::is_directory(root / name)) return folders;
  for (const auto& entry : std::filesystem::directory_iterator(root / name)) {
    if (entry.is_directory()) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

std::int64_t Array::size() const {
  std::int64_t n = 1;
  for (std::int64_t extent : shape) n *= extent;
  return n;
}

template <typename T>
std::vector<T> Array::as() const {
  if (dtype == "i1") return convert<T, std::int8_t>(bytes);
  if (dtype == "u1" || dtype == "b1") return convert<T, std::uint8_t>(bytes);
  if (dtype == "i4") return convert<T, std::int32_t>(bytes);
  if (dtype == "i8") return convert<T, std::int64_t>(bytes);
  if (dtype == "f2") return convert<T, Half>(bytes);
  if (dtype == "f4") return convert<T, float>(bytes);
  if (dtype == "f8") return convert<T, double>(bytes);
  throw std::runtime_error("unknown dtype " + dtype);
}
template std::vector<std::int8_t> Array::as<std::int8_t>() const;
template std::vector<std::uint8_t> Array::as<std::uint8_t>() const;
template std::vector<std::int32_t> Array::as<std::int32_t>() const;
template std::vector<std::int64_t> Array::as<std::int64_t>() const;
template std::vector<float> Array::as<float>() const;
template std::vector<double> Array::as<double>() const;

Array read_array(const std::filesystem::path& file) {
  std::vector<std::byte> bytes = read_bytes(file);
  if (file.extension() == ".tensor") return parse_tensor(file, bytes);
  return parse_npy(file, std::move(bytes));
}

template <typename T>
std::vector<T> read_raw(const std::filesystem::path& file) {
  const std::vector<std::byte> bytes = read_bytes(file);
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}
template std::vector<float> read_raw<float>(const std::filesystem::path& file);
template std::vector<std::uint16_t> read_raw<std::uint16_t>(const std::filesystem::path& file);

}  // namespace voxgemm::test
