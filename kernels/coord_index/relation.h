// Grids, linear keys, and the relation between target and source coordinates of a map.
#pragma once

#include <array>
#include <cstdint>

namespace voxgemm {

/// Axes that kernels see: grids of fewer axes get leading axes of extent 1.
inline constexpr int kAxes = 4;
using Site = std::array<std::int32_t, kAxes>;

/// Extents of a level, outermost axis first, and where its sites lie among the keys:
/// key = origin + b*batch_pitch + sum of a_i*pitch[i] < 2^63, ascending with (b, a0, .., a3). Each axis is
/// followed by halo[i] cells that stay empty, so that a neighbour up to halo[i] cells outside has a key of
/// its own too.
struct KeyGrid {
  std::int32_t batch = 1;
  std::int32_t ndim = kAxes;  ///< axes stored in `indices`: the last ndim of `extent`
  // Plain arrays here and below: files compiled for an instruction set read them.
  std::int32_t extent[kAxes] = {1, 1, 1, 1};
  std::int32_t halo[kAxes] = {0, 0, 0, 0};
  std::int64_t pitch[kAxes] = {1, 1, 1, 1};
  std::int64_t batch_pitch = 1;
  std::int64_t origin = 0;

  [[nodiscard]] std::int64_t key(std::int32_t b, const Site& s) const {
    return origin + b * batch_pitch + s[0] * pitch[0] + s[1] * pitch[1] + s[2] * pitch[2] + s[3];
  }
  /// One past the largest key that anybody may ask for.
  [[nodiscard]] std::int64_t keys() const { return origin + batch * batch_pitch; }
  /// Batch and site of an active key.
  [[nodiscard]] std::int32_t decode(std::int64_t k, Site& s) const {
    std::int64_t rest = k - origin;
    const std::int64_t b = rest / batch_pitch;
    rest -= b * batch_pitch;
    for (int a = 0; a + 1 < kAxes; ++a) {
      const std::int64_t c = rest / pitch[a];
      rest -= c * pitch[a];
      s[static_cast<std::size_t>(a)] = static_cast<std::int32_t>(c);
    }
    s[kAxes - 1] = static_cast<std::int32_t>(rest);
    return static_cast<std::int32_t>(b);
  }
};

/// One axis of "target t reads source s under kernel coordinate r": s = (t*mul + r*step + offset) / div when
/// that divides and 0 <= s < extent. Exactly one of mul, div may differ from 1.
struct AxisRelation {
  std::int32_t mul = 1;
  std::int32_t step = 1;
  std::int32_t offset = 0;
  std::int32_t div = 1;
  std::int32_t kernel = 1;
  std::int32_t extent = 1;  ///< of the source

  /// Source coordinate, or -1.
  [[nodiscard]] std::int32_t source(std::int32_t t, std::int32_t r) const {
    const std::int64_t num =
        static_cast<std::int64_t>(t) * mul + static_cast<std::int64_t>(r) * step + offset;
    if (num < 0) return -1;
    if (div == 1) return num < extent ? static_cast<std::int32_t>(num) : -1;
    if (num % div != 0) return -1;
    const std::int64_t s = num / div;
    return s < extent ? static_cast<std::int32_t>(s) : -1;
  }
};

/// All axes of a map, seen from its targets. Offset index k is row-major over the kernel, last axis fastest.
struct Relation {
  AxisRelation axis[kAxes] = {};
  KeyGrid source{};

  [[nodiscard]] std::int32_t kv() const {
    return axis[0].kernel * axis[1].kernel * axis[2].kernel * axis[3].kernel;
  }
};

/// Writes a row of `indices` ([1+ndim], batch first).
inline void write_site(std::int32_t b, const Site& site, std::int32_t ndim, std::int32_t* row) {
  row[0] = b;
  for (std::int32_t a = 0; a < ndim; ++a) row[1 + a] = site[static_cast<std::size_t>(kAxes - ndim + a)];
}

/// Reads a row of `indices` ([1+ndim], batch first) into batch and padded site.
inline std::int32_t read_site(const std::int32_t* row, std::int32_t ndim, Site& site) {
  site = {0, 0, 0, 0};
  for (std::int32_t a = 0; a < ndim; ++a) site[static_cast<std::size_t>(kAxes - ndim + a)] = row[1 + a];
  return row[0];
}

/// Calls visit(k, key) for each (offset, source key) of one target, k ascending. Sources need not be active.
template <typename Visit>
void for_each_source(const Relation& rel, std::int32_t b, const Site& t, Visit&& visit) {
  const auto& ax = rel.axis;
  std::int32_t k = 0;
  const std::int32_t plane = ax[1].kernel * ax[2].kernel * ax[3].kernel;
  for (std::int32_t r0 = 0; r0 < ax[0].kernel; ++r0) {
    const std::int32_t s0 = ax[0].source(t[0], r0);
    if (s0 < 0) {
      k += plane;
      continue;
    }
    for (std::int32_t r1 = 0; r1 < ax[1].kernel; ++r1) {
      const std::int32_t s1 = ax[1].source(t[1], r1);
      if (s1 < 0) {
        k += ax[2].kernel * ax[3].kernel;
        continue;
      }
      for (std::int32_t r2 = 0; r2 < ax[2].kernel; ++r2) {
        const std::int32_t s2 = ax[2].source(t[2], r2);
        if (s2 < 0) {
          k += ax[3].kernel;
          continue;
        }
        const std::int64_t base = rel.source.key(b, {s0, s1, s2, 0});
        for (std::int32_t r3 = 0; r3 < ax[3].kernel; ++r3, ++k) {
          const std::int32_t s3 = ax[3].source(t[3], r3);
          if (s3 >= 0) visit(k, base + s3);
        }
      }
    }
  }
}

}  // namespace voxgemm
