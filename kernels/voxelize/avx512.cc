#include <immintrin.h>

#include "kernels/voxelize/voxelize.h"

namespace voxgemm {
namespace {

constexpr std::int64_t kLanes = 16;
constexpr int kNotFinite = 0x99;  // QNaN, +inf, -inf, SNaN for fpclass

inline __mmask16 lanes_of(std::int64_t n) {
  return static_cast<__mmask16>(n >= kLanes ? 0xFFFFU : (1U << n) - 1U);
}

inline __m512 column(const float* points, __m512i offsets, __mmask16 lanes) {
  return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), lanes, offsets, points, 4);
}

// Points with a column that is not finite.
inline __mmask16 broken_points(const VoxelCellsArgs& a, const float* points, __m512i offsets,
                               __mmask16 lanes) {
  if (a.stride == a.columns && lanes == 0xFFFFU) {  // packed: look at all their floats at once
    const std::int64_t floats = kLanes * a.columns;
    __mmask16 any = 0;
    for (std::int64_t i = 0; i < floats; i += kLanes) {
      any = static_cast<__mmask16>(any | _mm512_fpclass_ps_mask(_mm512_loadu_ps(points + i), kNotFinite));
    }
    if (any == 0) return 0;
  }
  __mmask16 broken = 0;
  for (std::int32_t c = 0; c < a.columns; ++c) {
    const __mmask16 bad = _mm512_fpclass_ps_mask(column(points + c, offsets, lanes), kNotFinite);
    broken = static_cast<__mmask16>(broken | bad);
  }
  return broken;
}

// Cell number along one axis; clears the lanes of `inside` that lie outside.
inline __m512i axis_cells(__m512 p, float min, float size, std::int32_t cells, __mmask16& inside) {
  const __m512 quotient = _mm512_div_ps(_mm512_sub_ps(p, _mm512_set1_ps(min)), _mm512_set1_ps(size));
  const __m512 c = _mm512_roundscale_ps(quotient, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  inside = _mm512_mask_cmp_ps_mask(inside, c, _mm512_setzero_ps(), _CMP_GE_OQ);
  inside = _mm512_mask_cmp_ps_mask(inside, c, _mm512_set1_ps(static_cast<float>(cells)), _CMP_LT_OQ);
  return _mm512_maskz_cvttps_epi32(inside, c);
}

// Eight lanes of packed cells from 32-bit numbers along the axes.
inline __m512i pack_cells(__m256i x, __m256i y, __m256i z, __m128i y_shift, __m128i z_shift) {
  const __m512i zy = _mm512_or_si512(_mm512_sll_epi64(_mm512_cvtepu32_epi64(z), z_shift),
                                     _mm512_sll_epi64(_mm512_cvtepu32_epi64(y), y_shift));
  return _mm512_or_si512(zy, _mm512_cvtepu32_epi64(x));
}

inline void store_cells(std::uint64_t* cells, __mmask8 lanes, __m512i packed, __mmask8 inside,
                        __mmask8 broken) {
  const __m512i outside = _mm512_set1_epi64(static_cast<long long>(kCellOutside));
  const __m512i not_finite = _mm512_set1_epi64(static_cast<long long>(kCellNotFinite));
  packed = _mm512_mask_mov_epi64(outside, inside, packed);
  packed = _mm512_mask_mov_epi64(packed, broken, not_finite);
  _mm512_mask_storeu_epi64(cells, lanes, packed);
}

}  // namespace

void avx512_voxel_cells(const VoxelCellsArgs& a, RowRange range, Exec exec) noexcept {
  constexpr std::int64_t kMaxStride = 1 << 24;  // lane offsets are 32-bit
  if (a.stride > kMaxStride) return scalar_voxel_cells(a, range, exec);
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i offsets = _mm512_mullo_epi32(lane, _mm512_set1_epi32(static_cast<int>(a.stride)));
  const __m128i y_shift = _mm_cvtsi32_si128(a.grid.y_shift);
  const __m128i z_shift = _mm_cvtsi32_si128(a.grid.z_shift);
  for (std::int64_t i = range.begin; i < range.end; i += kLanes) {
    const __mmask16 lanes = lanes_of(range.end - i);
    const float* points = a.points + i * a.stride;
    const __mmask16 broken = broken_points(a, points, offsets, lanes);
    __mmask16 inside = static_cast<__mmask16>(lanes & ~broken);
    __m512i at[3];
    for (int axis = 0; axis < 3; ++axis) {
      const auto s = static_cast<std::size_t>(axis);
      at[axis] = axis_cells(column(points + axis, offsets, lanes), a.grid.min[s], a.grid.size[s],
                            a.grid.cells[s], inside);
    }
    store_cells(a.cells + i, static_cast<__mmask8>(lanes),
                pack_cells(_mm512_castsi512_si256(at[0]), _mm512_castsi512_si256(at[1]),
                           _mm512_castsi512_si256(at[2]), y_shift, z_shift),
                static_cast<__mmask8>(inside), static_cast<__mmask8>(broken));
    store_cells(a.cells + i + 8, static_cast<__mmask8>(lanes >> 8),
                pack_cells(_mm512_extracti64x4_epi64(at[0], 1), _mm512_extracti64x4_epi64(at[1], 1),
                           _mm512_extracti64x4_epi64(at[2], 1), y_shift, z_shift),
                static_cast<__mmask8>(inside >> 8), static_cast<__mmask8>(broken >> 8));
  }
}

}  // namespace voxgemm
