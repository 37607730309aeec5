#include "bench/pairs/hash_maps.h"

#include <algorithm>
#include <bit>
#include <unordered_map>

namespace voxgemm::bench {
namespace {

std::int64_t key_of(const Dims& shape, std::int32_t b, std::int32_t z, std::int32_t y, std::int32_t x) {
  return ((static_cast<std::int64_t>(b) * shape[0] + z) * shape[1] + y) * shape[2] + x;
}

// Calls visit(k, key) for the first `offsets` neighbours inside the grid.
template <typename Visit>
void for_each_neighbour(const Dims& shape, const std::int32_t* row, std::int32_t offsets, Visit&& visit) {
  std::int32_t k = 0;
  for (std::int32_t dz = -1; dz <= 1; ++dz) {
    for (std::int32_t dy = -1; dy <= 1; ++dy) {
      for (std::int32_t dx = -1; dx <= 1; ++dx, ++k) {
        if (k >= offsets) return;
        const std::int32_t z = row[1] + dz;
        const std::int32_t y = row[2] + dy;
        const std::int32_t x = row[3] + dx;
        if (z < 0 || z >= shape[0] || y < 0 || y >= shape[1] || x < 0 || x >= shape[2]) continue;
        visit(k, key_of(shape, row[0], z, y, x));
      }
    }
  }
}

}  // namespace

HashMapPairs::HashMapPairs(const Dims& shape, std::span<const std::int32_t> indices)
    : shape_(shape), indices_(indices), n_(static_cast<std::int32_t>(indices.size() / 4)) {
  pairs_.resize(27 * static_cast<std::size_t>(n_));
  const std::size_t slots = std::bit_ceil(2 * static_cast<std::size_t>(std::max(n_, 1)));
  slots_.resize(slots);
  shift_ = 64 - std::countr_zero(slots);
}

const std::vector<std::int32_t>& HashMapPairs::unordered_map() {
  std::unordered_map<std::int64_t, std::int32_t> rows;
  rows.reserve(static_cast<std::size_t>(n_));
  std::fill(pairs_.begin(), pairs_.end(), -1);
  for (std::int32_t i = 0; i < n_; ++i) {
    const std::int32_t* r = indices_.data() + 4 * static_cast<std::ptrdiff_t>(i);
    rows.emplace(key_of(shape_, r[0], r[1], r[2], r[3]), i);
  }
  for (std::int32_t i = 0; i < n_; ++i) {
    for_each_neighbour(
        shape_, indices_.data() + 4 * static_cast<std::ptrdiff_t>(i), 27,
        [&](std::int32_t k, std::int64_t key) {
          const auto found = rows.find(key);
          if (found != rows.end())
            pairs_[static_cast<std::size_t>(k) * static_cast<std::size_t>(n_) + static_cast<std::size_t>(i)] =
                found->second;
        });
  }
  return pairs_;
}

void HashMapPairs::insert_flat() {
  std::fill(slots_.begin(), slots_.end(), Slot{-1, -1});
  const std::size_t mask = slots_.size() - 1;
  for (std::int32_t i = 0; i < n_; ++i) {
    const std::int32_t* r = indices_.data() + 4 * static_cast<std::ptrdiff_t>(i);
    const std::int64_t key = key_of(shape_, r[0], r[1], r[2], r[3]);
    std::size_t at = (static_cast<std::uint64_t>(key) * 0x9E3779B97F4A7C15U) >> shift_;
    while (slots_[at].key >= 0) at = (at + 1) & mask;
    slots_[at] = {key, i};
  }
}

std::int32_t HashMapPairs::find_flat(std::int64_t key) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = (static_cast<std::uint64_t>(key) * 0x9E3779B97F4A7C15U) >> shift_;
  for (;; at = (at + 1) & mask) {
    if (slots_[at].key == key) return slots_[at].row;
    if (slots_[at].key < 0) return -1;
  }
}

const std::vector<std::int32_t>& HashMapPairs::flat_hash() {
  std::fill(pairs_.begin(), pairs_.end(), -1);
  insert_flat();
  for (std::int32_t i = 0; i < n_; ++i) {
    for_each_neighbour(
        shape_, indices_.data() + 4 * static_cast<std::ptrdiff_t>(i), 27,
        [&](std::int32_t k, std::int64_t key) {
          pairs_[static_cast<std::size_t>(k) * static_cast<std::size_t>(n_) + static_cast<std::size_t>(i)] =
              find_flat(key);
        });
  }
  return pairs_;
}

const std::vector<std::int32_t>& HashMapPairs::flat_hash_symmetric() {
  std::fill(pairs_.begin(), pairs_.end(), -1);
  insert_flat();
  const auto n = static_cast<std::size_t>(n_);
  for (std::size_t i = 0; i < n; ++i) {
    pairs_[13 * n + i] = static_cast<std::int32_t>(i);
    for_each_neighbour(shape_, indices_.data() + 4 * i, 13, [&](std::int32_t k, std::int64_t key) {
      const std::int32_t row = find_flat(key);
      if (row < 0) return;
      pairs_[static_cast<std::size_t>(k) * n + i] = row;
      pairs_[static_cast<std::size_t>(26 - k) * n + static_cast<std::size_t>(row)] =
          static_cast<std::int32_t>(i);
    });
  }
  return pairs_;
}

}  // namespace voxgemm::bench
