#include <array>
#include <atomic>
#include <cstring>

#include "kernels/scatter_dense/scatter_dense.h"

namespace voxgemm {
namespace {

// Spatial axes folded to (z, y, x).
struct Folded {
  std::int64_t z = 1;
  std::int64_t y = 1;
  std::int64_t x = 1;
};

inline Folded fold(const Dims& shape) {
  const int n = shape.ndim;
  Folded f{1, n > 1 ? shape[n - 2] : 1, shape[n - 1]};
  for (int axis = 0; axis < n - 2; ++axis) f.z *= shape[axis];
  return f;
}

// Position of one row, or false when it lies outside.
inline bool position(const ScatterDenseArgs& a, const std::int32_t* index, std::int64_t& batch, Folded& at) {
  if (index[0] < 0 || index[0] >= a.batch_size) return false;
  batch = index[0];
  at = {0, 0, 0};
  for (std::int32_t axis = 0; axis < a.ndim; ++axis) {
    const std::int32_t v = index[1 + axis];
    if (v < 0 || v >= a.spatial_shape[axis]) return false;
    if (axis == a.ndim - 1) {
      at.x = v;
    } else if (axis == a.ndim - 2) {
      at.y = v;
    } else {
      at.z = at.z * a.spatial_shape[axis] + v;
    }
  }
  return true;
}

inline void lower(std::int32_t* bad_row, std::int64_t row) {
  if (bad_row == nullptr) return;
  const std::atomic_ref<std::int32_t> shared(*bad_row);
  std::int32_t seen = shared.load(std::memory_order_relaxed);
  while (row < seen && !shared.compare_exchange_weak(seen, static_cast<std::int32_t>(row))) {
  }
}

// Rows whose elements of one channel are written together, so that a plane's page and lines serve all of
// them.
constexpr std::int64_t kBlock = 64;

template <typename T>
void scatter_rows(const ScatterDenseArgs& a, RowRange range) {
  const Folded size = fold(a.spatial_shape);
  const std::int64_t plane = size.y * size.x;
  const std::int64_t step = a.channels_last ? size.z : size.z * plane;
  std::array<T*, kBlock> to;
  std::array<const T*, kBlock> from;
  for (std::int64_t r = range.begin; r < range.end;) {
    std::size_t count = 0;
    for (; r < range.end && count < to.size(); ++r) {
      std::int64_t b = 0;
      Folded at;
      if (!position(a, a.indices + r * (1 + a.ndim), b, at)) {
        lower(a.bad_row, r);
        continue;
      }
      const std::int64_t site = at.y * size.x + at.x;
      from[count] = static_cast<const T*>(a.features) + r * a.stride;
      to[count] =
          static_cast<T*>(a.out) + (a.channels_last ? (b * plane + site) * a.channels * size.z + at.z
                                                    : (b * a.channels * size.z + at.z) * plane + site);
      ++count;
    }
    if (step == 1) {
      const auto bytes = static_cast<std::size_t>(a.channels) * sizeof(T);
      for (std::size_t i = 0; i < count; ++i) std::memcpy(to[i], from[i], bytes);
    } else if (a.channels_last) {
      for (std::size_t i = 0; i < count; ++i) {
        for (std::int32_t c = 0; c < a.channels; ++c) to[i][c * step] = from[i][c];
      }
    } else {
      for (std::int32_t c = 0; c < a.channels; ++c) {
        for (std::size_t i = 0; i < count; ++i) to[i][c * step] = from[i][c];
      }
    }
  }
}

}  // namespace

void scalar_scatter_dense(const ScatterDenseArgs& a, RowRange range, Exec) noexcept {
  switch (a.element_bytes) {
    case 1:
      return scatter_rows<std::uint8_t>(a, range);
    case 2:
      return scatter_rows<std::uint16_t>(a, range);
    default:
      return scatter_rows<std::uint32_t>(a, range);
  }
}

}  // namespace voxgemm
