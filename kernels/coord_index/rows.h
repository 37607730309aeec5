// What the rows of kernels/coord_index/table.cc point to.
#pragma once

#include "kernels/coord_index/coord_index.h"

namespace voxgemm {

extern const CoordIndexSteps coord_index_scalar;
extern const CoordIndexSteps coord_index_avx2;

}  // namespace voxgemm
