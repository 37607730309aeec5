// Voxel sets that the CUDA map benches rotate over.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "tests/support/test_data.h"

namespace voxgemm::bench {

struct Frame {
  std::string name;
  std::vector<std::int32_t> indices;  // [n][4]
};

/// The published CenterPoint frame as it comes and in random row order, and a quarter of its rows; without
/// the data, random sites of the same number.
inline std::vector<Frame> centerpoint_frames() {
  std::vector<Frame> frames;
  std::mt19937 rng(1);
  const std::filesystem::path folder = test::test_data();
  if (folder.empty()) {
    Frame random{"random sites", {}};
    for (std::int32_t i = 0; i < 79745; ++i) {
      const std::int32_t cell = i * 1000 + static_cast<std::int32_t>(rng() % 1000);
      for (const std::int32_t v : {0, cell / (1440 * 1440), cell / 1440 % 1440, cell % 1440})
        random.indices.push_back(v);
    }
    frames.push_back(std::move(random));
    return frames;
  }
  Frame whole{
      "nvidia_centerpoint",
      test::read_array(folder / "nvidia_centerpoint" / "in_indices_bzyx.i32.tensor").as<std::int32_t>()};
  std::vector<std::size_t> rows(whole.indices.size() / 4);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = i;
  std::shuffle(rows.begin(), rows.end(), rng);
  const auto pick = [&](std::string name, std::size_t n) {
    Frame frame{std::move(name), {}};
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t c = 0; c < 4; ++c) frame.indices.push_back(whole.indices[rows[i] * 4 + c]);
    }
    return frame;
  };
  Frame shuffled = pick("the same, random row order", rows.size());
  Frame quarter = pick("a quarter of it", rows.size() / 4);
  frames.push_back(std::move(whole));
  frames.push_back(std::move(shuffled));
  frames.push_back(std::move(quarter));
  return frames;
}

}  // namespace voxgemm::bench
