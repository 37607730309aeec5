// From a geometry to relations between coordinates, and the bounds that size a plan.
#pragma once

#include <cstdint>

#include "kernels/coord_index/relation.h"
#include "voxgemm/indice_pairs.h"

namespace voxgemm {

KeyGrid make_grid(const Dims& shape, std::int32_t batch_size);

/// Targets are output sites, sources input sites.
Relation forward_relation(const ConvGeometry& geometry, const Dims& in_shape, const Dims& out_shape,
                          std::int32_t batch_size);
/// Targets are input sites, sources output sites, offsets numbered as in the forward relation.
Relation backward_relation(const ConvGeometry& geometry, const Dims& in_shape, const Dims& out_shape,
                           std::int32_t batch_size);

/// Most sources that one target can have.
std::int64_t max_sources(const Relation& relation);

/// Most output sites that `n_in` input sites can make, never more than the grid has or int32 counts.
std::int32_t max_outputs(const ConvGeometry& geometry, const Dims& in_shape, std::int32_t batch_size,
                         std::int32_t n_in);

}  // namespace voxgemm
