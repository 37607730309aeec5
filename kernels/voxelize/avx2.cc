#include <immintrin.h>

#include "kernels/voxelize/voxelize.h"

namespace voxgemm {
namespace {

constexpr std::int64_t kLanes = 8;

// All bits set where |v| is infinite or NaN.
inline __m256 not_finite(__m256 v) {
  const __m256 magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0F), v);
  return _mm256_cmp_ps(magnitude, _mm256_set1_ps(__FLT_MAX__), _CMP_NLE_UQ);
}

inline __m256 column(const float* points, __m256i offsets) { return _mm256_i32gather_ps(points, offsets, 4); }

inline __m256 broken_points(const VoxelCellsArgs& a, const float* points, __m256i offsets) {
  if (a.stride == a.columns) {  // packed: look at all their floats at once
    __m256 any = _mm256_setzero_ps();
    for (std::int64_t i = 0; i < kLanes * a.columns; i += kLanes) {
      any = _mm256_or_ps(any, not_finite(_mm256_loadu_ps(points + i)));
    }
    if (_mm256_testz_ps(any, any) != 0) return _mm256_setzero_ps();
  }
  __m256 broken = _mm256_setzero_ps();
  for (std::int32_t c = 0; c < a.columns; ++c) {
    broken = _mm256_or_ps(broken, not_finite(column(points + c, offsets)));
  }
  return broken;
}

// Cell number along one axis; clears the lanes of `inside` that lie outside.
inline __m256i axis_cells(__m256 p, float min, float size, std::int32_t cells, __m256& inside) {
  const __m256 quotient = _mm256_div_ps(_mm256_sub_ps(p, _mm256_set1_ps(min)), _mm256_set1_ps(size));
  const __m256 c = _mm256_floor_ps(quotient);
  inside = _mm256_and_ps(inside, _mm256_cmp_ps(c, _mm256_setzero_ps(), _CMP_GE_OQ));
  inside = _mm256_and_ps(inside, _mm256_cmp_ps(c, _mm256_set1_ps(static_cast<float>(cells)), _CMP_LT_OQ));
  return _mm256_cvttps_epi32(c);
}

// Four lanes: packed where inside, else kCellOutside, or kCellNotFinite where broken.
inline void store_cells(std::uint64_t* cells, __m128i x, __m128i y, __m128i z, __m128i y_shift,
                        __m128i z_shift, __m128i inside, __m128i broken) {
  const __m256i zy = _mm256_or_si256(_mm256_sll_epi64(_mm256_cvtepu32_epi64(z), z_shift),
                                     _mm256_sll_epi64(_mm256_cvtepu32_epi64(y), y_shift));
  const __m256i packed = _mm256_or_si256(zy, _mm256_cvtepu32_epi64(x));
  const __m256i outside = _mm256_set1_epi64x(static_cast<long long>(kCellOutside));
  __m256i result = _mm256_blendv_epi8(outside, packed, _mm256_cvtepi32_epi64(inside));
  result = _mm256_or_si256(result, _mm256_cvtepi32_epi64(broken));  // kCellNotFinite is all ones
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(cells), result);
}

}  // namespace

void avx2_voxel_cells(const VoxelCellsArgs& a, RowRange range, Exec exec) noexcept {
  constexpr std::int64_t kMaxStride = 1 << 24;  // lane offsets are 32-bit
  if (a.stride > kMaxStride) return scalar_voxel_cells(a, range, exec);
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i offsets = _mm256_mullo_epi32(lane, _mm256_set1_epi32(static_cast<int>(a.stride)));
  const __m128i y_shift = _mm_cvtsi32_si128(a.grid.y_shift);
  const __m128i z_shift = _mm_cvtsi32_si128(a.grid.z_shift);
  std::int64_t i = range.begin;
  for (; i + kLanes <= range.end; i += kLanes) {
    const float* points = a.points + i * a.stride;
    const __m256 broken = broken_points(a, points, offsets);
    __m256 inside = _mm256_castsi256_ps(_mm256_set1_epi32(-1));
    __m256i at[3];
    for (int axis = 0; axis < 3; ++axis) {
      const auto s = static_cast<std::size_t>(axis);
      at[axis] =
          axis_cells(column(points + axis, offsets), a.grid.min[s], a.grid.size[s], a.grid.cells[s], inside);
    }
    const __m256i in = _mm256_castps_si256(inside);
    const __m256i bad = _mm256_castps_si256(broken);
    store_cells(a.cells + i, _mm256_castsi256_si128(at[0]), _mm256_castsi256_si128(at[1]),
                _mm256_castsi256_si128(at[2]), y_shift, z_shift, _mm256_castsi256_si128(in),
                _mm256_castsi256_si128(bad));
    store_cells(a.cells + i + 4, _mm256_extracti128_si256(at[0], 1), _mm256_extracti128_si256(at[1], 1),
                _mm256_extracti128_si256(at[2], 1), y_shift, z_shift, _mm256_extracti128_si256(in, 1),
                _mm256_extracti128_si256(bad, 1));
  }
  scalar_voxel_cells(a, {i, range.end}, exec);
}

}  // namespace voxgemm
