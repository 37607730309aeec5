#include "tests/support/dense_conv.h"

#include <array>
#include <cstddef>

namespace voxgemm::test {
namespace {

using Point = std::array<std::int32_t, kMaxDims>;

// Row-major position to coordinates, and back.
Point unflatten(std::int64_t at, const Dims& shape) {
  Point p{};
  for (int a = shape.ndim - 1; a >= 0; --a) {
    p[static_cast<std::size_t>(a)] = static_cast<std::int32_t>(at % shape[a]);
    at /= shape[a];
  }
  return p;
}

std::int64_t flatten(const Point& p, const Dims& shape) {
  std::int64_t at = 0;
  for (int a = 0; a < shape.ndim; ++a) at = at * shape[a] + p[static_cast<std::size_t>(a)];
  return at;
}

// Input coordinate that output `o` reads through kernel coordinate `r` on one axis; false = none.
bool input_coordinate(const ConvGeometry& g, int axis, std::int32_t o, std::int32_t r, std::int32_t& i) {
  switch (g.kind) {
    case ConvKind::kSubm:
      i = o + (r - g.kernel_size[axis] / 2) * g.dilation[axis];
      return true;
    case ConvKind::kRegular:
      i = o * g.stride[axis] - g.padding[axis] + r * g.dilation[axis];
      return true;
    case ConvKind::kTransposed: {
      const std::int32_t scaled = o + g.padding[axis] - r * g.dilation[axis];
      i = scaled / g.stride[axis];
      return scaled % g.stride[axis] == 0;
    }
  }
  return false;
}

// Dense position of the input under offset k, or -1 when it lies outside.
std::int64_t input_position(const ConvGeometry& g, const Dims& in_shape, const Point& o, std::int32_t k) {
  const Point r = unflatten(k, g.kernel_size);
  Point i{};
  for (int a = 0; a < in_shape.ndim; ++a) {
    const auto s = static_cast<std::size_t>(a);
    if (!input_coordinate(g, a, o[s], r[s], i[s]) || i[s] < 0 || i[s] >= in_shape[a]) return -1;
  }
  return flatten(i, in_shape);
}

// Row of each dense input position, -1 where nothing is active.
std::vector<std::int32_t> dense_rows(const DenseConvInput& input) {
  const std::int64_t volume = input.spatial_shape.product();
  const auto width = static_cast<std::size_t>(1 + input.spatial_shape.ndim);
  std::vector<std::int32_t> rows(static_cast<std::size_t>(volume * input.batch_size), -1);
  for (std::size_t i = 0; i * width < input.indices.size(); ++i) {
    Point p{};
    for (std::size_t a = 1; a < width; ++a) p[a - 1] = input.indices[i * width + a];
    const std::int64_t at = input.indices[i * width] * volume + flatten(p, input.spatial_shape);
    rows[static_cast<std::size_t>(at)] = static_cast<std::int32_t>(i);
  }
  return rows;
}

void append_site(DenseConvOutput& out, std::int32_t batch, const Point& o, int ndim,
                 const std::vector<std::int32_t>& reads) {
  out.indices.push_back(batch);
  for (int a = 0; a < ndim; ++a) out.indices.push_back(o[static_cast<std::size_t>(a)]);
  out.input_row.insert(out.input_row.end(), reads.begin(), reads.end());
  ++out.num_out;
}

void sum_sites(DenseConvOutput& out, const DenseConvInput& input, const std::vector<double>& weights,
               std::int32_t c_out, std::int32_t kv) {
  const auto c_in = static_cast<std::size_t>(input.c_in);
  for (std::size_t o = 0; o < static_cast<std::size_t>(out.num_out); ++o) {
    for (std::size_t n = 0; n < static_cast<std::size_t>(c_out); ++n) {
      double sum = 0.0;
      for (std::size_t k = 0; k < static_cast<std::size_t>(kv); ++k) {
        const std::int32_t j = out.input_row[o * static_cast<std::size_t>(kv) + k];
        if (j < 0) continue;
        const double* x = input.features.data() + static_cast<std::size_t>(j) * c_in;
        const double* w = weights.data() + (n * static_cast<std::size_t>(kv) + k) * c_in;
        for (std::size_t c = 0; c < c_in; ++c) sum += x[c] * w[c];
      }
      out.sums.push_back(sum);
    }
  }
}

}  // namespace

DenseConvOutput dense_conv(const DenseConvInput& input, const ConvGeometry& geometry, const Dims& out_shape,
                           const std::vector<double>& weights, std::int32_t c_out) {
  const std::vector<std::int32_t> rows = dense_rows(input);
  const std::int64_t in_volume = input.spatial_shape.product();
  const std::int32_t kv = geometry.kernel_volume();
  const int ndim = out_shape.ndim;
  DenseConvOutput out;
  const auto visit = [&](std::int32_t batch, const Point& o) {
    std::vector<std::int32_t> reads(static_cast<std::size_t>(kv), -1);
    bool reached = false;
    for (std::int32_t k = 0; k < kv; ++k) {
      const std::int64_t at = input_position(geometry, input.spatial_shape, o, k);
      if (at < 0) continue;
      reads[static_cast<std::size_t>(k)] = rows[static_cast<std::size_t>(batch * in_volume + at)];
      reached = reached || reads[static_cast<std::size_t>(k)] >= 0;
    }
    if (reached) append_site(out, batch, o, ndim, reads);
  };
  if (geometry.kind == ConvKind::kSubm) {  // the input's own sites, in its order
    const auto width = static_cast<std::size_t>(1 + ndim);
    for (std::size_t i = 0; i * width < input.indices.size(); ++i) {
      Point o{};
      for (std::size_t a = 1; a < width; ++a) o[a - 1] = input.indices[i * width + a];
      visit(input.indices[i * width], o);
    }
  } else {
    for (std::int32_t b = 0; b < input.batch_size; ++b) {
      for (std::int64_t at = 0; at < out_shape.product(); ++at) visit(b, unflatten(at, out_shape));
    }
  }
  sum_sites(out, input, weights, c_out, kv);
  return out;
}

}  // namespace voxgemm::test
