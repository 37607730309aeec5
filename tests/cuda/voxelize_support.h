// A voxeliser with its outputs on either device, and what it made.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "voxgemm/voxelize.h"

namespace voxgemm::test {

struct VoxelizeResult {
  std::int32_t rows = 0;
  std::vector<std::int32_t> indices, ids, per_voxel;
  std::vector<float> features, padded;
  std::vector<VoxelizeCounts> counts;
};

/// A planned voxeliser with its outputs, on either device.
class DeviceVoxels {
 public:
  DeviceVoxels(Context&& context, const VoxelGrid& grid, std::int32_t columns, std::int64_t max_points,
               std::int32_t batch)
      : context_(std::move(context)),
        grid_(grid),
        columns_(columns),
        batch_(batch),
        voxelizer_(context_, grid, columns, max_points, batch),
        workspace_(context_, voxelizer_.workspace_bytes()),
        indices_(context_, rows() * 16),
        features_(context_, rows() * static_cast<std::size_t>(columns) * 4),
        count_(context_, 4),
        counts_(context_, sizeof(VoxelizeCounts) * static_cast<std::size_t>(batch)),
        ids_(context_, static_cast<std::size_t>(max_points * batch + 1) * 4),
        per_voxel_(context_, rows() * 4),
        padded_(context_, rows() * padded_floats() * 4) {}

  [[nodiscard]] Status enqueue(std::span<const PointsView> clouds) {
    VoxelizeExtras extras;
    extras.point_voxel_id = {ids_.as<std::int32_t>(), ids_.bytes() / 4};
    extras.points_per_voxel = {per_voxel_.as<std::int32_t>(), rows()};
    extras.voxels = {padded_.as<float>(), rows() * padded_floats()};
    return voxelizer_.run(context_, clouds, indices_.as<std::int32_t>(), features_.as<float>(), columns_,
                          count_.as<std::int32_t>(), counts_.as<VoxelizeCounts>(),
                          {workspace_.data(), workspace_.bytes()}, extras);
  }

  [[nodiscard]] VoxelizeResult fetch(std::int64_t points, std::size_t clouds) {
    VoxelizeResult r;
    r.rows = get<std::int32_t>(count_, 1)[0];
    const auto n = static_cast<std::size_t>(r.rows);
    r.indices = get<std::int32_t>(indices_, n * 4);
    r.features = get<float>(features_, n * static_cast<std::size_t>(columns_));
    r.ids = get<std::int32_t>(ids_, static_cast<std::size_t>(points));
    r.per_voxel = get<std::int32_t>(per_voxel_, n);
    r.padded = get<float>(padded_, n * padded_floats());
    r.counts = get<VoxelizeCounts>(counts_, clouds);
    return r;
  }

  Context& context() { return context_; }

 private:
  [[nodiscard]] std::size_t rows() const {
    return static_cast<std::size_t>(grid_.max_voxels) * static_cast<std::size_t>(batch_);
  }
  [[nodiscard]] std::size_t padded_floats() const {
    return static_cast<std::size_t>(grid_.max_points_per_voxel) * static_cast<std::size_t>(columns_);
  }
  template <typename T>
  std::vector<T> get(const Buffer& from, std::size_t n) {
    std::vector<T> values(n);
    if (n > 0) from.download(context_, values.data(), n * sizeof(T));
    return values;
  }

  Context context_;
  VoxelGrid grid_;
  std::int32_t columns_;
  std::int32_t batch_;
  Voxelizer voxelizer_;
  Buffer workspace_, indices_, features_, count_, counts_, ids_, per_voxel_, padded_;
};

inline void expect_equal(const VoxelizeResult& a, const VoxelizeResult& b) {
  ASSERT_EQ(a.rows, b.rows);
  EXPECT_EQ(a.indices, b.indices);
  EXPECT_EQ(a.ids, b.ids);
  EXPECT_EQ(a.per_voxel, b.per_voxel);
  EXPECT_EQ(std::memcmp(a.features.data(), b.features.data(), a.features.size() * 4), 0);
  EXPECT_EQ(std::memcmp(a.padded.data(), b.padded.data(), a.padded.size() * 4), 0);
  ASSERT_EQ(a.counts.size(), b.counts.size());
  for (std::size_t i = 0; i < a.counts.size(); ++i) {
    EXPECT_EQ(a.counts[i].points, b.counts[i].points);
    EXPECT_EQ(a.counts[i].not_finite, b.counts[i].not_finite);
    EXPECT_EQ(a.counts[i].out_of_range, b.counts[i].out_of_range);
    EXPECT_EQ(a.counts[i].voxel_overflow, b.counts[i].voxel_overflow);
    EXPECT_EQ(a.counts[i].point_overflow, b.counts[i].point_overflow);
    EXPECT_EQ(a.counts[i].voxels, b.counts[i].voxels);
    EXPECT_EQ(a.counts[i].voxels_wanted, b.counts[i].voxels_wanted);
  }
}

inline VoxelGrid small_grid(std::int32_t max_voxels, std::int32_t max_points) {
  return {.min_xyz = {-4.0F, -4.0F, -1.0F},
          .max_xyz = {4.0F, 4.0F, 1.0F},
          .voxel_size_xyz = {0.1F, 0.1F, 0.2F},
          .max_voxels = max_voxels,
          .max_points_per_voxel = max_points};
}

}  // namespace voxgemm::test
