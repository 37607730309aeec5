// Borrowed kernel maps: what a kernel reads. Nothing here owns memory or throws.
#pragma once

#include <array>
#include <cstdint>

#include "voxgemm/types.h"

namespace voxgemm {

inline constexpr std::int32_t kMaxKernelVolume = 343;
inline constexpr std::int32_t kMaxMaskSplits = 4;

/// Forms of a kernel map. A GEMM row says which it reads.
enum PairForm : std::uint32_t {
  kPairTable = 1U,          ///< pair_fwd, mask, mask_argsort
  kPairBackward = 2U,       ///< pair_bwd (what an inverse convolution needs)
  kTilePairs = 4U,          ///< compacted pairs per output tile and offset (CPU GEMM rows)
  kTilePairsBackward = 8U,  ///< the same for the inverse direction
  kBlockPairs = 16U,        ///< CPU: blocks of like rows (AMX GEMM rows); brings kPairTable
};
using PairForms = std::uint32_t;

/// Compacted pairs: for tile t (output rows [t*tile_rows, ...)) and offset k the pairs
/// [start[t*kv + k], start[t*kv + k + 1]), sorted by local output row, each output row at most once.
struct TilePairsView {
  std::int32_t tile_rows = 0;
  std::int32_t num_tiles = 0;
  const std::int32_t* start = nullptr;      ///< [num_tiles * kv + 1]
  const std::int32_t* in_rows = nullptr;    ///< [pairs] input row
  const std::uint16_t* out_rows = nullptr;  ///< [pairs] output row - t*tile_rows
};

inline constexpr std::int32_t kPairBlockRows = 32;

/// The pair table in blocks of 32 output rows that have like neighbours, for GEMM rows that multiply whole
/// blocks and skip the offsets that none of them has. Block b has the output rows order[32b, 32b + 32), as
/// many as there are. Its step i < num_steps[b] is the offset k = offsets[b*kv + i], ascending, with the
/// input rows
///   in_rows[(b*kv + i)*32 + r] = pair_fwd[k][order[32b + r]], -1 past the last row.
struct BlockPairsView {
  const std::int32_t* order = nullptr;      ///< [num_out] every output row once
  const std::int32_t* num_steps = nullptr;  ///< [ceil(num_out / 32)]
  const std::int32_t* offsets = nullptr;    ///< [blocks * kv]
  const std::int32_t* in_rows = nullptr;    ///< [blocks * kv * 32]
};

/// Borrowed kernel map of one layer, device-agnostic. Members of forms not asked for are null.
struct IndicePairsView {
  std::int32_t kv = 0;
  std::int32_t mask_words = 0;  ///< ceil(kv / 32)
  std::int32_t n_in = 0;        ///< on CUDA an upper bound when device_n_in is set
  std::int32_t num_out = 0;     ///< likewise
  std::int32_t out_capacity = 0;
  const std::int32_t* device_n_in = nullptr;  ///< CUDA: one int32, else null
  const std::int32_t* device_num_out = nullptr;
  std::int64_t pair_stride = 0;            ///< >= out_capacity
  const std::int32_t* pair_fwd = nullptr;  ///< [kv][pair_stride] input row or -1
  std::int64_t bwd_stride = 0;
  const std::int32_t* pair_bwd = nullptr;  ///< [kv][bwd_stride]  output row or -1
  const std::uint32_t* mask =
      nullptr;  ///< [num_out][mask_words] bit k%32 of word k/32 iff pair_fwd[k][i] >= 0
  std::int32_t mask_splits = 1;
  std::array<std::array<std::int32_t, 2>, kMaxMaskSplits> split_offsets{};  ///< [lo, hi) of each split
  std::array<const std::int32_t*, kMaxMaskSplits> mask_argsort{};  ///< [num_out] per split; null = identity
  TilePairsView tiles{};
  TilePairsView tiles_bwd{};
  BlockPairsView blocks{};
  const std::int32_t* out_indices = nullptr;  ///< [num_out][1+ndim]; the input's own for kSubm
};

}  // namespace voxgemm
