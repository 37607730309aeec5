// ConvGeometry: defaults, checks and output shape.
#include <limits>
#include <string_view>

#include "core/check.h"
#include "core/extents.h"
#include "voxgemm/indice_pairs.h"

namespace voxgemm {
namespace {

constexpr std::int32_t kMaxExtent = 1 << 30;  // coordinate arithmetic stays inside int64 with room to spare

void fill_and_check(Dims& dims, int ndim, std::int32_t value, std::int32_t lo, std::int32_t hi,
                    std::string_view name) {
  if (dims.ndim == 0) dims = Dims::filled(ndim, value);
  check(dims.ndim == ndim, ErrorCode::kShape, "{} has {} axes, the tensor {}", name, dims.ndim, ndim);
  for (int a = 0; a < ndim; ++a) {
    check(dims[a] >= lo && dims[a] <= hi, ErrorCode::kInvalidArgument, "{} of axis {} is {}, allowed {}..{}",
          name, axis_name(ndim, a), dims[a], lo, hi);
  }
}

std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

}  // namespace

ConvGeometry ConvGeometry::normalized(int ndim) const {
  check(ndim >= 1 && ndim <= kMaxDims, ErrorCode::kShape, "{} spatial axes, allowed 1..{}", ndim, kMaxDims);
  ConvGeometry g = *this;
  check(g.kernel_size.ndim != 0, ErrorCode::kInvalidArgument, "kernel_size is empty");
  fill_and_check(g.kernel_size, ndim, 1, 1, kMaxKernelVolume, "kernel_size");
  fill_and_check(g.stride, ndim, 1, 1, kMaxExtent, "stride");
  fill_and_check(g.padding, ndim, 0, 0, kMaxExtent, "padding");
  fill_and_check(g.dilation, ndim, 1, 1, kMaxExtent / kMaxKernelVolume, "dilation");
  fill_and_check(g.out_padding, ndim, 0, 0, kMaxExtent, "out_padding");
  if (kind == ConvKind::kSubm) g.padding = Dims::filled(ndim, 0);  // like geometries compare equal
  const std::int64_t volume = g.kernel_size.product();
  check(volume <= kMaxKernelVolume, ErrorCode::kInvalidArgument, "kernel volume of {} is {}, limit {}",
        g.kernel_size, volume, kMaxKernelVolume);
  for (int a = 0; a < ndim; ++a) {
    check(kind == ConvKind::kTransposed || g.out_padding[a] == 0, ErrorCode::kInvalidArgument,
          "out_padding of axis {} is {}, allowed 0: only a transposed map has it", axis_name(ndim, a),
          g.out_padding[a]);
    if (kind != ConvKind::kSubm) continue;
    check(g.kernel_size[a] % 2 == 1, ErrorCode::kInvalidArgument,
          "kernel_size of axis {} is {}, a submanifold map needs odd sizes", axis_name(ndim, a),
          g.kernel_size[a]);
    check(g.stride[a] == 1, ErrorCode::kInvalidArgument, "stride of axis {} is {}, a submanifold map needs 1",
          axis_name(ndim, a), g.stride[a]);
  }
  return g;
}

Dims ConvGeometry::out_shape(const Dims& in_shape) const {
  const ConvGeometry g = normalized(in_shape.ndim);
  if (g.kind == ConvKind::kSubm) return in_shape;
  Dims out = in_shape;
  for (int a = 0; a < in_shape.ndim; ++a) {
    const std::int64_t in = in_shape[a];
    const std::int64_t reach = static_cast<std::int64_t>(g.dilation[a]) * (g.kernel_size[a] - 1);
    const std::int64_t pad = 2 * static_cast<std::int64_t>(g.padding[a]);
    const std::int64_t extent = g.kind == ConvKind::kRegular
                                    ? floor_div(in + pad - reach - 1, g.stride[a]) + 1
                                    : (in - 1) * g.stride[a] - pad + reach + 1 + g.out_padding[a];
    check(extent >= 1, ErrorCode::kShape, "output extent of axis {} would be {}, at least 1",
          axis_name(in_shape.ndim, a), extent);
    check(extent <= std::numeric_limits<std::int32_t>::max(), ErrorCode::kShape,
          "output extent of axis {} would be {}, limit {}", axis_name(in_shape.ndim, a), extent,
          std::numeric_limits<std::int32_t>::max());
    out[a] = static_cast<std::int32_t>(extent);
  }
  return out;
}

}  // namespace voxgemm
