#include <array>
#include <atomic>
#include <cstring>

#include "kernels/scatter_dense/scatter_dense.h"

namespace voxgemm {
namespace {

// Element of channel 0 of one row, or -1 when the row lies outside.
inline std::int64_t place(const ScatterDenseArgs& a, const DenseStrides& strides, const std::int32_t* index) {
  if (index[0] < 0 || index[0] >= a.batch_size) return -1;
  std::int64_t at = index[0] * strides.batch;
  for (std::int32_t axis = 0; axis < a.ndim; ++axis) {
    const std::int32_t v = index[1 + axis];
    if (v < 0 || v >= a.spatial_shape[axis]) return -1;
    at += v * strides.axis[axis];
  }
  return at;
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
  const DenseStrides strides = dense_strides(a);
  const std::int64_t step = strides.channel;
  std::array<T*, kBlock> to;
  std::array<const T*, kBlock> from;
  for (std::int64_t r = range.begin; r < range.end;) {
    std::size_t count = 0;
    for (; r < range.end && count < to.size(); ++r) {
      const std::int64_t at = place(a, strides, a.indices + r * (1 + a.ndim));
      if (at < 0) {
        lower(a.bad_row, r);
        continue;
      }
      from[count] = static_cast<const T*>(a.features) + r * a.stride;
      to[count] = static_cast<T*>(a.out) + at;
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
