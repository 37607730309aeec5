// Points in records as sensors give them, with the float32 rows that they stand for.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "voxgemm/voxelize.h"

namespace voxgemm::test {

struct PointLayout {
  std::string name;
  std::int64_t step = 0;
  std::vector<PointField> fields;

  [[nodiscard]] std::int32_t columns() const { return static_cast<std::int32_t>(fields.size()); }
  /// Bytes of a record that fields take.
  [[nodiscard]] std::int64_t extent() const {
    std::int64_t extent = 0;
    for (const PointField& f : fields) extent = std::max(extent, f.offset + size_of(f.type));
    return extent;
  }
};

inline std::vector<PointLayout> point_layouts() {
  using enum PointType;
  return {
      {"22 bytes: x y z i float32, time float32, ring uint16",
       22,
       {{0}, {4}, {8}, {12, kFloat32, 0.0, 1.0 / 255.0}, {18}, {16, kUint16}}},
      {"48 bytes: i float32 apart, t uint32 in ns, reflectivity uint16, ring uint8",
       48,
       {{0}, {4}, {8}, {16}, {20, kUint32, 0.0, 1e-9}, {24, kUint16, 0.0, 1.0 / 65535.0}, {26, kUint8}}},
      {"26 bytes: timestamp float64 since 1970 in ns",
       26,
       {{0}, {4}, {8}, {16, kUint8, 0.0, 1.0 / 255.0}, {18, kFloat64, 1.7e18, -1e-9}}},
      {"29 bytes: x y z float64, nothing aligned", 29, {{1, kFloat64}, {9, kFloat64}, {17, kFloat64}, {25}}},
      {"32 bytes: z y x float64, aligned", 32, {{16, kFloat64}, {8, kFloat64}, {0, kFloat64}, {24, kUint32}}},
      {"15 bytes: steps int16, int8, uint32, int32",
       15,
       {{0, kInt16, 0.0, 2e-4},
        {2, kInt16, 100.0, 2e-4},
        {4, kInt16, 0.0, 4e-5},
        {6, kInt8},
        {7, kUint32},
        {11, kInt32, -0.0}}},
      {"4 bytes: uint8 alone, one of them twice",
       4,
       {{0, kUint8, 128.0, 0.03},
        {1, kUint8, 128.0, 0.03},
        {2, kUint8, 128.0, 0.007},
        {3, kUint8},
        {3, kUint8}}},
      {"24 bytes: float32 rows behind a header, read in place", 24, {{4}, {8}, {12}, {16}}},
      {"64 bytes: runs of three, eleven and two float32 fields",
       64,
       {{4},
        {8},
        {12},
        {20},
        {24},
        {28},
        {32},
        {36},
        {40},
        {44},
        {48},
        {52},
        {56},
        {60},
        {16, kUint32},
        {0},
        {4}}},
      {"12 bytes: float32 rows, packed", 12, {{0}, {4}, {8}}},
  };
}

/// A stored value as float64. Written apart from the kernels.
inline double stored_value(PointType type, const std::byte* at) {
  const auto load = [&](auto value) {
    std::memcpy(&value, at, sizeof value);
    return static_cast<double>(value);
  };
  switch (type) {
    case PointType::kInt8:
      return load(std::int8_t{});
    case PointType::kUint8:
      return load(std::uint8_t{});
    case PointType::kInt16:
      return load(std::int16_t{});
    case PointType::kUint16:
      return load(std::uint16_t{});
    case PointType::kInt32:
      return load(std::int32_t{});
    case PointType::kUint32:
      return load(std::uint32_t{});
    case PointType::kFloat32:
      return load(float{});
    case PointType::kFloat64:
      return load(double{});
  }
  return 0.0;
}

/// `count` records that begin `shift` bytes into `bytes`, which end where the last field does.
struct PointRecordBuffer {
  PointLayout layout;
  std::int64_t count = 0;
  std::int64_t shift = 0;
  std::vector<std::byte> bytes;

  /// As it lies at `data`, a copy of `bytes`.
  [[nodiscard]] PointsView view(const void* data) const {
    PointsView view;
    view.data = static_cast<const std::byte*>(data) + shift;
    view.num_points = count;
    view.columns = layout.columns();
    view.fields = layout.fields;
    view.step = layout.step;
    return view;
  }
  [[nodiscard]] PointsView view() const { return view(bytes.data()); }

  /// The rows that the records stand for.
  [[nodiscard]] std::vector<float> rows() const {
    std::vector<float> rows;
    for (std::int64_t i = 0; i < count; ++i) {
      for (const PointField& f : layout.fields) {
        const double value = stored_value(f.type, bytes.data() + shift + i * layout.step + f.offset);
        rows.push_back(static_cast<float>((value - f.zero) * f.scale));
      }
    }
    return rows;
  }
};

/// Random records: bytes of integers are uniform, floats lie around the origin, and some are not finite, too
/// large for float32, negative zeros or denormal.
inline PointRecordBuffer random_records(std::mt19937& rng, const PointLayout& layout, std::int64_t count,
                                        std::int64_t shift) {
  const std::int64_t size = count == 0 ? 0 : (count - 1) * layout.step + layout.extent();
  PointRecordBuffer buffer{layout, count, shift,
                           std::vector<std::byte>(static_cast<std::size_t>(shift + size))};
  for (std::byte& b : buffer.bytes) b = static_cast<std::byte>(rng());
  std::normal_distribution<double> normal(0.0, 1.5);
  for (std::int64_t i = 0; i < count; ++i) {
    for (const PointField& f : layout.fields) {
      std::byte* const at = buffer.bytes.data() + shift + i * layout.step + f.offset;
      double value = f.zero == 0.0 ? normal(rng) : f.zero + 1e8 * normal(rng);
      switch (rng() % 400) {
        case 0:
          value = std::numeric_limits<double>::quiet_NaN();
          break;
        case 1:
          value = -std::numeric_limits<double>::infinity();
          break;
        case 2:
          value = 1e300;
          break;
        case 3:
          value = -0.0;
          break;
        case 4:
          value = 1e-40;
          break;
        default:
          break;
      }
      if (f.type == PointType::kFloat64) std::memcpy(at, &value, sizeof value);
      const auto single = static_cast<float>(value);
      if (f.type == PointType::kFloat32) std::memcpy(at, &single, sizeof single);
    }
  }
  return buffer;
}

}  // namespace voxgemm::test
