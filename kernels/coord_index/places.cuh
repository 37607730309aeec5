// Where sites and words lie in a grid: rows of indices, lines of the innermost axis, words of a line.
#pragma once

#include "kernels/coord_index/lookup.cuh"

namespace voxgemm::device {

__device__ inline std::int64_t line_of(const Grid& grid, std::int32_t b, std::int32_t a0, std::int32_t a1,
                                       std::int32_t a2) {
  return ((static_cast<std::int64_t>(b) * grid.extent[0] + a0) * grid.extent[1] + a1) * grid.extent[2] + a2;
}

__device__ inline bool inside(const Grid& grid, const Site& site) {
  bool ok = site.batch >= 0 && site.batch < grid.batch;
#pragma unroll
  for (int a = 0; a < kAxes; ++a) ok = ok && site.at[a] >= 0 && site.at[a] < grid.extent[a];
  return ok;
}

__device__ inline void write_row(const Grid& grid, const Site& site, std::int32_t* row) {
  if (grid.ndim == 3) {
    *reinterpret_cast<int4*>(row) = make_int4(site.batch, site.at[1], site.at[2], site.at[3]);
    return;
  }
  row[0] = site.batch;
#pragma unroll
  for (int a = 0; a < kAxes; ++a) {
    if (a >= kAxes - grid.ndim) row[1 + a - (kAxes - grid.ndim)] = site.at[a];
  }
}

struct WordPlace {
  std::int32_t batch = 0;
  std::int32_t at[3] = {0, 0, 0};
  std::int32_t word_x = 0;
};

template <typename Index>
__device__ inline WordPlace split_word(const Grid& grid, Index rest) {
  const auto pop = [&](std::int32_t extent) {
    const Index q = rest / static_cast<Index>(extent);
    const auto r = static_cast<std::int32_t>(rest - q * static_cast<Index>(extent));
    rest = q;
    return r;
  };
  WordPlace p;
  p.word_x = pop(grid.line_words);
  p.at[2] = pop(grid.extent[2]);
  p.at[1] = pop(grid.extent[1]);
  p.at[0] = pop(grid.extent[0]);
  p.batch = static_cast<std::int32_t>(rest);
  return p;
}

__device__ inline WordPlace place_of(const Grid& grid, std::uint64_t word) {
  if (word >> 32 == 0) return split_word(grid, static_cast<std::uint32_t>(word));
  return split_word(grid, word);
}

}  // namespace voxgemm::device
