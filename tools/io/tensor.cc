// .tensor: uint32 magic, uint32 number of dimensions, uint32 type code, int32 dimensions, data in C order.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "tools/io/array.h"

namespace voxgemm::tools {
namespace {

constexpr std::uint32_t kMagic = 0x33FF1101U;
constexpr std::uint32_t kMaxAxes = 16;

template <typename T>
T word(const std::filesystem::path& file, const std::vector<std::byte>& bytes, std::size_t i) {
  T value{};
  if (bytes.size() < 4 * (i + 1)) fail_io(file, "truncated in the .tensor header");
  std::memcpy(&value, bytes.data() + 4 * i, 4);
  return value;
}

}  // namespace

Array read_tensor(const std::filesystem::path& file) {
  std::vector<std::byte> bytes = read_file(file);
  const auto magic = word<std::uint32_t>(file, bytes, 0);
  if (magic != kMagic) {
    fail_io(file, fmt::format("not a .tensor file (magic {:#010x}, expected {:#010x})", magic, kMagic));
  }
  const auto axes = word<std::uint32_t>(file, bytes, 1);
  if (axes < 1 || axes > kMaxAxes)
    fail_io(file, fmt::format("{} dimensions; 1 to {} are possible", axes, kMaxAxes));
  Array array;
  switch (const auto code = word<std::uint32_t>(file, bytes, 2)) {
    case 1:
      array.element = Element::kI32;
      break;
    case 2:
      array.element = Element::kF16;
      break;
    case 3:
      array.element = Element::kF32;
      break;
    default:
      fail_io(file, fmt::format("type code {} is not known (1 int32, 2 float16, 3 float32)", code));
  }
  for (std::uint32_t a = 0; a < axes; ++a) array.shape.push_back(word<std::int32_t>(file, bytes, 3 + a));
  const std::size_t start = 4 * (3 + static_cast<std::size_t>(axes));
  checked_size(file, array.shape, element_bytes(array.element), bytes.size() - start);
  bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(start));
  array.bytes = std::move(bytes);
  return array;
}

Array read_array(const std::filesystem::path& file) {
  const std::string extension = lower_case(file.extension().string());
  if (extension == ".npy") return read_npy(file);
  if (extension == ".tensor") return read_tensor(file);
  fail_io(file, fmt::format("unknown extension '{}': .npy and .tensor are read here", extension));
}

}  // namespace voxgemm::tools
