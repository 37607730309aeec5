// The tensor-core implicit GEMM: warps on their own, gathered rows straight into registers.
//
// A warp owns a tile of output rows and all channels of one slice. It ORs the masks of its rows and walks the
// offsets that some row has; a step gathers, with one vector load a lane and row, exactly the bytes that the
// lane feeds to its multiplies as their right operand (the weights, the left one, are permuted to match, see
// sm80_layout.h), several steps ahead of use. No
// barrier, no shared-memory round trip: shared memory holds one slice of the weights for the whole launch,
// or, when it does not fit, the weights are read through L1. Blocks are persistent and read the row count on
// the device.
#pragma once

#include <cuda_fp16.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/implicit_gemm/detail/ptx.cuh"
#include "kernels/implicit_gemm/implicit_gemm.h"

namespace voxgemm::implicit_gemm {

struct Sm80Args {
  const std::byte* in = nullptr;
  std::uint32_t in_stride = 0;  // bytes, multiple of 16
  std::int32_t row_bytes = 0;   // c_in elements
  std::int32_t kv = 0;
  const uint4* weights = nullptr;
  std::int32_t slice_vectors = 0;  // 16-byte vectors of a slice
  std::int32_t slices = 1;
  std::int32_t chunks = 1;   // steps an offset
  std::int32_t num_out = 0;  // bound of the count
  const std::int32_t* device_num_out = nullptr;
  const std::int32_t* pair_fwd = nullptr;
  std::int32_t pair_stride = 0;
  const std::uint32_t* mask = nullptr;
  std::int32_t mask_words = 0;
  bool vector_out = false;  // out and residual rows may be accessed with full vectors
  Activation activation = Activation::kNone;
  DType out_dtype = DType::kInt8;
  const std::int32_t* argsort = nullptr;
  bool vector_pairs = false;  // pair_fwd may be read a vector of rows at a time
  const float* scale = nullptr;
  const float* bias = nullptr;
  float beta = 0.0F;
  float act_alpha = 0.0F;
  const std::byte* residual = nullptr;
  std::int64_t residual_stride = 0;  // elements
  std::byte* out = nullptr;
  std::int64_t out_stride = 0;  // elements
  std::int32_t c_out = 0;
};

/// Compile-time shape of one kernel. Element is std::int8_t or __half.
template <typename Element_, int kRows_, int kChannels_, int kStepBytes_, bool kResident_, bool kSigmoid_>
struct Sm80Config {
  using Element = Element_;
  static constexpr int kRows = kRows_;
  static constexpr int kChannels = kChannels_;
  static constexpr bool kResident = kResident_;
  static constexpr bool kSigmoid = kSigmoid_;  // the only activation, or none
  static constexpr bool kInt8 = sizeof(Element) == 1;
  static constexpr int kMTiles = kChannels / 16;     // of 16 channels: the weights are the left operand
  static constexpr int kLaneRows = kRows / 8;        // tiles of 8 rows; a lane gathers one row of each
  static constexpr int kOffsets = 64 / kStepBytes_;  // offsets a step
  static constexpr int kParts = 4 / kOffsets;        // lanes of a quad that share an offset, 16 bytes each
  static constexpr int kLaneChannels = kChannels / 8;
  static constexpr int kTileVectors = 32 / kOffsets;  // of weights: one 16-channel tile, one depth
  static constexpr int kStepVectors = 2 * kMTiles * kTileVectors;  // one offset (and chunk), one copy
  static constexpr int kStages = kRows == 32 ? 2 : 3;
  // Registers: sums, gathered stages, one depth of weights, and what addresses need. The block is as large as
  // they allow.
  static constexpr int kRegisters = kRows * kChannels / 32 + kStages * (kLaneRows * 5 + 3) + 4 * kMTiles + 36;
  static constexpr int kThreads = kSigmoid            ? 384
                                  : kRegisters <= 80  ? 768
                                  : kRegisters <= 102 ? 640
                                  : kRegisters <= 128 ? 512
                                                      : 384;
  static constexpr int kWarps = kThreads / 32;
};

/// What an index load reads where a lane has no offset or no bytes.
__device__ const int4 no_indices = {-1, -1, -1, -1};

/// OR over the rows of a tile of one word of their masks; without masks, every offset. `row` is the lane's,
/// or -1.
__device__ __forceinline__ std::uint32_t tile_mask(const Sm80Args& args, std::int32_t row,
                                                   std::int32_t word) {
  const std::int32_t left = args.kv - word * 32;
  const std::uint32_t all = left >= 32 ? 0xFFFFFFFFU : (1U << left) - 1U;
  if (args.mask == nullptr) return all;
  const std::uint32_t mine =
      row < 0 ? 0U : args.mask[static_cast<std::int64_t>(row) * args.mask_words + word];
  return ptx::warp_or(mine) & all;
}

/// One tile: the ring of gathered steps and the sums. Position g * kLaneRows + v of the tile is row g of its
/// 8-row tile v.
template <typename Config>
class Sm80Tile {
  using C = Config;
  using Sum = std::conditional_t<C::kInt8, std::int32_t, float>;

 public:
  __device__ __forceinline__ Sm80Tile(const Sm80Args& args, const uint4* weights, std::int32_t tile,
                                      std::int32_t n, int lane)
      : args_(args), weights_(weights), lane_(lane), base_(tile * C::kRows), n_(n) {
    const std::int32_t mine = base_ + (lane / 4) * C::kLaneRows;
    valid_ = n - mine;
    vector_ = args.vector_pairs && base_ + C::kRows <= n;
#pragma unroll
    for (int v = 0; v < C::kLaneRows; ++v) rows_[v] = row_at((lane / 4) * C::kLaneRows + v);
    mask_row_ = lane < C::kRows ? row_at(lane) : -1;
#pragma unroll
    for (int m = 0; m < C::kMTiles; ++m) {
#pragma unroll
      for (int v = 0; v < C::kLaneRows; ++v) {
#pragma unroll
        for (int i = 0; i < 4; ++i) sums_[m][v][i] = 0;
      }
    }
    const int part = lane % C::kParts;
    role_ = lane % 4 / C::kParts;
    column_ = args.in + 16 * part;
    lane_chunks_ = (args.row_bytes - 16 * part + 63) / 64;
    weights_ +=
        (role_ * args.kv) * C::kStepVectors + ((lane / 4 * C::kParts + part) ^ (role_ * 2 * C::kParts));
  }

  /// Begins the offsets [32 word, 32 word + 32): the first gathers are in flight when it returns. A tile past
  /// the last has no offset.
  __device__ __forceinline__ void start(std::int32_t word) {
    first_offset_ = word * 32 - 1;
    offsets_ = base_ < n_ ? tile_mask(args_, mask_row_, word) : 0U;
    chunk_ = 0;
    const std::int32_t found = __popc(offsets_);
    steps_ = C::kOffsets == 1 ? found * args_.chunks : (found + C::kOffsets - 1) / C::kOffsets;
#pragma unroll
    for (int s = 0; s < C::kStages; ++s) {
      if (s < steps_) fetch(s);
    }
#pragma unroll
    for (int s = 0; s < C::kStages; ++s) {
      if (s < steps_) gather(s);
      if (s + C::kStages < steps_) fetch(s);
    }
  }

  __device__ __forceinline__ void multiply() {
    for (std::int32_t done = 0; done < steps_; done += C::kStages) {
#pragma unroll
      for (int s = 0; s < C::kStages; ++s) {
        if (s > 0 && done + s >= steps_) break;
        multiply_stage(s);
        if (done + s + C::kStages < steps_) gather(s);
        if (done + s + 2 * C::kStages < steps_) fetch(s);
      }
    }
  }

  __device__ __forceinline__ void store(std::int32_t slice) const;

 private:
  /// Output row at a position of the tile, -1 past the last.
  __device__ __forceinline__ std::int32_t row_at(std::int32_t position) const {
    position += base_;
    if (position >= n_) return -1;
    return args_.argsort != nullptr ? args_.argsort[position] : position;
  }

  /// The lane's offset of the next step, less the word's first, plus one; 0 when it has none.
  __device__ __forceinline__ std::int32_t next_offset() {
    std::uint32_t mine = offsets_;
    if constexpr (C::kOffsets == 1) {
      if (++chunk_ == args_.chunks) {
        chunk_ = 0;
        offsets_ &= offsets_ - 1;
      }
    } else {
#pragma unroll
      for (int o = 1; o <= C::kOffsets; ++o) {
        offsets_ &= offsets_ - 1;
        if (o == role_) mine = offsets_;
      }
    }
    return __ffs(static_cast<int>(mine));
  }

  /// Asks for the indices of the next step, slot s.
  __device__ __forceinline__ void fetch(int s) {
    const std::int32_t chunk = C::kOffsets == 1 ? chunk_ : 0;
    const std::int32_t found = next_offset();
    const std::int32_t k = first_offset_ + found;
    const bool wanted = chunk < lane_chunks_ && (C::kOffsets == 1 || found != 0);
    coming_[s] = C::kOffsets == 1 ? k * args_.chunks + chunk : (found != 0 ? k : 0);
    coming_chunk_[s] = chunk;
    if (vector_) {
      const std::int32_t* from = args_.pair_fwd + (k * args_.pair_stride + (n_ - valid_));
      if (!wanted) from = reinterpret_cast<const std::int32_t*>(&no_indices);
      if constexpr (C::kLaneRows == 2) {
        const int2 j = *reinterpret_cast<const int2*>(from);
        index_[s][0] = j.x, index_[s][1] = j.y;
      } else {
        const int4 j = *reinterpret_cast<const int4*>(from);
        index_[s][0] = j.x, index_[s][1] = j.y, index_[s][2] = j.z, index_[s][3] = j.w;
      }
    } else {
#pragma unroll
      for (int v = 0; v < C::kLaneRows; ++v) {
        index_[s][v] = ptx::load_4_or_minus_one(args_.pair_fwd + (k * args_.pair_stride + rows_[v]),
                                                wanted && rows_[v] >= 0);
      }
    }
  }

  /// Starts the gathers of the step in slot s, whose indices have come. What they load is what multiplies
  /// take.
  __device__ __forceinline__ void gather(int s) {
    ready_[s] = coming_[s];
    const std::byte* column = column_;
    if constexpr (C::kOffsets == 1) column += coming_chunk_[s] * 64;
    if constexpr (!C::kInt8) ready_chunk_[s] = coming_chunk_[s];
#pragma unroll
    for (int v = 0; v < C::kLaneRows; ++v) {
      const std::int32_t j = index_[s][v];
      const std::byte* from =
          column + static_cast<std::uint64_t>(static_cast<std::uint32_t>(j)) * args_.in_stride;
      ptx::load_16_or_zero(gathered_[s][v], from, j >= 0 && v < valid_);
    }
  }

  /// A row's padding may hold a NaN, which a zero weight does not cancel: bytes past the channels become
  /// zero.
  __device__ __forceinline__ void clear_tails(int s) {
    const std::int32_t byte = (lane_ % C::kParts) * 16 + ready_chunk_[s] * 64;
#pragma unroll
    for (int v = 0; v < C::kLaneRows; ++v) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const std::int32_t left = args_.row_bytes - (byte + 4 * i);
        gathered_[s][v][i] = left >= 4 ? gathered_[s][v][i] : (left >= 2 ? gathered_[s][v][i] & 0xFFFFU : 0U);
      }
    }
  }

  __device__ __forceinline__ void multiply_stage(int s) {
    const uint4* step = weights_ + ready_[s] * C::kStepVectors;
    if constexpr (!C::kInt8) {
      if (args_.row_bytes % 16 != 0) clear_tails(s);
    }
#pragma unroll
    for (int d = 0; d < 2; ++d) {
      uint4 weights[C::kMTiles];  // all in flight before the first use
#pragma unroll
      for (int m = 0; m < C::kMTiles; ++m) weights[m] = step[(d * C::kMTiles + m) * C::kTileVectors];
#pragma unroll
      for (int m = 0; m < C::kMTiles; ++m) {
        const std::uint32_t a[4] = {weights[m].x, weights[m].y, weights[m].z, weights[m].w};
#pragma unroll
        for (int v = 0; v < C::kLaneRows; ++v) {
          if constexpr (C::kInt8) {
            ptx::mma_s8(sums_[m][v], a, gathered_[s][v][2 * d], gathered_[s][v][2 * d + 1]);
          } else {
            ptx::mma_f16(sums_[m][v], a, gathered_[s][v][2 * d], gathered_[s][v][2 * d + 1]);
          }
        }
      }
    }
  }

  template <typename T>
  __device__ __forceinline__ void store_as(std::int32_t channel) const;
  template <typename T, int kCount>
  __device__ __forceinline__ void store_block(int first, std::int32_t channel) const;

  const Sm80Args& args_;
  const uint4* weights_;  // of the lane's role, at the lane's place
  int lane_;
  int role_ = 0;       // which of a step's offsets
  std::int32_t base_;  // first position of the tile
  std::int32_t n_;
  std::int32_t valid_ = 0;  // positions from the lane's first to the count
  bool vector_ = false;
  const std::byte* column_ = nullptr;  // the lane's bytes of input row 0
  std::int32_t lane_chunks_ = 1;       // chunks in which the lane has bytes
  std::int32_t chunk_ = 0;
  std::int32_t mask_row_ = -1;
  std::int32_t first_offset_ = 0;  // of the word, less one
  std::int32_t steps_ = 0;
  std::uint32_t offsets_ = 0;  // of the word, not yet fetched
  std::int32_t rows_[C::kLaneRows];
  std::int32_t index_[C::kStages][C::kLaneRows];
  // Steps whose indices (coming) and rows (ready) are on their way: place in the weights, and chunk.
  std::int32_t coming_[C::kStages];
  std::int32_t ready_[C::kStages];
  std::int32_t coming_chunk_[C::kStages];
  std::int32_t ready_chunk_[C::kStages];
  std::uint32_t gathered_[C::kStages][C::kLaneRows][4];
  Sum sums_[C::kMTiles][C::kLaneRows][4];  // channels 2m, 2m + 1 of the lane; rows 2q, 2q + 1 of tile v
};

}  // namespace voxgemm::implicit_gemm
