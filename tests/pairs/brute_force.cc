#include "tests/pairs/brute_force.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace voxgemm::test {
namespace {

using Row = std::vector<std::int32_t>;

bool related(const ConvGeometry& g, int a, std::int32_t in, std::int32_t out, std::int32_t r) {
  switch (g.kind) {
    case ConvKind::kSubm:
      return in == out + (r - g.kernel_size[a] / 2) * g.dilation[a];
    case ConvKind::kRegular:
      return in == out * g.stride[a] - g.padding[a] + r * g.dilation[a];
    case ConvKind::kTransposed:
      return out == in * g.stride[a] - g.padding[a] + r * g.dilation[a];
  }
  return false;
}

// Offset that relates the two sites, one per kernel coordinate combination; calls visit(k) for each.
template <typename Visit>
void for_each_offset(const ConvGeometry& g, const Row& in, const Row& out, Visit&& visit) {
  if (in[0] != out[0]) return;
  const int ndim = g.kernel_size.ndim;
  for (std::int32_t k = 0; k < g.kernel_volume(); ++k) {
    std::int32_t rest = k;
    bool holds = true;
    for (int a = ndim - 1; a >= 0; --a) {
      const auto c = static_cast<std::size_t>(1 + a);
      holds = holds && related(g, a, in[c], out[c], rest % g.kernel_size[a]);
      rest /= g.kernel_size[a];
    }
    if (holds) visit(k);
  }
}

std::vector<Row> rows_of(const std::vector<std::int32_t>& indices, int ndim) {
  std::vector<Row> rows;
  for (auto at = indices.begin(); at != indices.end(); at += 1 + ndim) rows.emplace_back(at, at + 1 + ndim);
  return rows;
}

std::vector<Row> cells_of(const Dims& shape, std::int32_t batch) {
  std::vector<Row> cells;
  for (std::int64_t cell = 0; cell < batch * shape.product(); ++cell) {
    Row row(static_cast<std::size_t>(1 + shape.ndim));
    std::int64_t rest = cell;
    for (int a = shape.ndim - 1; a >= 0; --a) {
      row[static_cast<std::size_t>(1 + a)] = static_cast<std::int32_t>(rest % shape[a]);
      rest /= shape[a];
    }
    row[0] = static_cast<std::int32_t>(rest);
    cells.push_back(row);
  }
  return cells;
}

void expect_tiles(const TilePairsView& tiles, std::int32_t kv, std::int32_t rows,
                  const std::vector<std::int32_t>& table) {
  ASSERT_GT(tiles.tile_rows, 0);
  ASSERT_EQ(tiles.num_tiles, (rows + tiles.tile_rows - 1) / tiles.tile_rows);
  ASSERT_EQ(tiles.start[0], 0);
  std::int32_t at = 0;
  for (std::int32_t t = 0; t < tiles.num_tiles; ++t) {
    for (std::int32_t k = 0; k < kv; ++k) {
      ASSERT_EQ(tiles.start[t * kv + k], at) << "tile " << t << " offset " << k;
      for (std::int32_t o = t * tiles.tile_rows; o < std::min(rows, (t + 1) * tiles.tile_rows); ++o) {
        const std::int32_t in =
            table[static_cast<std::size_t>(k) * static_cast<std::size_t>(rows) + static_cast<std::size_t>(o)];
        if (in < 0) continue;
        ASSERT_LT(at, tiles.start[t * kv + k + 1]) << "tile " << t << " offset " << k;
        ASSERT_EQ(tiles.in_rows[at], in) << "tile " << t << " offset " << k;
        ASSERT_EQ(tiles.out_rows[at], o - t * tiles.tile_rows) << "tile " << t << " offset " << k;
        ++at;
      }
    }
  }
  ASSERT_EQ(tiles.start[static_cast<std::int64_t>(tiles.num_tiles) * kv], at);
}

void expect_table(const std::int32_t* table, std::int64_t stride, std::int32_t kv, std::int32_t rows,
                  const std::vector<std::int32_t>& want) {
  ASSERT_GE(stride, rows);
  for (std::int32_t k = 0; k < kv; ++k) {
    for (std::int32_t i = 0; i < rows; ++i) {
      ASSERT_EQ(
          table[k * stride + i],
          want[static_cast<std::size_t>(k) * static_cast<std::size_t>(rows) + static_cast<std::size_t>(i)])
          << "offset " << k << " row " << i;
    }
  }
}

}  // namespace

BruteMap brute_force(const Scene& scene, const ConvGeometry& geometry, std::int32_t out_capacity) {
  const int ndim = scene.shape.ndim;
  const ConvGeometry g = geometry.normalized(ndim);
  BruteMap map;
  map.kv = g.kernel_volume();
  map.n_in = scene.n();
  map.out_shape = g.out_shape(scene.shape);
  const std::vector<Row> in = rows_of(scene.indices, ndim);
  std::vector<Row> out;
  if (g.kind == ConvKind::kSubm) {
    out = in;
  } else {
    for (const Row& cell : cells_of(map.out_shape, scene.batch)) {
      bool reached = false;
      for (const Row& i : in) for_each_offset(g, i, cell, [&](std::int32_t) { reached = true; });
      if (reached) out.push_back(cell);
    }
    if (out_capacity >= 0 && out.size() > static_cast<std::size_t>(out_capacity))
      out.resize(static_cast<std::size_t>(out_capacity));
  }
  map.num_out = static_cast<std::int32_t>(out.size());
  map.fwd.assign(static_cast<std::size_t>(map.kv) * out.size(), -1);
  map.bwd.assign(static_cast<std::size_t>(map.kv) * in.size(), -1);
  for (std::size_t o = 0; o < out.size(); ++o) {
    map.out_indices.insert(map.out_indices.end(), out[o].begin(), out[o].end());
    for (std::size_t i = 0; i < in.size(); ++i) {
      for_each_offset(g, in[i], out[o], [&](std::int32_t k) {
        map.fwd[static_cast<std::size_t>(k) * out.size() + o] = static_cast<std::int32_t>(i);
        map.bwd[static_cast<std::size_t>(k) * in.size() + i] = static_cast<std::int32_t>(o);
        ++map.pairs;
      });
    }
  }
  return map;
}

void expect_blocks(const IndicePairsView& view) {
  const BlockPairsView& b = view.blocks;
  std::vector<bool> seen(static_cast<std::size_t>(view.num_out), false);
  std::int64_t pairs = 0;
  for (std::int32_t place = 0; place < view.num_out; ++place) {
    const std::int32_t row = b.order[place];
    ASSERT_GE(row, 0);
    ASSERT_LT(row, view.num_out);
    ASSERT_EQ(row / 1024, place / 1024) << "windows keep to themselves";
    ASSERT_FALSE(seen[static_cast<std::size_t>(row)]);
    seen[static_cast<std::size_t>(row)] = true;
    for (std::int32_t k = 0; k < view.kv; ++k)
      pairs += view.pair_fwd[k * view.pair_stride + row] >= 0 ? 1 : 0;
  }
  for (std::int64_t block = 0; block * kPairBlockRows < view.num_out; ++block) {
    std::int32_t last = -1;
    ASSERT_LE(b.num_steps[block], view.kv);
    for (std::int32_t i = 0; i < b.num_steps[block]; ++i) {
      const std::int64_t step = block * view.kv + i;
      const std::int32_t k = b.offsets[step];
      ASSERT_GT(k, last);
      ASSERT_LT(k, view.kv);
      last = k;
      std::int32_t present = 0;
      for (std::int64_t r = 0; r < kPairBlockRows; ++r) {
        const std::int64_t place = block * kPairBlockRows + r;
        const std::int32_t want =
            place < view.num_out ? view.pair_fwd[k * view.pair_stride + b.order[place]] : -1;
        ASSERT_EQ(b.in_rows[step * kPairBlockRows + r], want) << "block " << block << " offset " << k;
        present += want >= 0 ? 1 : 0;
      }
      ASSERT_GT(present, 0);
      pairs -= present;
    }
  }
  EXPECT_EQ(pairs, 0);
}

void expect_map(const IndicePairsView& view, const BruteMap& want, std::int64_t num_pairs) {
  ASSERT_EQ(view.kv, want.kv);
  ASSERT_EQ(view.n_in, want.n_in);
  ASSERT_EQ(view.num_out, want.num_out);
  ASSERT_GE(view.out_capacity, view.num_out);
  EXPECT_EQ(num_pairs, want.pairs);
  for (std::size_t at = 0; at < want.out_indices.size(); ++at)
    ASSERT_EQ(view.out_indices[at], want.out_indices[at]);
  if (view.pair_fwd != nullptr) {
    expect_table(view.pair_fwd, view.pair_stride, want.kv, want.num_out, want.fwd);
    ASSERT_EQ(view.mask_words, (want.kv + 31) / 32);
    for (std::int32_t i = 0; i < want.num_out; ++i) {
      for (std::int32_t k = 0; k < view.mask_words * 32; ++k) {
        const bool bit = (view.mask[i * view.mask_words + k / 32] >> (k % 32) & 1U) != 0;
        const bool present =
            k < want.kv && want.fwd[static_cast<std::size_t>(k) * static_cast<std::size_t>(want.num_out) +
                                    static_cast<std::size_t>(i)] >= 0;
        ASSERT_EQ(bit, present) << "row " << i << " offset " << k;
      }
    }
  }
  if (view.pair_bwd != nullptr) expect_table(view.pair_bwd, view.bwd_stride, want.kv, want.n_in, want.bwd);
  if (view.blocks.order != nullptr) expect_blocks(view);
  if (view.tiles.start != nullptr) expect_tiles(view.tiles, want.kv, want.num_out, want.fwd);
  if (view.tiles_bwd.start != nullptr) expect_tiles(view.tiles_bwd, want.kv, want.n_in, want.bwd);
}

ConvGeometry random_geometry(const Dims& shape, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto pick = [&](std::int32_t lo, std::int32_t hi) {
    return lo + static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(hi - lo + 1));
  };
  for (;;) {
    ConvGeometry g;
    g.kind = static_cast<ConvKind>(pick(0, 2));
    const int ndim = shape.ndim;
    for (Dims* dims : {&g.kernel_size, &g.stride, &g.padding, &g.dilation, &g.out_padding}) dims->ndim = ndim;
    for (int a = 0; a < ndim; ++a) {
      const bool subm = g.kind == ConvKind::kSubm;
      g.kernel_size[a] = subm ? 2 * pick(0, 2) + 1 : pick(1, ndim == 4 ? 3 : 4);
      g.stride[a] = subm ? 1 : pick(1, 3);
      g.padding[a] = pick(0, 2);
      g.dilation[a] = pick(1, 3);
      g.out_padding[a] = g.kind == ConvKind::kTransposed ? pick(0, 1) : 0;
    }
    if (g.kernel_size.product() > kMaxKernelVolume) continue;
    try {
      if (g.out_shape(shape).product() <= 3000) return g;
    } catch (const Error&) {
      continue;  // an empty output: draw again
    }
  }
}

}  // namespace voxgemm::test
