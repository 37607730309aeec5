// Look-ups in a numbered CoordIndex, for the kernels that read one.
#pragma once

#include "kernels/coord_index/sm80.h"

namespace voxgemm::device {

/// Bits of a word and the rank of its first site; bits = 0 when the word holds none.
struct FoundWord {
  std::uint64_t bits = 0;
  std::int32_t rank = 0;
};

__device__ inline std::uint32_t first_slot(std::uint64_t word, std::int32_t bits) {
  return static_cast<std::uint32_t>(word * 0x9E3779B97F4A7C15ULL >> (64 - bits));
}

__device__ inline FoundWord find_hashed(const WordLookup& in, std::uint64_t word) {
  const std::uint32_t mask = (1U << in.hash_bits) - 1U;
  for (std::uint32_t at = first_slot(word, in.hash_bits);; at = (at + 1) & mask) {
    const std::uint64_t seen = __ldg(in.slot_word + at);
    if (seen == word) return {__ldg(in.slot_bits + at), __ldg(in.slot_rank + at)};
    if (seen == ~std::uint64_t{0}) return {};
  }
}

__device__ inline FoundWord find_word(const WordLookup& in, std::int64_t word) {
  if (in.slot_word != nullptr) return find_hashed(in, static_cast<std::uint64_t>(word));
  const int4 group = __ldg(reinterpret_cast<const int4*>(in.summary) + (word >> 6));
  const std::uint64_t bits = static_cast<std::uint64_t>(static_cast<std::uint32_t>(group.y)) << 32 |
                             static_cast<std::uint32_t>(group.x);
  const auto at = static_cast<std::int32_t>(word & 63);
  if ((bits >> at & 1) == 0) return {};
  const std::int32_t e = group.z + __popcll(bits & ((std::uint64_t{1} << at) - 1));
  const int4 entry = __ldg(reinterpret_cast<const int4*>(in.entries) + e);
  return {static_cast<std::uint64_t>(static_cast<std::uint32_t>(entry.y)) << 32 |
              static_cast<std::uint32_t>(entry.x),
          entry.z};
}

/// Source coordinate of target t under kernel coordinate r, or -1.
__device__ inline std::int32_t source_of(const AxisMap& axis, std::int32_t t, std::int32_t r) {
  const std::int64_t num =
      static_cast<std::int64_t>(t) * axis.mul + static_cast<std::int64_t>(r) * axis.step + axis.offset;
  if (num < 0) return -1;
  if (axis.div == 1) return num < axis.extent ? static_cast<std::int32_t>(num) : -1;
  const std::uint32_t n32 = static_cast<std::uint32_t>(num < 0x7FFFFFFF ? num : 0x7FFFFFFF);
  const std::uint32_t q = n32 / static_cast<std::uint32_t>(axis.div);
  if (num > 0x7FFFFFFE || q * static_cast<std::uint32_t>(axis.div) != n32) return -1;
  return q < static_cast<std::uint32_t>(axis.extent) ? static_cast<std::int32_t>(q) : -1;
}

struct Site {
  std::int32_t batch = 0;
  std::int32_t at[kAxes] = {0, 0, 0, 0};
};

/// Reads a row of indices [1+ndim].
__device__ inline Site read_site(const std::int32_t* __restrict__ rows, std::int32_t ndim, std::int64_t row) {
  Site site;
  if (ndim == 3) {
    const int4 v = __ldg(reinterpret_cast<const int4*>(rows) + row);
    site.batch = v.x;
    site.at[1] = v.y;
    site.at[2] = v.z;
    site.at[3] = v.w;
    return site;
  }
  const std::int32_t* p = rows + row * (1 + ndim);
  site.batch = p[0];
#pragma unroll
  for (int a = 0; a < kAxes; ++a) {
    if (a >= kAxes - ndim) site.at[a] = p[1 + a - (kAxes - ndim)];
  }
  return site;
}

}  // namespace voxgemm::device
