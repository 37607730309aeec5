// From a geometry to relations between coordinates, and the bounds that size a plan.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "kernels/coord_index/relation.h"
#include "kernels/pairs/pairs.h"
#include "voxgemm/indice_pairs.h"

namespace voxgemm {

/// Empty cells around each axis of a grid.
using Halo = std::array<std::int64_t, kAxes>;

/// Grid of a level; false in `fits` when its keys pass 62 bits (a plain grid always fits 63).
struct GridPlan {
  KeyGrid grid{};
  bool fits = true;
};
GridPlan make_grid(const Dims& shape, std::int32_t batch_size, const Halo& halo = {});

/// Targets are output sites, sources input sites, which lie in `in`.
Relation forward_relation(const ConvGeometry& geometry, const KeyGrid& in);
/// Targets are input sites, sources output sites, which lie in `out`; offsets numbered as in the forward
/// relation.
Relation backward_relation(const ConvGeometry& geometry, const KeyGrid& out);

/// Halo of the source grid with which every offset of every target has a key of its own.
Halo needed_halo(const Relation& relation, const KeyGrid& target);

/// Owning form of Taps.
struct TapPlan {
  std::vector<TapGroup> groups;
  std::vector<std::int32_t> phase_begin{0};

  [[nodiscard]] Taps view() const {
    return {groups.data(), static_cast<std::int32_t>(groups.size()), phase_begin.data(),
            static_cast<std::int32_t>(phase_begin.size()) - 1};
  }
};
/// Groups of a relation whose source grid has the needed halo; empty when it has not, or has too many phases.
TapPlan make_taps(const Relation& relation, const KeyGrid& target);

/// Most sources that one target can have.
std::int64_t max_sources(const Relation& relation);

/// Most lines of sources (all axes but the last) that one target can have.
std::int64_t max_source_lines(const Relation& relation);

/// Offsets [lo, hi) of mask split j: sizes as even as can be, larger ones first.
std::array<std::int32_t, 2> split_range(std::int32_t kv, std::int32_t splits, std::int32_t j);

/// Most output sites that `n_in` input sites can make, never more than the grid has or int32 counts.
std::int32_t max_outputs(const ConvGeometry& geometry, const Dims& in_shape, std::int32_t batch_size,
                         std::int32_t n_in);

}  // namespace voxgemm
