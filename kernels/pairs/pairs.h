// The kernel-map contract: for every target row, which source rows feed it under which offset.
//
// Forward maps have output rows as targets and input rows as sources, backward maps the reverse; the relation
// says how coordinates correspond, so one operator serves submanifold, regular, transposed and inverse maps.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/coord_index/coord_index.h"
#include "kernels/kernel.h"
#include "voxgemm/types.h"

namespace voxgemm {

struct PairsProblem {
  Relation relation{};  // target -> source
  std::int32_t target_ndim = 3;
  bool direct = false;  // the source index is a bitmap
};

struct PairsArgs {
  PairsProblem problem{};
  CoordIndexRef source{};
  const std::int32_t* targets = nullptr;  // [num_targets][1+ndim]
  std::int32_t num_targets = 0;
  // Tile form: tiles of tile_rows targets.
  std::int32_t tile_rows = 0;
  std::int32_t* start = nullptr;      // [tiles*kv + 1]; count_tiles leaves counts, fill_tiles reads starts
  std::int32_t* in_rows = nullptr;    // [pairs]
  std::uint16_t* out_rows = nullptr;  // [pairs] target - tile*tile_rows
  // Table form.
  std::int32_t* table = nullptr;  // [kv][table_stride] source row or -1
  std::int64_t table_stride = 0;
  std::uint32_t* mask = nullptr;  // [num_targets][ceil(kv/32)], or null
};

/// One row of the table.
struct PairsKernel {
  std::string_view name;
  Isa isa = Isa::kScalar;
  const char* (*rejects)(const PairsProblem&) = nullptr;
  void (*count_tiles)(const PairsArgs&, RowRange tiles) noexcept = nullptr;
  void (*fill_tiles)(const PairsArgs&, RowRange tiles) noexcept = nullptr;
  void (*fill_table)(const PairsArgs&, RowRange targets) noexcept = nullptr;
};

/// Best first; the last row is scalar and takes everything.
std::span<const PairsKernel> pairs_kernels();

}  // namespace voxgemm
