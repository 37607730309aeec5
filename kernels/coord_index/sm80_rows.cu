// The rows of the input: marked before they are numbered, ranked after.
#include "kernels/coord_index/marking.cuh"
#include "kernels/coord_index/sm80.h"
#include "kernels/launch.cuh"

namespace voxgemm::device {
namespace {

constexpr int kThreads = 256;
constexpr std::int32_t kNoRow = 0x7FFFFFFF;

__device__ Site read_row(const std::int32_t* __restrict__ rows, std::int32_t ndim, std::int64_t row) {
  Site site;
  const std::int32_t* p = rows + row * (1 + ndim);
  site.batch = p[0];
#pragma unroll
  for (int a = 0; a < kAxes; ++a) {
    if (a >= kAxes - ndim) site.at[a] = p[1 + a - (kAxes - ndim)];
  }
  return site;
}

__global__ void write_stamp_kernel(std::uint64_t* at, std::uint64_t stamp) { *at = stamp; }

__global__ void __launch_bounds__(kThreads) insert_rows_kernel(const InsertArgs args) {
  const CoordIndex& index = args.index;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kThreads;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  for (std::int64_t i = first; i < args.zero_words; i += stride) args.zero[i] = 0;
  if (*args.stamp != args.expected_stamp) {
    for (std::int64_t i = first; i < args.persistent_words; i += stride) args.persistent[i] = 0;
    return;
  }
  const std::int32_t asked = args.device_n != nullptr ? *args.device_n : args.n;
  const std::int32_t n = min(max(asked, 0), index.capacity);
  if (first == 0) {
    *index.state = {n, 0, asked};
    if (asked > index.capacity) {
      atomicMax(reinterpret_cast<long long*>(&args.status->input_wanted), static_cast<long long>(asked));
    }
  }
  const Grid& grid = index.grid;
  const bool vector = grid.ndim == 3 && (reinterpret_cast<std::uintptr_t>(args.indices) & 15U) == 0;
  for (std::int64_t i = first; i < n; i += stride) {
    const Site site = vector ? read_site(args.indices, 3, i) : read_row(args.indices, grid.ndim, i);
    index.row_of_rank[i] = kNoRow;
    write_row(grid, site, index.indices + i * (1 + grid.ndim));
    if (!inside(grid, site)) {
      atomicMax(&args.status->out_of_range, kNoRow - static_cast<std::int32_t>(i));
      continue;
    }
    const std::int64_t word =
        line_of(grid, site.batch, site.at[0], site.at[1], site.at[2]) * grid.line_words + (site.at[3] >> 6);
    mark_word(index, word, std::uint64_t{1} << (site.at[3] & 63));
  }
}

__global__ void __launch_bounds__(kThreads)
    rank_rows_kernel(const CoordIndex index, const WordLookup lookup, StatusBlock* status) {
  const Grid& grid = index.grid;
  for (std::int32_t i = blockIdx.x * kThreads + threadIdx.x; i < index.state->count;
       i += gridDim.x * kThreads) {
    const Site site = read_site(index.indices, grid.ndim, i);
    if (!inside(grid, site)) continue;
    const std::int64_t word =
        line_of(grid, site.batch, site.at[0], site.at[1], site.at[2]) * grid.line_words + (site.at[3] >> 6);
    const FoundWord found = find_word(lookup, word);
    const std::int32_t rank =
        found.rank + __popcll(found.bits & ((std::uint64_t{1} << (site.at[3] & 63)) - 1));
    const std::int32_t earlier = atomicMin(index.row_of_rank + rank, i);
    if (earlier != kNoRow) atomicMax(&status->duplicate, kNoRow - max(earlier, i));
  }
}

}  // namespace

void sm80_write_stamp(std::uint64_t* at, std::uint64_t stamp, Exec exec) noexcept {
  write_stamp_kernel<<<1, 1, 0, stream_of(exec)>>>(at, stamp);
  note_launch(exec);
}

void sm80_insert_rows(const InsertArgs& args, Exec exec) noexcept {
  const std::int64_t items = args.index.capacity > args.zero_words ? args.index.capacity : args.zero_words;
  insert_rows_kernel<<<grid_for(items, kThreads, exec, 8), kThreads, 0, stream_of(exec)>>>(args);
  note_launch(exec);
}

void sm80_rank_rows(const CoordIndex& index, StatusBlock* status, Exec exec) noexcept {
  rank_rows_kernel<<<grid_for(index.capacity, kThreads, exec, 8), kThreads, 0, stream_of(exec)>>>(
      index, index.lookup(), status);
  note_launch(exec);
}

}  // namespace voxgemm::device
