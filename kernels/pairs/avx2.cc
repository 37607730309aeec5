// Windows with BMI and POPCNT, which every AVX2 machine has.
#include "kernels/pairs/window_body.h"

namespace voxgemm {

void pairs_avx2_fill_tiles(const PairsArgs& args, RowRange tiles) noexcept {
  args.problem.direct ? fill_tiles_body<DirectSource>(args, tiles)
                      : fill_tiles_body<SortedSource>(args, tiles);
}
void pairs_avx2_fill_table(const PairsArgs& args, RowRange targets) noexcept {
  args.problem.direct ? fill_table_body<DirectSource>(args, targets)
                      : fill_table_body<SortedSource>(args, targets);
}

}  // namespace voxgemm
