// All structures without any instruction set in particular.
#include "kernels/coord_index/rows.h"
#include "kernels/coord_index/steps_body.h"

namespace voxgemm {

const CoordIndexSteps coord_index_scalar = kSteps;

}  // namespace voxgemm
