// Planes of 4-byte elements written once, a whole line at a time past the caches: zeros and values together.
#include <immintrin.h>

#include "kernels/scatter_dense/scatter_dense.h"

namespace voxgemm {
namespace {

constexpr std::int32_t kLanes = 16;       // elements of a line of 64 bytes
constexpr std::int32_t kStripLines = 32;  // lines of one plane written in a row

// Read in place: members of std::array may be emitted here, with this file's instructions, for everybody.
const std::int32_t* extents(const ScatterDenseArgs& a) {
  return reinterpret_cast<const std::int32_t*>(&a.spatial_shape.size);
}

struct Line {
  std::int64_t first_row;
  std::int32_t offset[kLanes];  // of each site's row from first_row, in elements
  __mmask16 sites;              // that have a row
  __mmask16 inside;             // of the plane
};

// What each channel of a batch entry is made of: one plane of all cells, or with fold_last one for each cell
// of the folded axes. Every plane begins `shift` elements into the first of the lines of 64 bytes that it
// touches.
struct Planes {
  std::int32_t axes;   // of the plane, the outer ones
  std::int64_t size;   // cells of it
  std::int64_t depth;  // planes of a channel
  std::int64_t shift;
  std::int64_t strips;

  explicit Planes(const ScatterDenseArgs& a) {
    axes = a.fold_last && a.ndim > 2 ? 2 : a.ndim;
    size = 1;
    depth = 1;
    for (std::int32_t axis = 0; axis < a.ndim; ++axis) (axis < axes ? size : depth) *= extents(a)[axis];
    shift = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(a.out) % 64 / 4);
    const std::int64_t lines = (size + shift + kLanes - 1) / kLanes;
    strips = (lines + kStripLines - 1) / kStripLines;
  }
};

// Rows ascend in (cell, fold).
struct Site {
  std::int64_t cell;  // batch * size + cell of the plane
  std::int64_t fold;  // plane of the channel
};

Site site_of(const ScatterDenseArgs& a, const Planes& planes, std::int64_t row) {
  const std::int32_t* index = a.indices + row * (1 + a.ndim);
  Site site{index[0], 0};
  for (std::int32_t axis = 0; axis < planes.axes; ++axis) {
    site.cell = site.cell * extents(a)[axis] + index[1 + axis];
  }
  for (std::int32_t axis = planes.axes; axis < a.ndim; ++axis) {
    site.fold = site.fold * extents(a)[axis] + index[1 + axis];
  }
  return site;
}

std::int64_t first_row_from(const ScatterDenseArgs& a, const Planes& planes, std::int64_t cell) {
  std::int64_t lo = 0;
  std::int64_t hi = a.rows;
  while (lo < hi) {
    const std::int64_t middle = (lo + hi) / 2;
    if (site_of(a, planes, middle).cell < cell) {
      lo = middle + 1;
    } else {
      hi = middle;
    }
  }
  return lo;
}

// Lines of a strip that begins at cell `first` (perhaps before the plane) of plane `fold` of a batch entry.
// Returns their number.
std::int32_t list_lines(const ScatterDenseArgs& a, const Planes& planes, std::int64_t batch,
                        std::int64_t fold, std::int64_t first, Line* lines) {
  const std::int64_t base = batch * planes.size;
  const Site end{base + planes.size, 0};
  std::int64_t row = first_row_from(a, planes, base + (first < 0 ? 0 : first));
  Site site = row < a.rows ? site_of(a, planes, row) : end;
  std::int32_t count = 0;
  for (; count < kStripLines && first < planes.size; ++count, first += kLanes) {
    std::uint32_t inside = 0xFFFFU;
    if (first < 0) inside &= inside << -first;
    if (planes.size - first < kLanes) inside &= (1U << (planes.size - first)) - 1U;
    Line& line = lines[count];
    line.first_row = row;
    std::uint32_t sites = 0;
    while (site.cell < base + first + kLanes && site.cell < end.cell) {
      if (site.fold == fold) {
        const std::int64_t lane = site.cell - base - first;
        sites |= 1U << lane;
        line.offset[lane] = static_cast<std::int32_t>((row - line.first_row) * a.stride);
      }
      ++row;
      site = row < a.rows ? site_of(a, planes, row) : end;
    }
    line.sites = static_cast<__mmask16>(sites);
    line.inside = static_cast<__mmask16>(inside);
  }
  return count;
}

__m512 values(const ScatterDenseArgs& a, const Line& line, std::int32_t channel) {
  if (line.sites == 0) return _mm512_setzero_ps();
  const float* from = static_cast<const float*>(a.features) + line.first_row * a.stride + channel;
  return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), line.sites, _mm512_loadu_si512(line.offset), from, 4);
}

}  // namespace

std::int64_t avx512_scatter_strips(const ScatterDenseArgs& a) noexcept {
  const Planes planes(a);
  const bool whole_lines = planes.size % kLanes == 0 && reinterpret_cast<std::uintptr_t>(a.out) % 4 == 0;
  // A line has at most the rows of kLanes cells of every plane, whose offsets are int32.
  const bool far_rows = a.stride > (1 << 24) || planes.depth > (std::int64_t{1} << 26) / a.stride;
  if (a.channels_last || a.element_bytes != 4 || !whole_lines || far_rows) return 0;
  return a.batch_size * planes.depth * planes.strips;
}

void avx512_scatter_ordered(const ScatterDenseArgs& a, RowRange strips) noexcept {
  const Planes planes(a);
  Line lines[kStripLines];
  for (std::int64_t s = strips.begin; s < strips.end; ++s) {
    const std::int64_t plane = s / planes.strips;
    const std::int64_t first = s % planes.strips * kStripLines * kLanes - planes.shift;
    const std::int64_t batch = plane / planes.depth;
    const std::int64_t fold = plane % planes.depth;
    const std::int32_t count = list_lines(a, planes, batch, fold, first, lines);
    for (std::int32_t c = 0; c < a.channels; ++c) {
      const std::int64_t to = (batch * a.channels + c) * planes.depth + fold;
      float* out = static_cast<float*>(a.out) + to * planes.size + first;
      for (std::int32_t l = 0; l < count; ++l, out += kLanes) {
        const __m512 v = values(a, lines[l], c);
        if (lines[l].inside == 0xFFFF) {
          _mm512_stream_ps(out, v);
        } else {
          _mm512_mask_storeu_ps(out, lines[l].inside, v);
        }
      }
    }
  }
  _mm_sfence();  // other threads read plain memory after the call
}

}  // namespace voxgemm
