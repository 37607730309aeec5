// Indice pairs: which input row feeds which output row under which kernel offset.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "voxgemm/context.h"
#include "voxgemm/pair_views.h"
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

/// Row order that puts like masks together, per split.
enum class RowOrder : std::uint8_t {
  kNone,        ///< identity
  kFullMask,    ///< ascending mask words, word 0 most significant; stable
  kPatternKey,  ///< Gray rank of a short pattern key (3-D submanifold k3), else as kFullMask
};

struct PairOptions {
  PairForms forms = kPairTable | kPairBackward | kTilePairs | kTilePairsBackward;
  RowOrder order = RowOrder::kNone;
  std::int32_t mask_splits = 1;   ///< 1..4; split j filters offsets [lo_j, hi_j), sizes as even as can be
  std::int32_t out_capacity = 0;  ///< rows allocated; 0 = exactly what is produced (one-shot only)
  std::int32_t tile_rows = 0;     ///< rows per tile of kTilePairs, <= 65536; 0 = default
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
