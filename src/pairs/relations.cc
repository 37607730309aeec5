#include "pairs/relations.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace voxgemm {
namespace {

// Keys stay this small, so that sums of a few of them do not overflow.
constexpr std::int64_t kMaxKeys = std::int64_t{1} << 62;
constexpr std::int64_t kMaxHalo = std::int64_t{1} << 30;

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

std::int64_t max_axis_sources(const AxisRelation& axis) {
  // r and r + period give the same remainder modulo div
  const std::int32_t period = axis.div / std::gcd(axis.div, axis.step);
  return std::min((axis.kernel + period - 1) / period, axis.extent);
}

Relation relation_of(const ConvGeometry& g, const KeyGrid& source, bool forward) {
  Relation rel;
  rel.source = source;
  const int ndim = g.kernel_size.ndim;
  for (int a = 0; a < ndim; ++a) {
    AxisRelation axis = axis_relation(g, a, forward);
    const int at = kAxes - ndim + a;
    axis.kernel = g.kernel_size[a];
    axis.extent = source.extent[at];
    rel.axis[at] = axis;
  }
  return rel;
}

// Source coordinate of kernel coordinate r, relative to q, for targets of a phase.
struct Tap {
  std::int32_t r = 0;
  std::int64_t ds = 0;
};

std::vector<Tap> taps_of_phase(const AxisRelation& axis, std::int32_t phase) {
  std::vector<Tap> taps;
  for (std::int32_t r = 0; r < axis.kernel; ++r) {
    const std::int64_t num = phase + static_cast<std::int64_t>(r) * axis.step;
    if (num % axis.div == 0) taps.push_back({r, num / axis.div});
  }
  return taps;
}

// Splits the taps of the last axis into windows: runs whose sources are neighbours.
void add_windows(const std::vector<Tap>& taps, std::int64_t line_delta, std::int32_t line_k, TapPlan& plan) {
  for (std::size_t at = 0; at < taps.size();) {
    std::size_t end = at + 1;
    const std::int64_t ds = end < taps.size() ? taps[end].ds - taps[at].ds : 0;
    const std::int32_t dr = end < taps.size() ? taps[end].r - taps[at].r : 0;
    while ((ds == 1 || ds == -1) && end < taps.size() && end - at < kMaxTapWidth &&
           taps[end].ds - taps[end - 1].ds == ds && taps[end].r - taps[end - 1].r == dr) {
      ++end;
    }
    const auto width = static_cast<std::int32_t>(end - at);
    const Tap& first = ds == -1 ? taps[end - 1] : taps[at];  // the window begins at its lowest source
    plan.groups.push_back({line_delta + first.ds, line_k + first.r, width, ds == -1 ? -dr : dr});
    at = end;
  }
}

}  // namespace

GridPlan make_grid(const Dims& shape, std::int32_t batch_size, const Halo& halo) {
  GridPlan plan;
  KeyGrid& grid = plan.grid;
  grid.batch = batch_size;
  grid.ndim = shape.ndim;
  for (int a = 0; a < shape.ndim; ++a) grid.extent[kAxes - shape.ndim + a] = shape[a];
  __extension__ using Wide = __int128;
  Wide pitch = 1;
  Wide origin = 0;
  for (int a = kAxes - 1; a >= 0; --a) {
    grid.pitch[a] = static_cast<std::int64_t>(pitch);
    grid.halo[a] = static_cast<std::int32_t>(halo[static_cast<std::size_t>(a)]);
    origin += pitch * halo[static_cast<std::size_t>(a)];
    pitch *= grid.extent[a] + halo[static_cast<std::size_t>(a)];
    plan.fits = plan.fits && halo[static_cast<std::size_t>(a)] < kMaxHalo && pitch < kMaxKeys;
    if (!plan.fits) return plan;
  }
  grid.batch_pitch = static_cast<std::int64_t>(pitch);
  grid.origin = static_cast<std::int64_t>(origin);
  plan.fits = pitch * batch_size + origin < kMaxKeys;
  return plan;
}

Relation forward_relation(const ConvGeometry& geometry, const KeyGrid& in) {
  return relation_of(geometry, in, true);
}

Relation backward_relation(const ConvGeometry& geometry, const KeyGrid& out) {
  return relation_of(geometry, out, false);
}

Halo needed_halo(const Relation& relation, const KeyGrid& target) {
  Halo halo{};
  for (int a = 0; a < kAxes; ++a) {
    const AxisRelation& axis = relation.axis[a];
    const std::int64_t spread = static_cast<std::int64_t>(axis.kernel - 1) * axis.step;
    const std::int64_t lowest = axis.offset + std::min<std::int64_t>(spread, 0);
    const std::int64_t highest = static_cast<std::int64_t>(target.extent[a] - 1) * axis.mul + axis.offset +
                                 std::max<std::int64_t>(spread, 0);
    const std::int64_t below = lowest < 0 ? (-lowest + axis.div - 1) / axis.div : 0;
    const std::int64_t above = highest / axis.div - (axis.extent - 1);
    halo[static_cast<std::size_t>(a)] = std::max({std::int64_t{0}, below, above});
  }
  return halo;
}

TapPlan make_taps(const Relation& relation, const KeyGrid& target) {
  const Halo halo = needed_halo(relation, target);
  const AxisRelation* axis = relation.axis;
  std::int64_t phases = 1;
  for (int a = 0; a < kAxes; ++a) {
    phases *= axis[a].div;
    if (phases > kMaxTapPhases || halo[static_cast<std::size_t>(a)] > relation.source.halo[a]) return {};
  }
  TapPlan plan;
  for (std::int32_t phase = 0; phase < phases; ++phase) {
    std::array<std::vector<Tap>, kAxes> taps;
    std::int32_t rest = phase;
    for (int a = kAxes - 1; a >= 0; --a) {
      taps[static_cast<std::size_t>(a)] = taps_of_phase(axis[a], rest % axis[a].div);
      rest /= axis[a].div;
    }
    for (const Tap& t0 : taps[0]) {
      for (const Tap& t1 : taps[1]) {
        for (const Tap& t2 : taps[2]) {
          const std::int64_t delta = t0.ds * relation.source.pitch[0] + t1.ds * relation.source.pitch[1] +
                                     t2.ds * relation.source.pitch[2];
          const std::int32_t k = ((t0.r * axis[1].kernel + t1.r) * axis[2].kernel + t2.r) * axis[3].kernel;
          add_windows(taps[3], delta, k, plan);
        }
      }
    }
    plan.phase_begin.push_back(static_cast<std::int32_t>(plan.groups.size()));
  }
  return plan;
}

std::int64_t max_sources(const Relation& relation) {
  const AxisRelation& last = relation.axis[kAxes - 1];
  return max_source_lines(relation) * max_axis_sources(last);
}

std::int64_t max_source_lines(const Relation& relation) {
  std::int64_t most = 1;
  for (int a = 0; a + 1 < kAxes; ++a) most *= max_axis_sources(relation.axis[a]);
  return most;
}

std::array<std::int32_t, 2> split_range(std::int32_t kv, std::int32_t splits, std::int32_t j) {
  const std::int32_t size = kv / splits;
  const std::int32_t extra = kv % splits;
  const std::int32_t lo = j * size + std::min(j, extra);
  return {lo, lo + size + (j < extra ? 1 : 0)};
}

std::int32_t max_outputs(const ConvGeometry& geometry, const Dims& in_shape, std::int32_t batch_size,
                         std::int32_t n_in) {
  if (geometry.kind == ConvKind::kSubm) return n_in;
  const Dims out = geometry.out_shape(in_shape);
  const Relation reach = backward_relation(geometry, make_grid(out, batch_size).grid);
  const std::int64_t bound = std::min(n_in * max_sources(reach), batch_size * out.product());
  return static_cast<std::int32_t>(std::min<std::int64_t>(bound, std::numeric_limits<std::int32_t>::max()));
}

}  // namespace voxgemm
