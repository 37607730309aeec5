// Windows without any instruction set in particular.
#include "kernels/pairs/window_body.h"

namespace voxgemm {

std::int64_t pairs_windows_count_tiles(const PairsArgs& args, RowRange tiles) noexcept {
  return args.problem.direct ? count_tiles_body<DirectSource>(args, tiles)
                             : count_tiles_body<SortedSource>(args, tiles);
}
std::int32_t pairs_windows_fill_tiles(const PairsArgs& args, RowRange tiles, std::int32_t first) noexcept {
  return args.problem.direct ? fill_tiles_body<DirectSource>(args, tiles, first)
                             : fill_tiles_body<SortedSource>(args, tiles, first);
}
void pairs_windows_fill_table(const PairsArgs& args, RowRange targets) noexcept {
  args.problem.direct ? fill_table_body<DirectSource>(args, targets)
                      : fill_table_body<SortedSource>(args, targets);
}

}  // namespace voxgemm
