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

inline constexpr std::int32_t kMaxTapWidth = 8;
inline constexpr std::int32_t kMaxTapPhases = 64;

/// Up to eight offsets whose sources are consecutive keys: one read of the occupancy bits answers them all.
/// Bit j of the window at (base of the target + delta) is offset first_k + j*step.
struct TapGroup {
  std::int64_t delta = 0;
  std::int32_t first_k = 0;
  std::int32_t width = 1;
  std::int32_t step = 1;
};

/// A relation in terms of keys. Per axis, q = floor((t*mul + offset) / div) and the phase is the remainder;
/// the base of a target is the source grid's key of its q. Groups [phase_begin[f], phase_begin[f+1]) serve
/// the targets whose phases number f (row-major over div).
struct Taps {
  const TapGroup* groups = nullptr;           // [num_groups]
  std::int32_t num_groups = 0;                // 0 = the halo is too narrow, or too many phases
  const std::int32_t* phase_begin = nullptr;  // [phases + 1]
  std::int32_t phases = 1;
};

struct PairsProblem {
  std::int32_t kv = 1;
  Relation relation{};  // target -> source
  Taps taps{};
  std::int32_t target_ndim = 3;
  IndexForm form = IndexForm::kSortedWords;  // of the source index
  bool short_keys = false;                   // keys of the source index fit 32 bits
};

/// Where the pairs of a tile go. A kernel calls place(state, tile, pairs) once a tile, in ascending order of
/// the tiles it was given, when the tile's pairs are counted and before the first is written; it returns the
/// number of pairs of all tiles before, for which it may wait.
struct TilePlacer {
  std::int32_t (*place)(void* state, std::int64_t tile, std::int32_t pairs) noexcept = nullptr;
  void* state = nullptr;
};

struct PairsArgs {
  PairsProblem problem{};
  CoordIndexRef source{};
  const std::int32_t* targets = nullptr;  // [num_targets][1+ndim]
  std::int32_t num_targets = 0;
  // Tile form: tiles of tile_rows targets.
  std::int32_t tile_rows = 0;
  std::int32_t* start = nullptr;      // [tiles*kv + 1]
  std::int32_t* in_rows = nullptr;    // [pairs]
  std::uint16_t* out_rows = nullptr;  // [pairs] target - tile*tile_rows
  TilePlacer placer{};
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
  // Writes start, in_rows and out_rows of the tiles; start[tiles*kv], the end of the last, is the caller's.
  void (*fill_tiles)(const PairsArgs&, RowRange tiles) noexcept = nullptr;
  void (*fill_table)(const PairsArgs&, RowRange targets) noexcept = nullptr;
};

/// Best first; the last row is scalar and takes everything.
std::span<const PairsKernel> pairs_kernels();

}  // namespace voxgemm
