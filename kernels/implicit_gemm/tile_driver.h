// The loop that all vector rows share: sub-tiles, channel blocks, offsets, then the epilogue. What differs is
// a policy P:
//   using In, Weight, Sum, Operands        elements; Operands = PairOperands<In, Weight, Sum>
//   kDepth                                 channels of a step
//   kRowSums                               whether 128 * row sums must be taken off the sums
//   static list(operands)                  function that multiplies the pairs of one offset (operands, list),
//                                          or of all (operands, cursor, walk): short lists then save a call
//                                          through a pointer each
//   static void finish(args, block, units) epilogue
// ISA files only.
#pragma once

#include <type_traits>

#include "kernels/implicit_gemm/block_layout.h"
#include "kernels/implicit_gemm/finish_block.h"
#include "kernels/implicit_gemm/implicit_gemm.h"
#include "kernels/implicit_gemm/tile_cursor.h"

namespace voxgemm {
namespace {  // internal linkage: every ISA file keeps its own copy

/// What a list of pairs is multiplied with.
template <typename In, typename Weight, typename Sum>
struct PairOperands {
  const In* in = nullptr;  // [n_in][in_stride]
  std::int64_t in_stride = 0;
  const Weight* weights = nullptr;  // of one offset and channel block: (steps, units, 16, depth)
  std::int32_t c_in = 0;
  std::int32_t steps = 0;
  std::int32_t units = 0;
  Sum* acc = nullptr;                      // (units, tile rows, 16), units accumulator_plane() apart
  const std::int32_t* row_sums = nullptr;  // [n_in] and
  std::int32_t* corrections = nullptr;  // (tile rows): the sums of every output row's inputs; kRowSums only
};

/// The offsets of one sub-tile and channel block.
struct ListWalk {
  std::int32_t kv = 0;
  std::int32_t end_row = 0;
  std::int64_t weights_step = 0;  // from one offset to the next
};

/// multiply(o, list) for every offset that has pairs. Leaves o.weights behind the last offset's.
template <typename Operands, typename Multiply>
[[gnu::always_inline]] inline void walk_lists(Operands& o, TileCursor& cursor, const ListWalk& walk,
                                              const Multiply& multiply) {
  for (std::int32_t k = 0; k < walk.kv; ++k, o.weights += walk.weights_step) {
    const PairList list = cursor.take(k, walk.end_row);
    if (list.count > 0) multiply(o, list);
  }
}

template <typename P>
void run_sub_tile(const ImplicitGemmArgs& a, TileCursor& cursor, std::int64_t tile_row, std::int32_t begin,
                  std::int32_t end, typename P::Sum* acc) {
  std::int32_t corrections[2][P::kRowSums ? accumulator_rows(1) : 1];
  const std::int32_t rows = end - begin;
  const std::int32_t c_out = a.problem.c_out;
  typename P::Operands o;
  o.in = static_cast<const typename P::In*>(a.in);
  o.in_stride = a.in_stride;
  o.weights = static_cast<const typename P::Weight*>(a.weights);
  o.c_in = a.problem.c_in;
  o.steps = num_steps(a.problem.c_in, P::kDepth);
  o.row_sums = a.row_sums;
  if (P::kRowSums) __builtin_memset(corrections, 0, sizeof corrections);
  for (std::int32_t b = 0; b < num_blocks(c_out); ++b) {
    o.units = block_units(c_out, b);
    const auto multiply = P::list(o);
    o.acc = acc - std::int64_t{begin} * kUnitChannels;
    o.corrections = corrections[b == 0 ? 0 : 1] - begin;  // the first block's serve all
    const ListWalk walk{a.problem.kv, end, offset_weights(o.c_in, P::kDepth, o.units)};
    if constexpr (std::is_invocable_v<decltype(multiply), typename P::Operands&, const PairList&>) {
      walk_lists(o, cursor, walk, multiply);
    } else {
      multiply(o, cursor, walk);
    }
    if (P::kRowSums && b == 0) {
      for (std::int32_t i = 0; i < rows; ++i) corrections[0][i] *= 128;
    }
    P::finish(a,
              {.acc = acc,
               .corrections = P::kRowSums ? corrections[0] : nullptr,
               .first_row = tile_row + begin,
               .rows = rows,
               .channel = first_unit(c_out, b) * kUnitChannels},
              o.units);
  }
  cursor.advance();
}

template <typename P>
void run_tiles(const ImplicitGemmArgs& a, RowRange tiles) {
  alignas(64) typename P::Sum acc[kMostSums];  // zeros whenever a sub-tile starts
  __builtin_memset(acc, 0, sizeof acc);
  const std::int32_t tile_rows = a.pairs.tiles.tile_rows;
  const std::int32_t most = accumulator_rows(widest_block(a.problem.c_out));
  const std::int32_t parts = (tile_rows + most - 1) / most;
  const std::int32_t step = (tile_rows + parts - 1) / parts;  // sub-tiles of like size
  for (std::int64_t tile = tiles.begin; tile < tiles.end; ++tile) {
    TileCursor cursor(a.pairs, tile);
    const std::int64_t first = tile * tile_rows;
    const std::int64_t left = a.pairs.num_out - first;
    const auto rows = static_cast<std::int32_t>(left < tile_rows ? left : tile_rows);
    for (std::int32_t begin = 0; begin < rows; begin += step) {
      run_sub_tile<P>(a, cursor, first, begin, begin + step < rows ? begin + step : rows, acc);
    }
  }
}

}  // namespace
}  // namespace voxgemm
