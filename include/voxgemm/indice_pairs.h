// Indice pairs: which input row feeds which output row under which kernel offset.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "voxgemm/context.h"
#include "voxgemm/sparse_tensor.h"
#include "voxgemm/types.h"

namespace voxgemm {

enum class ConvKind : std::uint8_t {
  kSubm,        ///< output sites = input sites, same order
  kRegular,     ///< output sites = every site reached, ascending linear key
  kTransposed,  ///< o = i*stride - padding + r*dilation, ascending linear key
};

/// Geometry of one layer; pooling uses it too. Relation of input i, output o and kernel coordinate r, on
/// every axis (cross-correlation, as in spconv and torch):
///   kSubm        i = o + (r - k/2) * dilation
///   kRegular     i = o * stride - padding + r * dilation
///   kTransposed  o = i * stride - padding + r * dilation
/// Offset index: row-major over kernel_size, last axis fastest: k = (rz*KY + ry)*KX + rx.
struct ConvGeometry {
  ConvKind kind = ConvKind::kSubm;
  Dims kernel_size{};
  Dims stride{};       ///< empty = ones; must be ones for kSubm
  Dims padding{};      ///< empty = zeros; ignored for kSubm
  Dims dilation{};     ///< empty = ones
  Dims out_padding{};  ///< empty = zeros; kTransposed only

  /// Fills empty members and checks every value (kSubm needs odd kernels; kernel volume <= 343).
  /// Throws kInvalidArgument or kShape naming axis, value and limit.
  [[nodiscard]] VOXGEMM_API ConvGeometry normalized(int ndim) const;
  [[nodiscard]] std::int32_t kernel_volume() const {
    return static_cast<std::int32_t>(kernel_size.product());
  }
  /// kSubm: in. kRegular: floor((in + 2p - d(k-1) - 1)/s) + 1. kTransposed: (in-1)s - 2p + d(k-1) + 1 + op.
  /// Throws kShape when an extent would be < 1.
  [[nodiscard]] VOXGEMM_API Dims out_shape(const Dims& in_shape) const;
  friend bool operator==(const ConvGeometry&, const ConvGeometry&) = default;
};

inline constexpr std::int32_t kMaxKernelVolume = 343;
inline constexpr std::int32_t kMaxMaskSplits = 4;

/// Row order that puts like masks together, per split.
enum class RowOrder : std::uint8_t {
  kNone,        ///< identity
  kFullMask,    ///< ascending mask words, word 0 most significant; stable
  kPatternKey,  ///< Gray rank of a short pattern key (3-D submanifold k3), else as kFullMask
};

/// Forms of a kernel map. A GEMM row says which it reads.
enum PairForm : std::uint32_t {
  kPairTable = 1U,          ///< pair_fwd, mask, mask_argsort
  kPairBackward = 2U,       ///< pair_bwd (what an inverse convolution needs)
  kTilePairs = 4U,          ///< compacted pairs per output tile and offset (CPU GEMM rows)
  kTilePairsBackward = 8U,  ///< the same for the inverse direction
  kBlockPairs = 16U,        ///< CPU: blocks of like rows (AMX GEMM rows); brings kPairTable
};
using PairForms = std::uint32_t;

struct PairOptions {
  PairForms forms = kPairTable | kPairBackward | kTilePairs | kTilePairsBackward;
  RowOrder order = RowOrder::kNone;
  std::int32_t mask_splits = 1;   ///< 1..4; split j filters offsets [lo_j, hi_j), sizes as even as can be
  std::int32_t out_capacity = 0;  ///< rows allocated; 0 = exactly what is produced (one-shot only)
  std::int32_t tile_rows = 0;     ///< rows per tile of kTilePairs, <= 65536; 0 = default
};

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

/// The same map seen from the other side, same offset order: what an inverse convolution runs on.
/// n_in and num_out swap, pair_bwd becomes pair_fwd; masks and blocks are absent.
/// Throws kInvalidArgument when the backward forms were not built.
VOXGEMM_API IndicePairsView inverse(const IndicePairsView& pairs);

/// Owning kernel map. Move-only.
class VOXGEMM_API IndicePairs {
 public:
  IndicePairs();
  ~IndicePairs();
  IndicePairs(IndicePairs&&) noexcept;
  IndicePairs& operator=(IndicePairs&&) noexcept;

  [[nodiscard]] const IndicePairsView& view() const noexcept;
  [[nodiscard]] const ConvGeometry& geometry() const noexcept;
  [[nodiscard]] const Dims& out_shape() const noexcept;
  [[nodiscard]] std::int32_t num_out() const noexcept;
  /// Sites that an unlimited capacity would have held.
  [[nodiscard]] std::int64_t num_out_wanted() const noexcept;
  /// kCapacity when num_out_wanted() > out_capacity: the smallest linear keys are kept, pairs to the
  /// others dropped.
  [[nodiscard]] Status status() const noexcept;
  /// Number of (output, offset) entries.
  [[nodiscard]] std::int64_t num_pairs() const noexcept;
  /// spconv's tight layout [kv][num_out], copied.
  [[nodiscard]] std::vector<std::int32_t> tight_pair_fwd() const;
  /// Structure chosen for the coordinates and why the others were not, forms, sizes.
  [[nodiscard]] std::string describe() const;

  struct Impl;
  [[nodiscard]] Impl& impl() const noexcept { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// Builds the kernel map of one layer from any order of unique, in-range coordinates (checked: kDuplicate,
/// kOutOfRange with the first offending row). Output order is canonical and the same for any number of
/// threads. n = 0 gives an empty map. Source of the semantics: spconv 2.3.8 get_indice_pairs.
VOXGEMM_API IndicePairs build_indice_pairs(Context& context, const SparseTensorView& input,
                                           const ConvGeometry& geometry, const PairOptions& options = {});

}  // namespace voxgemm
