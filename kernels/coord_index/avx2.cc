// All structures with BMI and POPCNT, which every AVX2 machine has.
#include "kernels/coord_index/rows.h"
#include "kernels/coord_index/steps_body.h"

namespace voxgemm {

const CoordIndexSteps coord_index_avx2 = kSteps;

}  // namespace voxgemm
