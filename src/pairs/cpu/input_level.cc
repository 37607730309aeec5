#include "pairs/cpu/input_level.h"

#include <algorithm>
#include <array>

#include "core/parallel.h"

namespace voxgemm::cpu_pairs {
namespace {

constexpr std::int64_t kChunkRows = 2048;  // least rows of a chunk
constexpr std::int64_t kSlabGrain = 8;     // slabs of a unit

// Rows of the input in chunks.
struct Chunks {
  std::int64_t n = 0;
  std::int64_t rows = kChunkRows;
  std::int64_t count = 0;

  explicit Chunks(std::int64_t num_rows)
      : n(num_rows),
        rows(std::max(kChunkRows, (num_rows + kMaxChunks - 1) / kMaxChunks)),
        count((num_rows + rows - 1) / rows) {}
  [[nodiscard]] RowRange range(std::int64_t chunk) const {
    return {chunk * rows, std::min(n, (chunk + 1) * rows)};
  }
};

// Rows of each slab in each chunk: `counts` [chunk][slab]. The first row out of the grid ends the search.
RowsFound count_rows(const Context& context, const CoordIndexSteps& steps, const LevelMemory& level,
                     const std::int32_t* indices, const Chunks& chunks) noexcept {
  const CoordIndexRef& index = level.index;
  std::array<RowsFound, kMaxChunks> found;
  parallel_each(context, chunks.count, [&](std::int64_t c) {
    std::int32_t* const counts = level.counts + c * index.num_slabs;
    std::fill_n(counts, index.num_slabs, 0);
    found[static_cast<std::size_t>(c)] = steps.count_rows(index, indices, chunks.range(c), counts);
  });
  RowsFound all;
  for (std::int64_t c = 0; c < chunks.count; ++c) {
    const RowsFound& one = found[static_cast<std::size_t>(c)];
    all.ascending = all.ascending && one.ascending;
    if (all.out_of_range_row < 0) all.out_of_range_row = one.out_of_range_row;
  }
  return all;
}

// Turns counts into places; a slab's first entry is its first rank.
void place_rows(const LevelMemory& level, const Chunks& chunks) noexcept {
  std::int32_t place = 0;
  for (std::int32_t s = 0; s < level.index.num_slabs; ++s) {
    IndexSlab& slab = level.index.slabs[s];
    slab.first_rank = place;
    for (std::int64_t c = 0; c < chunks.count; ++c) {
      std::int32_t& count = level.counts[c * level.index.num_slabs + s];
      const std::int32_t rows = count;
      count = place;
      place += rows;
    }
    slab.sites = place - slab.first_rank;
  }
}

// Makes the level of rows that all lie in the grid and have been counted; the first row that equals an
// earlier one, or -1.
std::int32_t number_rows(const Context& context, const CoordIndexSteps& steps, const LevelMemory& level,
                         const std::int32_t* indices, const Chunks& chunks, bool ascending) noexcept {
  const CoordIndexRef& index = level.index;
  place_rows(level, chunks);
  const auto n = static_cast<std::int32_t>(chunks.n);
  *index.state = {.wanted = n, .count = n, .canonical = ascending ? 1 : 0};
  const std::int64_t to_split = ascending ? 0 : chunks.count;
  parallel_each(context, to_split, [&](std::int64_t c) {
    steps.split_rows(index, indices, chunks.range(c), level.counts + c * index.num_slabs);
  });
  parallel_for(context, 0, index.num_slabs, kSlabGrain, [&](std::int64_t begin, std::int64_t end) {
    steps.number_rows(index, indices, {begin, end}, level.indices);
  });
  std::int32_t duplicate = -1;
  for (std::int32_t s = 0; s < index.num_slabs; ++s) {
    const std::int32_t row = index.slabs[s].duplicate_row;
    if (row >= 0 && (duplicate < 0 || row < duplicate)) duplicate = row;
  }
  return duplicate;
}

void clear_level(const Context& context, const CoordIndexSteps& steps, const CoordIndexRef& index) noexcept {
  if (index.form != IndexForm::kBitmap) return;
  parallel_for(context, 0, index.num_slabs, kSlabGrain, [&](std::int64_t begin, std::int64_t end) {
    steps.clear(index, {begin, end});
  });
}

InsertResult insert_slabs(const Context& context, const CoordIndexSteps& steps, const LevelMemory& level,
                          const std::int32_t* indices, std::int32_t n) noexcept {
  InsertResult result;
  Chunks chunks(n);
  RowsFound found = count_rows(context, steps, level, indices, chunks);
  result.out_of_range_row = found.out_of_range_row;
  if (found.out_of_range_row >= 0) {  // the rows before it may hold an earlier mistake
    chunks = Chunks(found.out_of_range_row);
    found = count_rows(context, steps, level, indices, chunks);
  }
  result.duplicate_row = number_rows(context, steps, level, indices, chunks, found.ascending);
  if (result.duplicate_row >= 0) result.out_of_range_row = -1;  // the earlier row is the one reported
  if (result.out_of_range_row >= 0 || result.duplicate_row >= 0) {
    clear_level(context, steps, level.index);
    number_rows(context, steps, level, indices, Chunks(0), true);
  }
  return result;
}

}  // namespace

InsertResult insert_input(const Context& context, const CpuPairLayout& layout, Workspace workspace,
                          const std::int32_t* indices, std::int32_t n) noexcept {
  const LevelMemory level = layout.level_memory(0, workspace);
  const CoordIndexRef& index = level.index;
  const CoordIndexSteps& steps = *layout.levels()[0].kernel->steps;
  const bool sorted = index.form == IndexForm::kSortedWords;
  const InsertResult result =
      sorted ? steps.insert_rows(index, indices, n) : insert_slabs(context, steps, level, indices, n);
  LevelState& state = *level.state;
  state.n = index.state->count;
  state.indices = indices;
  state.places = nullptr;
  if (index.rank_of_row == nullptr || index.state->canonical != 0) return result;
  if (sorted) steps.write_sites(index, level.indices);
  index.state->canonical = 1;  // rows are ranks from here on
  state.indices = level.indices;
  state.places = index.rank_of_row;
  return result;
}

void place_slabs(const CoordIndexRef& index) noexcept {
  const bool kept = index.form == IndexForm::kRankedWords && index.state->taken_words <= index.capacity;
  std::int64_t sites = 0;
  std::int64_t words = 0;
  for (std::int32_t s = 0; s < index.num_slabs; ++s) {
    IndexSlab& slab = index.slabs[s];
    slab.first_rank = static_cast<std::int32_t>(std::min<std::int64_t>(sites, index.capacity));
    if (!kept) slab.first_word = static_cast<std::int32_t>(std::min<std::int64_t>(words, index.capacity));
    sites += slab.sites;
    words += slab.num_words;
  }
  index.state->wanted = sites;
  index.state->count = static_cast<std::int32_t>(std::min<std::int64_t>(sites, index.capacity));
  index.state->canonical = 1;
}

void clear_levels(const Context& context, const CpuPairLayout& layout, Workspace workspace) noexcept {
  for (std::size_t l = 0; l < layout.levels().size(); ++l) {
    clear_level(context, *layout.levels()[l].kernel->steps,
                layout.level_memory(static_cast<std::int32_t>(l), workspace).index);
  }
}

}  // namespace voxgemm::cpu_pairs
