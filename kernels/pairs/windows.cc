// Windows without any instruction set in particular.
#include "kernels/pairs/window_body.h"

namespace voxgemm {

void pairs_windows_fill_tiles(const PairsArgs& args, RowRange tiles) noexcept {
  fill_tiles_of_form(args, tiles);
}
void pairs_windows_fill_table(const PairsArgs& args, RowRange targets) noexcept {
  fill_table_of_form(args, targets);
}

}  // namespace voxgemm
