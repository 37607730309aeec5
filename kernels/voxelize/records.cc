#include <cstring>

#include "kernels/voxelize/voxelize.h"

namespace voxgemm {
namespace {

// One column of n points. Type and formula are chosen outside the loop over points.
template <typename T, typename Point>
void read_column(const PointRecords& records, std::int32_t c, std::int64_t n, Point point, float* out) {
  const PointRecords::Field field = records.fields[c];
  const std::byte* const from = records.data + field.offset;
  const std::int64_t step = records.step;
  const std::int64_t columns = records.columns;
  const auto value = [&](std::int64_t k) {
    T v;
    std::memcpy(&v, from + point(k) * step, sizeof(T));
    return v;
  };
  out += c;
  if (field.plain) {
    for (std::int64_t k = 0; k < n; ++k) out[k * columns] = static_cast<float>(value(k));
  } else {
    for (std::int64_t k = 0; k < n; ++k) {
      out[k * columns] = static_cast<float>((static_cast<double>(value(k)) - field.zero) * field.scale);
    }
  }
}

// Columns c, c + 1, ... that lie in a record as in a row: float32, one behind the other, as they are.
std::int32_t run_of_floats(const PointRecords& records, std::int32_t c) {
  const auto fits = [&](std::int32_t at) {
    const PointRecords::Field& field = records.fields[at];
    return field.type == PointType::kFloat32 && field.plain &&
           field.offset == records.fields[c].offset + 4 * (at - c);
  };
  std::int32_t end = c;
  while (end < records.columns && fits(end)) ++end;
  return end - c;
}

// Most clouds begin with x, y, z or x, y, z, intensity in such a run: one copy instead of three or four.
template <int kColumns, typename Point>
void copy_columns(const PointRecords& records, std::int32_t c, std::int64_t n, Point point, float* out) {
  const std::byte* const from = records.data + records.fields[c].offset;
  const std::int64_t step = records.step;
  const std::int64_t columns = records.columns;
  out += c;
  for (std::int64_t k = 0; k < n; ++k) {
    std::memcpy(out + k * columns, from + point(k) * step, kColumns * sizeof(float));
  }
}

template <typename Point>
void read_any_column(const PointRecords& records, std::int32_t c, std::int64_t n, Point point, float* out) {
  switch (records.fields[c].type) {
    case PointType::kInt8:
      return read_column<std::int8_t>(records, c, n, point, out);
    case PointType::kUint8:
      return read_column<std::uint8_t>(records, c, n, point, out);
    case PointType::kInt16:
      return read_column<std::int16_t>(records, c, n, point, out);
    case PointType::kUint16:
      return read_column<std::uint16_t>(records, c, n, point, out);
    case PointType::kInt32:
      return read_column<std::int32_t>(records, c, n, point, out);
    case PointType::kUint32:
      return read_column<std::uint32_t>(records, c, n, point, out);
    case PointType::kFloat32:
      return read_column<float>(records, c, n, point, out);
    case PointType::kFloat64:
      return read_column<double>(records, c, n, point, out);
  }
}

template <typename Point>
void read_columns(const PointRecords& records, std::int64_t n, Point point, float* out) {
  for (std::int32_t c = 0; c < records.columns;) {
    const std::int32_t run = run_of_floats(records, c);
    if (run >= 4) {
      copy_columns<4>(records, c, n, point, out);
      c += 4;
    } else if (run == 3) {
      copy_columns<3>(records, c, n, point, out);
      c += 3;
    } else {
      read_any_column(records, c++, n, point, out);
    }
  }
}

}  // namespace

void read_records(const PointRecords& records, RowRange range, float* out) noexcept {
  read_columns(
      records, range.end - range.begin, [=](std::int64_t k) { return range.begin + k; }, out);
}

void read_records(const PointRecords& records, std::span<const std::int32_t> list, float* out) noexcept {
  read_columns(
      records, static_cast<std::int64_t>(list.size()),
      [=](std::int64_t k) { return std::int64_t{list[static_cast<std::size_t>(k)]}; }, out);
}

}  // namespace voxgemm
