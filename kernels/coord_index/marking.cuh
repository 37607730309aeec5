// Marking cells: of a row, and those of another level that the sites of a word reach.
#pragma once

#include "kernels/coord_index/places.cuh"

namespace voxgemm::device {

inline constexpr unsigned long long kFreeSlot = ~0ULL;

__device__ inline void mark_hashed(const HashedWords& hash, std::uint64_t word, std::uint64_t bits) {
  auto* words = reinterpret_cast<unsigned long long*>(hash.slot_word);
  const std::uint32_t mask = (1U << hash.bits) - 1U;
  for (std::uint32_t at = first_slot(word, hash.bits);; at = (at + 1) & mask) {
    unsigned long long seen = __ldcg(words + at);
    if (seen == kFreeSlot) {
      seen = atomicCAS(words + at, kFreeSlot, word);
      if (seen == kFreeSlot) {
        const std::int32_t i = atomicAdd(hash.num_words, 1);
        hash.list_slots[i] = static_cast<std::int32_t>(at);
        hash.list_keys[2 * static_cast<std::int64_t>(i)] = static_cast<std::uint32_t>(word & 0x3FFFFFFFU);
        hash.list_keys[2 * static_cast<std::int64_t>(i) + 1] = static_cast<std::uint32_t>(word >> 30);
        seen = word;
      }
    }
    if (seen == word) {
      atomicOr(reinterpret_cast<unsigned long long*>(hash.slot_bits + at),
               static_cast<unsigned long long>(bits));
      return;
    }
  }
}

__device__ inline void mark_word(const CoordIndex& index, std::int64_t word, std::uint64_t bits) {
  if (index.hash.slot_word != nullptr) return mark_hashed(index.hash, static_cast<std::uint64_t>(word), bits);
  auto* at = reinterpret_cast<unsigned long long*>(index.words + word);
  if (atomicOr(at, static_cast<unsigned long long>(bits)) == 0) {
    atomicOr(reinterpret_cast<unsigned long long*>(index.touched + (word >> 6)), 1ULL << (word & 63));
  }
}

// The same without waiting for an answer: fewer round trips, more atomics.
__device__ inline void mark_reached_bits(const CoordIndex& index, std::int64_t word, std::uint64_t bits) {
  if (index.hash.slot_word != nullptr) return mark_hashed(index.hash, static_cast<std::uint64_t>(word), bits);
  atomicOr(reinterpret_cast<unsigned long long*>(index.words + word), static_cast<unsigned long long>(bits));
  atomicOr(reinterpret_cast<unsigned long long*>(index.touched + (word >> 6)), 1ULL << (word & 63));
}

// Even bits of v, packed.
__device__ inline std::uint64_t even_bits(std::uint64_t v) {
  v &= 0x5555555555555555ULL;
  v = (v | v >> 1) & 0x3333333333333333ULL;
  v = (v | v >> 2) & 0x0F0F0F0F0F0F0F0FULL;
  v = (v | v >> 4) & 0x00FF00FF00FF00FFULL;
  v = (v | v >> 8) & 0x0000FFFF0000FFFFULL;
  return (v | v >> 16) & 0x00000000FFFFFFFFULL;
}

// Three consecutive target words, the middle one `middle`.
struct Reach {
  std::uint64_t bits[3] = {0, 0, 0};
  std::int32_t middle = 0;

  __device__ void add(std::uint64_t v, std::int32_t shift) {
    if (shift >= 0) {
      bits[1] |= v << shift;
      if (shift > 0) bits[2] |= v >> (64 - shift);
    } else {
      bits[1] |= v >> -shift;
      bits[0] |= v << (64 + shift);
    }
  }
};

// Cells along the innermost axis that the sites of one source word reach; false when this form does not
// apply.
__device__ inline bool reach_line(const AxisMap& axis, std::uint64_t bits, std::int32_t word_x,
                                  Reach& reach) {
  if (axis.mul != 1 || axis.div > 2) return false;
  const std::int32_t last = axis.offset + (axis.kernel - 1) * axis.step;
  if (max(abs(axis.offset), abs(last)) > 60) return false;
  reach.middle = axis.div == 1 ? word_x : word_x >> 1;
  for (std::int32_t r = 0; r < axis.kernel; ++r) {
    const std::int32_t c = axis.offset + r * axis.step;
    if (axis.div == 1) {
      reach.add(bits, c);
    } else {
      const std::int32_t odd = c & 1;
      reach.add(even_bits(bits >> odd), 32 * (word_x & 1) + ((odd + c) >> 1));
    }
  }
  return true;
}

__device__ inline void mark_line(const CoordIndex& to, std::int64_t line, const Reach& reach) {
  const Grid& grid = to.grid;
#pragma unroll
  for (int j = 0; j < 3; ++j) {
    const std::int32_t x = reach.middle + j - 1;
    if (reach.bits[j] == 0 || x < 0 || x >= grid.line_words) continue;
    std::uint64_t bits = reach.bits[j];
    const std::int32_t valid = grid.extent[3] - 64 * x;
    if (valid < 64) bits &= (std::uint64_t{1} << valid) - 1;
    if (bits != 0) mark_reached_bits(to, line * grid.line_words + x, bits);
  }
}

// Sites of a word that reach the target line one by one: any stride and spacing.
__device__ inline void mark_bits(const ReachedLevel& to, std::int64_t line, std::uint64_t bits,
                                 std::int32_t word_x) {
  const AxisMap& axis = to.reach[3];
  for (; bits != 0; bits &= bits - 1) {
    const std::int32_t x = 64 * word_x + __ffsll(static_cast<long long>(bits)) - 1;
    for (std::int32_t r = 0; r < axis.kernel; ++r) {
      const std::int32_t t = source_of(axis, x, r);
      if (t >= 0)
        mark_reached_bits(to.index, line * to.index.grid.line_words + (t >> 6), std::uint64_t{1} << (t & 63));
    }
  }
}

// The kernel coordinates under which a site can reach anything along one axis: one in `div` when steps are
// single.
struct Choices {
  std::int32_t step = 1;
  std::int32_t count = 1;
};

__device__ inline Choices choices_of(const AxisMap& axis) {
  if (axis.mul != 1 || axis.step != -1) return {1, axis.kernel};
  return {axis.div, (axis.kernel + axis.div - 1) / axis.div};
}

// Target of choice j, or -1.
__device__ inline std::int32_t chosen_target(const AxisMap& axis, const Choices& choices, std::int32_t at,
                                             std::int32_t j) {
  std::int32_t r = j * choices.step;
  if (choices.step > 1) {
    const std::int32_t rest = (at + axis.offset) % choices.step;
    r += rest < 0 ? rest + choices.step : rest;
  }
  return r < axis.kernel ? source_of(axis, at, r) : -1;
}

struct OuterChoices {
  Choices axis[3];
  std::int32_t total = 1;
};

__device__ inline OuterChoices outer_choices(const ReachedLevel& to) {
  OuterChoices outer;
#pragma unroll
  for (int a = 0; a < 3; ++a) {
    outer.axis[a] = choices_of(to.reach[a]);
    outer.total *= outer.axis[a].count;
  }
  return outer;
}

// One combination of the outer kernel coordinates for one word.
__device__ inline void mark_reached_word(const ReachedLevel& to, const OuterChoices& outer,
                                         const WordPlace& p, std::uint64_t bits, std::int32_t choice) {
  const std::int32_t rest = choice / outer.axis[2].count;
  const std::int32_t j2 = choice - rest * outer.axis[2].count;
  const std::int32_t j0 = rest / outer.axis[1].count;
  const std::int32_t j1 = rest - j0 * outer.axis[1].count;
  const std::int32_t t2 = chosen_target(to.reach[2], outer.axis[2], p.at[2], j2);
  const std::int32_t t1 = chosen_target(to.reach[1], outer.axis[1], p.at[1], j1);
  const std::int32_t t0 = chosen_target(to.reach[0], outer.axis[0], p.at[0], j0);
  if (t0 < 0 || t1 < 0 || t2 < 0) return;
  const std::int64_t line = line_of(to.index.grid, p.batch, t0, t1, t2);
  Reach reach;
  if (reach_line(to.reach[3], bits, p.word_x, reach)) {
    mark_line(to.index, line, reach);
  } else {
    mark_bits(to, line, bits, p.word_x);
  }
}

}  // namespace voxgemm::device
