// The kernel map as others build it: a hash of coordinates, one look-up per row and offset.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "voxgemm/types.h"

namespace voxgemm::bench {

/// Submanifold 3x3x3 map of rows [n][4] (b,z,y,x) as pair_fwd [27][n]; every table is kept between calls, so
/// that repeated calls allocate nothing that the structure itself does not.
class HashMapPairs {
 public:
  HashMapPairs(const Dims& shape, std::span<const std::int32_t> indices);

  /// std::unordered_map from key to row: the structure of spconv's CPU path.
  const std::vector<std::int32_t>& unordered_map();
  /// Open addressing with linear probing, 64-bit keys, Fibonacci hashing, load at most one half.
  const std::vector<std::int32_t>& flat_hash();
  /// The same with 13 look-ups a row: each pair found gives its mirror image too.
  const std::vector<std::int32_t>& flat_hash_symmetric();

 private:
  struct Slot {
    std::int64_t key;
    std::int32_t row;
  };
  void insert_flat();
  [[nodiscard]] std::int32_t find_flat(std::int64_t key) const;

  Dims shape_{};
  std::span<const std::int32_t> indices_;
  std::int32_t n_ = 0;
  std::vector<std::int32_t> pairs_;
  std::vector<Slot> slots_;
  std::int32_t shift_ = 0;
};

}  // namespace voxgemm::bench
