#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/pooling/pooling.h"
#include "kernels/scalar_values.h"

namespace voxgemm {
namespace {

// Channels whose running values stay in registers or L1 while the inputs of a row are walked.
constexpr std::int32_t kChunk = 64;

// Input rows of one output row, in offset order.
struct Inputs {
  std::array<std::int32_t, kMaxKernelVolume> rows;
  std::int32_t count = 0;
};

inline void collect(const PoolingArgs& a, std::int64_t out_row, Inputs& inputs) {
  inputs.count = 0;
  for (std::int32_t k = 0; k < a.kv; ++k) {
    const std::int32_t j = a.pair_fwd[k * a.pair_stride + out_row];
    inputs.rows[static_cast<std::size_t>(inputs.count)] = j;
    inputs.count += j >= 0 ? 1 : 0;
  }
}

template <typename T>
const T* in_row(const PoolingArgs& a, const Inputs& inputs, std::int32_t which, std::int32_t channel) {
  return static_cast<const T*>(a.in) + inputs.rows[static_cast<std::size_t>(which)] * a.in_stride + channel;
}

template <typename T>
void max_chunk(const PoolingArgs& a, const Inputs& inputs, std::int32_t begin, std::int32_t n, T* out) {
  std::array<float, kChunk> m{};
  std::int32_t first = 0;
  if (!a.zero_floor && inputs.count > 0) {
    const T* x = in_row<T>(a, inputs, 0, begin);
    for (std::int32_t c = 0; c < n; ++c) m[static_cast<std::size_t>(c)] = load_value(x[c]);
    first = 1;
  }
  for (std::int32_t i = first; i < inputs.count; ++i) {
    const T* x = in_row<T>(a, inputs, i, begin);
    for (std::int32_t c = 0; c < n; ++c) {
      float& value = m[static_cast<std::size_t>(c)];
      const float candidate = load_value(x[c]);
      value = candidate > value ? candidate : value;
    }
  }
  for (std::int32_t c = 0; c < n; ++c) store_value(m[static_cast<std::size_t>(c)], out + c);
}

// int8 sums of at most kMaxKernelVolume values are exact in float32, and their quotient is never so near to a
// half that the division's rounding could move it.
template <typename T>
void average_chunk(const PoolingArgs& a, const Inputs& inputs, std::int32_t begin, std::int32_t n, T* out) {
  std::array<float, kChunk> sum{};
  for (std::int32_t i = 0; i < inputs.count; ++i) {
    const T* x = in_row<T>(a, inputs, i, begin);
    for (std::int32_t c = 0; c < n; ++c) sum[static_cast<std::size_t>(c)] += load_value(x[c]);
  }
  const auto count = static_cast<float>(inputs.count > 0 ? inputs.count : 1);
  for (std::int32_t c = 0; c < n; ++c) store_value(sum[static_cast<std::size_t>(c)] / count, out + c);
}

template <typename T>
void pool_rows(const PoolingArgs& a, RowRange range) {
  Inputs inputs;
  for (std::int64_t i = range.begin; i < range.end; ++i) {
    collect(a, i, inputs);
    T* out = static_cast<T*>(a.out) + i * a.out_stride;
    for (std::int32_t c = 0; c < a.channels; c += kChunk) {
      const std::int32_t n = std::min(kChunk, a.channels - c);
      if (a.average) {
        average_chunk<T>(a, inputs, c, n, out + c);
      } else {
        max_chunk<T>(a, inputs, c, n, out + c);
      }
    }
  }
}

inline void store_mean(double t, float* out) { *out = static_cast<float>(t); }
inline void store_mean(double t, Half* out) { *out = to_half(static_cast<float>(t)); }
inline void store_mean(double t, std::int8_t* out) { *out = static_cast<std::int8_t>(std::rint(t)); }

// float64 holds every value exactly, and every int8 sum of fewer than 2^31 rows.
template <typename T>
void global_chunk(const GlobalPoolArgs& a, std::int64_t batch, std::int32_t begin, std::int32_t n, T* out) {
  std::array<double, kChunk> value{};
  std::int64_t count = 0;
  for (std::int64_t r = 0; r < a.rows; ++r) {
    if (a.indices[r * a.index_stride] != batch) continue;
    const T* x = static_cast<const T*>(a.in) + r * a.in_stride + begin;
    for (std::int32_t c = 0; c < n; ++c) {
      double& v = value[static_cast<std::size_t>(c)];
      const double candidate = load_value(x[c]);
      if (a.average) {
        v += candidate;
      } else {
        v = count == 0 || candidate > v ? candidate : v;
      }
    }
    ++count;
  }
  const double divisor = a.average && count > 0 ? static_cast<double>(count) : 1.0;
  for (std::int32_t c = 0; c < n; ++c) store_mean(value[static_cast<std::size_t>(c)] / divisor, out + c);
}

template <typename T>
void global_rows(const GlobalPoolArgs& a, RowRange range) {
  for (std::int64_t b = range.begin; b < range.end; ++b) {
    T* out = static_cast<T*>(a.out) + b * a.out_stride;
    for (std::int32_t c = 0; c < a.channels; c += kChunk) {
      global_chunk<T>(a, b, c, std::min(kChunk, a.channels - c), out + c);
    }
  }
}

}  // namespace

void scalar_pooling(const PoolingArgs& a, RowRange range, Exec) noexcept {
  with_value_type(a.dtype, [&](auto value) { pool_rows<decltype(value)>(a, range); });
}

void scalar_global_pool(const GlobalPoolArgs& a, RowRange range, Exec) noexcept {
  with_value_type(a.dtype, [&](auto value) { global_rows<decltype(value)>(a, range); });
}

}  // namespace voxgemm
