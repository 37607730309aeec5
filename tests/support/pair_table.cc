#include "tests/support/pair_table.h"

#include <algorithm>
#include <cstddef>
#include <random>

#include "kernels/pair_blocks/pair_blocks.h"

namespace voxgemm::test {

PairTable::PairTable(std::int32_t kv, std::int32_t n_in, const std::vector<std::int32_t>& input_row,
                     std::int32_t tile_rows) {
  const auto num_out = static_cast<std::int32_t>(input_row.size() / static_cast<std::size_t>(kv));
  const std::int32_t num_tiles = (num_out + tile_rows - 1) / tile_rows;
  const auto at = [&](std::int32_t i, std::int32_t k) {
    return input_row[static_cast<std::size_t>(i) * static_cast<std::size_t>(kv) +
                     static_cast<std::size_t>(k)];
  };
  for (std::int32_t k = 0; k < kv; ++k) {
    for (std::int32_t i = 0; i < num_out; ++i) pair_fwd_.push_back(at(i, k));
  }
  view_.mask_words = (kv + 31) / 32;
  mask_.resize(std::max<std::size_t>(static_cast<std::size_t>(num_out * view_.mask_words), 1));
  for (std::int32_t i = 0; i < num_out; ++i) {
    for (std::int32_t k = 0; k < kv; ++k) {
      const auto word = static_cast<std::size_t>(i * view_.mask_words + k / 32);
      if (at(i, k) >= 0) mask_[word] |= 1U << (k % 32);
    }
  }
  start_.push_back(0);
  for (std::int32_t t = 0; t < num_tiles; ++t) {
    const std::int32_t first = t * tile_rows;
    for (std::int32_t k = 0; k < kv; ++k) {
      for (std::int32_t i = first; i < std::min(first + tile_rows, num_out); ++i) {
        if (at(i, k) < 0) continue;
        in_rows_.push_back(at(i, k));
        out_rows_.push_back(static_cast<std::uint16_t>(i - first));
      }
      start_.push_back(static_cast<std::int32_t>(in_rows_.size()));
    }
  }
  pair_fwd_.resize(std::max<std::size_t>(pair_fwd_.size(), 1));  // never a null pointer, even when empty
  in_rows_.reserve(1);
  out_rows_.reserve(1);
  view_.kv = kv;
  view_.n_in = n_in;
  view_.num_out = num_out;
  view_.out_capacity = num_out;
  view_.pair_stride = num_out;
  view_.pair_fwd = pair_fwd_.data();
  view_.mask = mask_.data();
  view_.tiles = {tile_rows, num_tiles, start_.data(), in_rows_.data(), out_rows_.data()};
  const auto blocks = static_cast<std::size_t>((num_out + kPairBlockRows - 1) / kPairBlockRows);
  order_.resize(static_cast<std::size_t>(num_out) + 1);
  num_steps_.resize(blocks + 1);
  offsets_.resize(blocks * static_cast<std::size_t>(kv) + 1);
  block_rows_.resize(blocks * static_cast<std::size_t>(kv) * kPairBlockRows + 1);
  scalar_pair_blocks({.table = pair_fwd_.data(),
                      .table_stride = num_out,
                      .mask = mask_.data(),
                      .kv = kv,
                      .num_out = num_out,
                      .order = order_.data(),
                      .num_steps = num_steps_.data(),
                      .offsets = offsets_.data(),
                      .in_rows = block_rows_.data()},
                     {0, (num_out + kPairWindowRows - 1) / kPairWindowRows});
  view_.blocks = {order_.data(), num_steps_.data(), offsets_.data(), block_rows_.data()};
}

std::vector<std::int32_t> random_input_rows(std::int32_t kv, std::int32_t n_in, std::int32_t num_out,
                                            double density, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::int32_t> rows(static_cast<std::size_t>(num_out) * static_cast<std::size_t>(kv), -1);
  for (std::int32_t& row : rows) {
    const bool present = static_cast<double>(random() >> 11) * 0x1p-53 < density;
    if (present && n_in > 0) row = static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(n_in));
  }
  return rows;
}

}  // namespace voxgemm::test
