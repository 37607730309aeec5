#include "pairs/pair_plan.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace voxgemm {
namespace {

// s = t*mul + r*step + offset
AxisRelation affine(std::int32_t mul, std::int32_t step, std::int32_t offset) {
  return {mul, step, offset, 1, 1, 1};
}

// s = (t - r*step + offset) / div
AxisRelation divided(std::int32_t step, std::int32_t offset, std::int32_t div) {
  return {1, -step, offset, div, 1, 1};
}

AxisRelation axis_relation(const ConvGeometry& g, int a, bool forward) {
  const std::int32_t dilation = g.dilation[a];
  switch (g.kind) {
    case ConvKind::kSubm: {
      const std::int32_t step = forward ? dilation : -dilation;
      return affine(1, step, -(g.kernel_size[a] / 2) * step);
    }
    case ConvKind::kRegular:
      return forward ? affine(g.stride[a], dilation, -g.padding[a])
                     : divided(dilation, g.padding[a], g.stride[a]);
    case ConvKind::kTransposed:
      return forward ? divided(dilation, g.padding[a], g.stride[a])
                     : affine(g.stride[a], dilation, -g.padding[a]);
  }
  return {};
}

Relation relation_of(const ConvGeometry& g, const KeyGrid& source, bool forward) {
  Relation rel;
  rel.source = source;
  const int ndim = g.kernel_size.ndim;
  for (int a = 0; a < ndim; ++a) {
    AxisRelation axis = axis_relation(g, a, forward);
    const auto at = static_cast<std::size_t>(kAxes - ndim + a);
    axis.kernel = g.kernel_size[a];
    axis.extent = source.extent[at];
    rel.axis[at] = axis;
  }
  return rel;
}

}  // namespace

KeyGrid make_grid(const Dims& shape, std::int32_t batch_size) {
  KeyGrid grid;
  grid.batch = batch_size;
  grid.ndim = shape.ndim;
  for (int a = 0; a < shape.ndim; ++a)
    grid.extent[static_cast<std::size_t>(kAxes - shape.ndim + a)] = shape[a];
  return grid;
}

Relation forward_relation(const ConvGeometry& geometry, const Dims& in_shape, const Dims& /*out_shape*/,
                          std::int32_t batch_size) {
  return relation_of(geometry, make_grid(in_shape, batch_size), true);
}

Relation backward_relation(const ConvGeometry& geometry, const Dims& /*in_shape*/, const Dims& out_shape,
                           std::int32_t batch_size) {
  return relation_of(geometry, make_grid(out_shape, batch_size), false);
}

std::int64_t max_sources(const Relation& relation) {
  std::int64_t most = 1;
  for (const AxisRelation& axis : relation.axis) {
    // r and r + period give the same remainder modulo div
    const std::int32_t period = axis.div / std::gcd(axis.div, axis.step);
    most *= std::min((axis.kernel + period - 1) / period, axis.extent);
  }
  return most;
}

std::int32_t max_outputs(const ConvGeometry& geometry, const Dims& in_shape, std::int32_t batch_size,
                         std::int32_t n_in) {
  if (geometry.kind == ConvKind::kSubm) return n_in;
  const Dims out = geometry.out_shape(in_shape);
  const Relation reach = backward_relation(geometry, in_shape, out, batch_size);
  const std::int64_t bound = std::min(n_in * max_sources(reach), reach.source.cells());
  return static_cast<std::int32_t>(std::min<std::int64_t>(bound, std::numeric_limits<std::int32_t>::max()));
}

}  // namespace voxgemm
