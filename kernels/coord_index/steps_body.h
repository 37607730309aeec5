// The steps of all structures, for a file to compile with its instructions.
#pragma once

#include "kernels/coord_index/slab_body.h"
#include "kernels/coord_index/sorted_words_body.h"

namespace voxgemm {
namespace {

constexpr CoordIndexSteps kSteps{.count_rows = slabs_count_rows,
                                 .split_rows = slabs_split_rows,
                                 .number_rows = slabs_number_rows,
                                 .reach = slabs_reach,
                                 .number_reached = slabs_number_reached,
                                 .clear = slabs_clear,
                                 .insert_rows = sorted_insert_rows,
                                 .insert_reached = sorted_insert_reached,
                                 .write_sites = sorted_write_sites};

}  // namespace
}  // namespace voxgemm
