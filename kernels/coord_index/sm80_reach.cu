// Marks the cells of a level that the sites of a numbered one reach.
#include "kernels/coord_index/marking.cuh"
#include "kernels/coord_index/sm80.h"
#include "kernels/launch.cuh"

namespace voxgemm::device {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads, 2)
    mark_reached_kernel(const CoordIndex from, const __grid_constant__ ReachedLevel to) {
  const HashedWords& hash = from.hash;
  const bool hashed = hash.slot_word != nullptr;
  const std::int32_t n = hashed ? *hash.num_words : from.state->num_entries;
  const OuterChoices outer = outer_choices(to);
  for (std::int32_t i = blockIdx.x * kThreads + threadIdx.x; i < n; i += gridDim.x * kThreads) {
    const std::uint64_t bits = hashed ? hash.slot_bits[hash.list_slots[i]] : from.entries[i].bits;
    if (bits == 0) continue;
    const std::uint64_t word =
        hashed ? hash.slot_word[hash.list_slots[i]] : static_cast<std::uint64_t>(from.entries[i].word);
    const WordPlace place = place_of(from.grid, word);
    for (std::int32_t j = 0; j < outer.total; ++j) mark_reached_word(to, outer, place, bits, j);
  }
}

}  // namespace

void sm80_mark_reached(const CoordIndex& from, const ReachedLevel& to, Exec exec) noexcept {
  mark_reached_kernel<<<grid_for(from.capacity, kThreads, exec, 8), kThreads, 0, stream_of(exec)>>>(from, to);
  note_launch(exec);
}

}  // namespace voxgemm::device
