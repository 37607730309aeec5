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
  __mmask16 sites;   // that have a row
  __mmask16 inside;  // of the plane
};

// (b*Z + z)*Y*X + y*X + x of a row.
std::int64_t site_key(const ScatterDenseArgs& a, std::int64_t row) {
  const std::int32_t* index = a.indices + row * (1 + a.ndim);
  std::int64_t key = index[0];
  for (std::int32_t axis = 0; axis < a.ndim; ++axis) key = key * extents(a)[axis] + index[1 + axis];
  return key;
}

std::int64_t first_row_from(const ScatterDenseArgs& a, std::int64_t key) {
  std::int64_t lo = 0;
  std::int64_t hi = a.rows;
  while (lo < hi) {
    const std::int64_t middle = (lo + hi) / 2;
    if (site_key(a, middle) < key) {
      lo = middle + 1;
    } else {
      hi = middle;
    }
  }
  return lo;
}

// Lines of 64 bytes that the planes touch; every plane begins `shift` elements into its first line.
struct Planes {
  std::int64_t size;
  std::int64_t depth;  // Z
  std::int64_t shift;
  std::int64_t strips;

  explicit Planes(const ScatterDenseArgs& a) {
    const std::int32_t n = a.ndim;
    size = extents(a)[n - 1];
    if (n > 1) size *= extents(a)[n - 2];
    depth = 1;
    for (std::int32_t axis = 0; axis < n - 2; ++axis) depth *= extents(a)[axis];
    shift = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(a.out) % 64 / 4);
    const std::int64_t lines = (size + shift + kLanes - 1) / kLanes;
    strips = (lines + kStripLines - 1) / kStripLines;
  }
};

// Lines of a strip that begins at site `first` (perhaps before the plane) of plane `plane` = b*Z + z. Returns
// their number.
std::int32_t list_lines(const ScatterDenseArgs& a, const Planes& planes, std::int64_t plane,
                        std::int64_t first, Line* lines) {
  const std::int64_t base = plane * planes.size;
  std::int64_t row = first_row_from(a, base + (first < 0 ? 0 : first));
  std::int64_t at = row < a.rows ? site_key(a, row) - base : planes.size;
  std::int32_t count = 0;
  for (; count < kStripLines && first < planes.size; ++count, first += kLanes) {
    std::uint32_t inside = 0xFFFFU;
    if (first < 0) inside &= inside << -first;
    if (planes.size - first < kLanes) inside &= (1U << (planes.size - first)) - 1U;
    Line& line = lines[count];
    line.first_row = row;
    std::uint32_t sites = 0;
    while (at < first + kLanes && at < planes.size) {
      sites |= 1U << (at - first);
      ++row;
      at = row < a.rows ? site_key(a, row) - base : planes.size;
    }
    line.sites = static_cast<__mmask16>(sites);
    line.inside = static_cast<__mmask16>(inside);
  }
  return count;
}

__m512 values(const ScatterDenseArgs& a, const Line& line, std::int32_t channel, __m512i columns) {
  if (line.sites == 0) return _mm512_setzero_ps();
  const float* from = static_cast<const float*>(a.features) + line.first_row * a.stride + channel;
  const std::int32_t rows = __builtin_popcount(line.sites);
  const auto some = static_cast<__mmask16>((1U << rows) - 1U);
  return _mm512_maskz_expand_ps(line.sites,
                                _mm512_mask_i32gather_ps(_mm512_setzero_ps(), some, columns, from, 4));
}

}  // namespace

std::int64_t avx512_scatter_strips(const ScatterDenseArgs& a) noexcept {
  const Planes planes(a);
  const bool whole_lines = planes.size % kLanes == 0 && reinterpret_cast<std::uintptr_t>(a.out) % 4 == 0;
  if (a.channels_last || a.element_bytes != 4 || !whole_lines || a.stride > (1 << 24)) return 0;
  return a.batch_size * planes.depth * planes.strips;
}

void avx512_scatter_ordered(const ScatterDenseArgs& a, RowRange strips) noexcept {
  const Planes planes(a);
  const __m512i columns =
      _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                         _mm512_set1_epi32(static_cast<std::int32_t>(a.stride)));
  Line lines[kStripLines];
  for (std::int64_t s = strips.begin; s < strips.end; ++s) {
    const std::int64_t plane = s / planes.strips;
    const std::int64_t first = s % planes.strips * kStripLines * kLanes - planes.shift;
    const std::int32_t count = list_lines(a, planes, plane, first, lines);
    const std::int64_t batch = plane / planes.depth;
    for (std::int32_t c = 0; c < a.channels; ++c) {
      const std::int64_t to = (batch * a.channels + c) * planes.depth + plane % planes.depth;
      float* out = static_cast<float*>(a.out) + to * planes.size + first;
      for (std::int32_t l = 0; l < count; ++l, out += kLanes) {
        const __m512 v = values(a, lines[l], c, columns);
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
