// Pair blocks 16 rows at a time.
#include <immintrin.h>

#include "kernels/pair_blocks/pair_blocks.h"

namespace voxgemm {
namespace {

constexpr std::int32_t kLanes = 16;

inline __mmask16 first_lanes(std::int64_t n) {
  return static_cast<__mmask16>(n >= kLanes ? 0xFFFFU : (n <= 0 ? 0U : (1U << n) - 1U));
}

inline __m512i gray_rank(__m512i key) {
  key = _mm512_xor_si512(key, _mm512_srli_epi32(key, 8));
  key = _mm512_xor_si512(key, _mm512_srli_epi32(key, 4));
  key = _mm512_xor_si512(key, _mm512_srli_epi32(key, 2));
  return _mm512_xor_si512(key, _mm512_srli_epi32(key, 1));
}

// What pattern_key ranks.
inline __m512i pattern_bits(__m512i mask) {
  const __m512i nine = _mm512_set1_epi32(0x1FF);
  const __m512i below = _mm512_and_si512(mask, nine);
  const __m512i middle = _mm512_and_si512(_mm512_srli_epi32(mask, 9), nine);
  const __m512i above = _mm512_and_si512(_mm512_srli_epi32(mask, 18), nine);
  const __m512i columns = _mm512_or_si512(_mm512_or_si512(below, middle), above);
  __m512i key = _mm512_and_si512(columns, _mm512_set1_epi32(0xF));
  key = _mm512_or_si512(key, _mm512_and_si512(_mm512_srli_epi32(columns, 1), _mm512_set1_epi32(0xF0)));
  key = _mm512_mask_or_epi32(key, _mm512_test_epi32_mask(below, below), key, _mm512_set1_epi32(0x100));
  return _mm512_mask_or_epi32(key, _mm512_test_epi32_mask(above, above), key, _mm512_set1_epi32(0x200));
}

void find_keys(const PairBlocksArgs& a, std::int64_t first, std::int32_t count, std::uint16_t* keys) {
  for (std::int32_t r = 0; r < count; r += kLanes) {
    __m512i key = _mm512_setzero_si512();
    if (has_block_keys(a.kv)) {
      const __m512i mask = _mm512_maskz_loadu_epi32(first_lanes(count - r), a.mask + first + r);
      key = gray_rank(a.kv == 27 ? pattern_bits(mask) : mask);
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(keys + r), _mm512_cvtepi32_epi16(key));
  }
}

// Lists the offsets of the block at place `place`, whose rows of the window are local[]. The next place in
// the list is written in any case: no branch guesses.
void list_block(const PairBlocksArgs& a, std::int64_t window, std::int64_t place, std::int32_t rows,
                const std::int32_t* local) {
  const __m512i none = _mm512_set1_epi32(-1);
  const __mmask16 low_lanes = first_lanes(rows);
  const __mmask16 high_lanes = first_lanes(rows - kLanes);
  const __m512i low = _mm512_maskz_loadu_epi32(low_lanes, local);
  const __m512i high = _mm512_maskz_loadu_epi32(high_lanes, local + kLanes);
  const __m512i base = _mm512_set1_epi32(static_cast<std::int32_t>(window));
  _mm512_mask_storeu_epi32(a.order + place, low_lanes, _mm512_add_epi32(base, low));
  _mm512_mask_storeu_epi32(a.order + place + kLanes, high_lanes, _mm512_add_epi32(base, high));
  const std::int64_t block = place / kPairBlockRows;
  std::int32_t* const offsets = a.offsets + block * a.kv;
  std::int32_t* to = a.in_rows + block * a.kv * kPairBlockRows;
  std::int32_t steps = 0;
  for (std::int32_t k = 0; k < a.kv; ++k) {
    const std::int32_t* const table = a.table + k * a.table_stride + window;
    const __m512i x = _mm512_mask_i32gather_epi32(none, low_lanes, low, table, 4);
    const __m512i y = _mm512_mask_i32gather_epi32(none, high_lanes, high, table, 4);
    _mm512_storeu_si512(to, x);
    _mm512_storeu_si512(to + kLanes, y);
    offsets[steps] = k;
    const std::int32_t any = _mm512_movepi32_mask(_mm512_and_si512(x, y)) != 0xFFFFU ? 1 : 0;
    steps += any;
    to += any * kPairBlockRows;
  }
  a.num_steps[block] = steps;
}

}  // namespace

void avx512_pair_blocks(const PairBlocksArgs& a, RowRange windows) noexcept {
  std::uint16_t keys[kPairWindowRows];
  std::uint16_t ends[kPairBlockKeys];
  std::int32_t local[kPairWindowRows];
  for (std::int64_t w = windows.begin; w < windows.end; ++w) {
    const std::int64_t first = w * kPairWindowRows;
    const std::int32_t count = window_rows(a.num_out, w);
    find_keys(a, first, count, keys);
    sort_by_key(keys, count, ends, local);
    for (std::int32_t r = 0; r < count; r += kPairBlockRows) {
      list_block(a, first, first + r, count - r < kPairBlockRows ? count - r : kPairBlockRows, local + r);
    }
  }
}

}  // namespace voxgemm
