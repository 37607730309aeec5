// Occupancy bitmap with rank: one bit per cell, a summary bit per word, ranks for touched words only.
#include "kernels/coord_index/number_words.h"

namespace voxgemm {
namespace {

void list_words(const CoordIndexRef& index) {
  const std::int64_t summary_words = ((index.grid.cells() + 63) / 64 + 63) / 64;
  std::int32_t count = 0;
  for (std::int64_t s = 0; s < summary_words; ++s) {
    for (std::uint64_t bits = index.summary[s]; bits != 0; bits &= bits - 1) {
      const std::int64_t id = s * 64 + std::countr_zero(bits);
      if (count < index.capacity) {
        index.ids[count] = id;
        ++count;
      } else {  // no room for even one site of this word
        index.state->wanted += std::popcount(index.words[id]);
        index.words[id] = 0;
      }
    }
    index.summary[s] = 0;
  }
  index.state->num_words = count;
}

void number(const CoordIndexRef& index) {
  index.state->wanted = 0;
  list_words(index);
  const std::int64_t dropped = index.state->wanted;
  number_words(index, index.state->num_words, [&](std::int32_t i) { return index.ids[i]; });
  index.state->wanted += dropped;
}

void set_bit(const CoordIndexRef& index, std::int64_t key) {
  const std::int64_t id = key >> 6;
  index.words[id] |= std::uint64_t{1} << (key & 63);
  index.summary[id >> 6] |= std::uint64_t{1} << (id & 63);
}

void clear(const CoordIndexRef& index) noexcept {
  for (std::int32_t i = 0; i < index.state->num_words; ++i) index.words[index.ids[i]] = 0;
  index.state->num_words = 0;
}

InsertResult insert_rows(const CoordIndexRef& index, const std::int32_t* indices, std::int32_t n) noexcept {
  InsertResult result;
  const std::int32_t columns = 1 + index.grid.ndim;
  std::int64_t last = -1;
  bool canonical = true;
  for (std::int32_t i = 0; i < n; ++i) {
    std::int64_t key = 0;
    if (!key_of_row(index.grid, indices + static_cast<std::int64_t>(i) * columns, key)) {
      result.out_of_range_row = i;
      break;
    }
    if ((index.words[key >> 6] >> (key & 63) & 1) != 0) {
      result.duplicate_row = i;
      break;
    }
    canonical = canonical && key > last;
    last = key;
    set_bit(index, key);
  }
  number(index);
  index.state->canonical = canonical ? 1 : 0;
  if (result.out_of_range_row >= 0 || result.duplicate_row >= 0) {
    clear(index);
    *index.state = {};
    return result;
  }
  if (!canonical) write_row_of_rank(index, indices, n);
  return result;
}

void insert_reached(const CoordIndexRef& index, const CoordIndexRef& from, const Relation& reach) noexcept {
  Site site{};
  std::int32_t row[1 + kAxes];
  for (std::int32_t i = 0; i < from.state->num_words; ++i) {
    const std::uint64_t bits = from.words[from.summary != nullptr ? from.ids[i] : i];
    for (std::uint64_t word = bits; word != 0; word &= word - 1) {
      write_row(from.grid, from.ids[i] * 64 + std::countr_zero(word), row);
      const std::int32_t b = read_site(row, from.grid.ndim, site);
      for_each_source(reach, b, site, [&](std::int32_t, std::int64_t key) { set_bit(index, key); });
    }
  }
  number(index);
}

void write_sites(const CoordIndexRef& index, std::int32_t* indices) noexcept {
  write_word_sites(index, indices, [&](std::int32_t i) { return index.ids[i]; });
}

constexpr CoordIndexKernel kBitmap{"bitmap", true, insert_rows, insert_reached, write_sites, clear};

}  // namespace

const CoordIndexKernel& bitmap_index() { return kBitmap; }

}  // namespace voxgemm
