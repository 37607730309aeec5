// Grids, linear keys, and the relation between target and source coordinates of a map.
// Plain arrays and functions with internal linkage: files compiled for an instruction set keep copies of
// their own.
#pragma once

#include <cstdint>

namespace voxgemm {

/// Axes that kernels see: grids of fewer axes get leading axes of extent 1.
inline constexpr std::int32_t kAxes = 4;

/// Extents of a level, outermost axis first, and where its sites lie among the keys:
/// key = origin + b*batch_pitch + sum of a_i*pitch[i] < 2^63, ascending with (b, a0, .., a3). Each axis is
/// followed by halo[i] cells that stay empty, so that a neighbour up to halo[i] cells outside has a key of
/// its own too.
struct KeyGrid {
  std::int32_t batch = 1;
  std::int32_t ndim = kAxes;  ///< axes stored in `indices`: the last ndim of `extent`
  std::int32_t extent[kAxes] = {1, 1, 1, 1};
  std::int32_t halo[kAxes] = {0, 0, 0, 0};
  std::int64_t pitch[kAxes] = {1, 1, 1, 1};
  std::int64_t batch_pitch = 1;
  std::int64_t origin = 0;
};

/// One past the largest key that anybody may ask for.
static inline std::int64_t num_keys(const KeyGrid& grid) {
  return grid.origin + grid.batch * grid.batch_pitch;
}

/// A site: batch item and padded coordinates.
struct Site {
  std::int32_t batch = 0;
  std::int32_t at[kAxes] = {0, 0, 0, 0};
};

static inline std::int64_t key_of(const KeyGrid& grid, const Site& s) {
  return grid.origin + s.batch * grid.batch_pitch + s.at[0] * grid.pitch[0] + s.at[1] * grid.pitch[1] +
         s.at[2] * grid.pitch[2] + s.at[3];
}

/// Site of an active key.
static inline Site site_of(const KeyGrid& grid, std::int64_t key) {
  Site s;
  std::int64_t rest = key - grid.origin;
  s.batch = static_cast<std::int32_t>(rest / grid.batch_pitch);
  rest -= s.batch * grid.batch_pitch;
  for (std::int32_t a = 0; a + 1 < kAxes; ++a) {
    s.at[a] = static_cast<std::int32_t>(rest / grid.pitch[a]);
    rest -= s.at[a] * grid.pitch[a];
  }
  s.at[kAxes - 1] = static_cast<std::int32_t>(rest);
  return s;
}

/// Reads a row of `indices` ([1+ndim], batch first).
static inline Site read_site(const std::int32_t* row, std::int32_t ndim) {
  Site s;
  s.batch = row[0];
  for (std::int32_t a = 0; a < ndim; ++a) s.at[kAxes - ndim + a] = row[1 + a];
  return s;
}

/// Writes a row of `indices`.
static inline void write_site(const Site& s, std::int32_t ndim, std::int32_t* row) {
  row[0] = s.batch;
  for (std::int32_t a = 0; a < ndim; ++a) row[1 + a] = s.at[kAxes - ndim + a];
}

/// Whether a row lies inside the grid, and its key.
static inline bool key_of_row(const KeyGrid& grid, const std::int32_t* row, std::int64_t& key) {
  const Site s = read_site(row, grid.ndim);
  const auto below = [](std::int32_t value, std::int32_t limit) -> unsigned {  // joined without branches
    return static_cast<std::uint32_t>(value) < static_cast<std::uint32_t>(limit) ? 1 : 0;
  };
  const bool inside =
      (below(s.batch, grid.batch) & below(s.at[0], grid.extent[0]) & below(s.at[1], grid.extent[1]) &
       below(s.at[2], grid.extent[2]) & below(s.at[3], grid.extent[3])) != 0;
  key = inside ? key_of(grid, s) : 0;
  return inside;
}

/// One axis of "target t reads source s under kernel coordinate r": s = (t*mul + r*step + offset) / div when
/// that divides and 0 <= s < extent. At most one of mul, div differs from 1; offset >= 0 when div does.
struct AxisRelation {
  std::int32_t mul = 1;
  std::int32_t step = 1;
  std::int32_t offset = 0;
  std::int32_t div = 1;
  std::int32_t kernel = 1;
  std::int32_t extent = 1;  ///< of the source
};

/// Source coordinate of t under r, or -1.
static inline std::int32_t source_of(const AxisRelation& axis, std::int32_t t, std::int32_t r) {
  const std::int64_t num =
      static_cast<std::int64_t>(t) * axis.mul + static_cast<std::int64_t>(r) * axis.step + axis.offset;
  if (num < 0) return -1;
  if (axis.div == 1) return num < axis.extent ? static_cast<std::int32_t>(num) : -1;
  const auto low = static_cast<std::uint32_t>(num);  // t < 2^31 and offset <= 2^30: fits
  const auto div = static_cast<std::uint32_t>(axis.div);
  const std::uint32_t s = div == 2 ? low >> 1 : low / div;  // stride 2 is the common one
  return s * div == low && s < static_cast<std::uint32_t>(axis.extent) ? static_cast<std::int32_t>(s) : -1;
}

/// All axes of a map, seen from its targets. Offset index k is row-major over the kernel, last axis fastest.
struct Relation {
  AxisRelation axis[kAxes] = {};
  KeyGrid source{};
};

}  // namespace voxgemm
