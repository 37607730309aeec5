// Pair tables on CUDA: for every target row and kernel offset the source row that it meets, or -1.
#pragma once

#include <cstdint>

#include "kernels/coord_index/sm80.h"
#include "kernels/kernel.h"

namespace voxgemm::device {

/// One table. Targets are the rows of `rows`; sources the sites of `source`.
struct PairJob {
  const std::int32_t* rows = nullptr;   // [count][1+ndim]
  const std::int32_t* count = nullptr;  // one int32
  std::int32_t capacity = 0;            // of rows
  std::int32_t target_extent[kAxes] = {1, 1, 1, 1};
  Grid grid{};  // of the sources
  AxisMap axis[kAxes] = {};
  WordLookup lookup{};                        // of the sources
  const std::int32_t* row_of_rank = nullptr;  // null: row == rank
  std::int32_t kv = 1;
  std::int32_t mask_words = 1;
  bool dense27 = false;           // 3x3x3, no division, unit innermost steps, sources in a bitmap
  std::int32_t* pairs = nullptr;  // [kv][stride]
  std::int64_t stride = 0;
  std::uint32_t* mask = nullptr;  // [count][mask_words], or null
  std::uint32_t* chunk_counts =
      nullptr;  // [chunks][1024] pattern keys of each 1024 rows, zero before; or null
  std::uint32_t* group_counts = nullptr;  // [groups][1024], the same for each 8 chunks
};

inline constexpr int kMaxPairJobs = 12;  // one launch

struct PairArgs {
  std::int32_t num_jobs = 0;
  PairJob jobs[kMaxPairJobs] = {};
};

void sm80_pairs(const PairArgs&, Exec) noexcept;

}  // namespace voxgemm::device
