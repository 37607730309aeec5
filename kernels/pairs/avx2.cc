// Windows with BMI and POPCNT, which every AVX2 machine has.
#include "kernels/pairs/window_body.h"

namespace voxgemm {

void pairs_avx2_fill_tiles(const PairsArgs& args, RowRange tiles) noexcept {
  fill_tiles_of_form(args, tiles);
}
void pairs_avx2_fill_table(const PairsArgs& args, RowRange targets) noexcept {
  fill_table_of_form(args, targets);
}

}  // namespace voxgemm
