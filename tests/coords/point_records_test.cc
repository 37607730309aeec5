// Proves: points in records give the bytes of the float32 rows that they stand for, for every type of field,
// any step and alignment, any number of threads, beside clouds of rows and of other records; a byte beyond
// the last field is not read; records that cannot be are refused by value.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "tests/coords/point_layouts.h"
#include "tests/coords/voxelize_reference.h"
#include "voxelize/points_view.h"

namespace voxgemm {
namespace {

using test::point_layouts;
using test::PointLayout;
using test::PointRecordBuffer;
using test::random_records;

VoxelGrid small_grid() {
  return {.min_xyz = {-4.0F, -4.0F, -1.0F},
          .max_xyz = {4.0F, 4.0F, 1.0F},
          .voxel_size_xyz = {0.1F, 0.1F, 0.2F},
          .max_voxels = 30000,
          .max_points_per_voxel = 4};
}

template <typename T>
void expect_bytes(const std::vector<T>& truth, const T* got, const char* what) {
  if (truth.empty()) return;
  EXPECT_EQ(std::memcmp(truth.data(), got, truth.size() * sizeof(T)), 0) << what;
}

/// voxelize() of `views` gives what the obvious voxeliser makes of `rows`.
void check(const VoxelGrid& grid, const std::vector<PointsView>& views,
           const std::vector<std::vector<float>>& rows, std::int32_t threads, bool extras) {
  test::Voxels truth;
  const std::int32_t columns = views[0].columns;
  std::size_t points = 0;
  for (std::size_t b = 0; b < rows.size(); ++b) {
    test::voxelize_cloud(grid, columns, rows[b], static_cast<std::int32_t>(b), truth);
    points += rows[b].size() / static_cast<std::size_t>(columns);
  }
  Context context({.threads = threads});
  const auto batch = static_cast<std::int32_t>(views.size());
  const auto capacity = static_cast<std::size_t>(batch) * static_cast<std::size_t>(grid.max_voxels);
  SparseTensor out(context, grid.grid_zyx(), batch, batch * grid.max_voxels, columns, DType::kFloat32);
  std::vector<std::int32_t> ids(extras ? points : 0);
  std::vector<std::int32_t> kept(extras ? capacity : 0);
  std::vector<float> padded(kept.size() * static_cast<std::size_t>(grid.max_points_per_voxel) *
                            static_cast<std::size_t>(columns));
  const auto counts = voxelize(context, views, grid, out, {ids, kept, padded});
  ASSERT_EQ(static_cast<std::size_t>(out.num_voxels()), truth.points_per_voxel.size());
  expect_bytes(truth.indices, out.indices(), "indices");
  expect_bytes(truth.features, static_cast<const float*>(out.features()), "features");
  if (extras) {
    expect_bytes(truth.point_voxel_id, ids.data(), "point_voxel_id");
    expect_bytes(truth.points_per_voxel, kept.data(), "points_per_voxel");
    expect_bytes(truth.padded, padded.data(), "voxels");
  }
  for (std::size_t b = 0; b < counts.size(); ++b) {
    const std::int64_t least = counts[b].points > 1000 ? counts[b].points / 20 : 0;
    EXPECT_GE(counts[b].voxels, least) << "a scene of nothing";
    EXPECT_EQ(counts[b].points, truth.counts[b].points);
    EXPECT_EQ(counts[b].not_finite, truth.counts[b].not_finite);
    EXPECT_EQ(counts[b].out_of_range, truth.counts[b].out_of_range);
    EXPECT_EQ(counts[b].voxel_overflow, truth.counts[b].voxel_overflow);
    EXPECT_EQ(counts[b].point_overflow, truth.counts[b].point_overflow);
    EXPECT_EQ(counts[b].voxels_wanted, truth.counts[b].voxels_wanted);
  }
}

TEST(PointRecords, EqualTheRowsThatTheyStandFor) {
  std::mt19937 rng(1);
  for (const PointLayout& layout : point_layouts()) {
    SCOPED_TRACE(layout.name);
    for (const std::int64_t shift : {0, 1, 2, 4, 7}) {
      const PointRecordBuffer records = random_records(rng, layout, 5000, shift);
      check(small_grid(), {records.view()}, {records.rows()}, 1, true);
    }
  }
}

// Where blocks, vectors and the last record end; the buffer ends with its last field.
TEST(PointRecords, AnyNumberOfThem) {
  std::mt19937 rng(2);
  for (const PointLayout& layout : point_layouts()) {
    SCOPED_TRACE(layout.name);
    for (const std::int64_t count : {0, 1, 2, 7, 8, 9, 15, 16, 17, 33, 1023, 1024, 1025, 2049}) {
      const PointRecordBuffer records = random_records(rng, layout, count, 3);
      check(small_grid(), {records.view()}, {records.rows()}, 1, true);
    }
  }
}

// Few threads go block by block, many list the points of parts.
TEST(PointRecords, SameBytesForAnyNumberOfThreads) {
  std::mt19937 rng(3);
  for (const PointLayout& layout : point_layouts()) {
    SCOPED_TRACE(layout.name);
    const PointRecordBuffer records = random_records(rng, layout, 40000, 1);
    const std::vector<float> rows = records.rows();
    for (const std::int32_t threads : {2, 6}) {
      for (const bool extras : {true, false}) check(small_grid(), {records.view()}, {rows}, threads, extras);
    }
  }
}

TEST(PointRecords, LieBesideRowsInABatch) {
  std::mt19937 rng(4);
  const std::vector<PointLayout> layouts = point_layouts();
  std::vector<PointRecordBuffer> clouds;
  for (const PointLayout& layout : layouts) {
    if (layout.columns() == 4) clouds.push_back(random_records(rng, layout, 3000, 0));
  }
  ASSERT_GE(clouds.size(), 3U);
  std::vector<PointsView> views;
  std::vector<std::vector<float>> rows;
  for (const PointRecordBuffer& cloud : clouds) {
    views.push_back(cloud.view());
    rows.push_back(cloud.rows());
  }
  const std::vector<float> plain = rows[0];
  rows.push_back(plain);
  views.push_back({plain.data(), DType::kFloat32, 3000, 4});
  check(small_grid(), views, rows, 1, true);
}

TEST(PointRecords, FloatRowsAreReadInPlace) {
  alignas(8) std::byte bytes[64];
  const std::vector<PointField> fields{{4}, {8}, {12}};
  PointsView view{.data = bytes, .num_points = 2, .columns = 3, .fields = fields, .step = 24};
  const PointsView rows = in_simplest_form(view);
  EXPECT_TRUE(rows.fields.empty());
  EXPECT_EQ(rows.data, bytes + 4);
  EXPECT_EQ(rows.stride, 6);
  EXPECT_EQ(rows.num_points, 2);
  EXPECT_EQ(bytes_of(view), 24U + 16U);
  EXPECT_EQ(bytes_of(rows), 24U + 12U);
  const auto stay = [&](const PointsView& other) { return !in_simplest_form(other).fields.empty(); };
  const auto with = [&](auto change) {
    std::vector<PointField> changed = fields;
    PointsView other = view;
    change(other, changed);
    other.fields = changed;
    return stay(other);
  };
  EXPECT_FALSE(with([](PointsView&, auto&) {}));
  EXPECT_TRUE(with([](PointsView& v, auto&) { v.step = 22; }));
  EXPECT_TRUE(with([&](PointsView& v, auto&) { v.data = bytes + 2; }));
  EXPECT_TRUE(with([](PointsView&, auto& f) { f[2].offset = 16; }));
  EXPECT_TRUE(with([](PointsView&, auto& f) { f[1].type = PointType::kUint32; }));
  EXPECT_TRUE(with([](PointsView&, auto& f) { f[1].scale = 2.0; }));
  EXPECT_TRUE(with([](PointsView&, auto& f) { f[1].zero = -0.0; }));
}

TEST(PointRecords, WhatCannotBeIsRefusedByValue) {
  Context context({.threads = 1});
  VoxelGrid grid = small_grid();
  grid.max_voxels = 4;
  const Voxelizer voxelizer(context, grid, 4, 2);
  std::vector<std::byte> bytes(64);
  std::vector<std::int32_t> indices(16);
  std::vector<float> features(16);
  std::vector<std::byte> memory(voxelizer.workspace_bytes());
  const std::vector<PointField> good{{0}, {4}, {8}, {12, PointType::kUint16}};
  const auto status = [&](auto change) {
    std::vector<PointField> fields = good;
    PointsView view{.data = bytes.data(), .num_points = 2, .step = 22};
    change(view, fields);
    view.fields = fields;
    std::int32_t rows = 0;
    return to_string(voxelizer.run(context, {&view, 1}, indices.data(), features.data(), 4, &rows, nullptr,
                                   {memory.data(), memory.size()}));
  };
  EXPECT_EQ(status([](auto&, auto&) {}), "ok");
  EXPECT_EQ(status([](auto& v, auto&) { v.step = 14; }), "ok");
  EXPECT_EQ(status([](auto& v, auto&) { v.step = 13; }),
            "shape: offset of a field of a cloud: value 12, limit 11");
  EXPECT_EQ(status([](auto& v, auto&) { v.step = 0; }), "shape: step of a cloud: value 0, limit 1");
  EXPECT_EQ(status([](auto& v, auto&) { v.step = -22; }), "shape: step of a cloud: value -22, limit 1");
  EXPECT_EQ(status([](auto& v, auto&) { v.step = std::int64_t{1} << 31; }),
            "shape: step of a cloud: value 2147483648, limit 2147483647");
  EXPECT_EQ(status([](auto& v, auto&) { v.step = std::numeric_limits<std::int64_t>::max(); }),
            "shape: step of a cloud: value 9223372036854775807, limit 2147483647");
  EXPECT_EQ(status([](auto&, auto& f) { f[1].offset = -1; }),
            "shape: offset of a field of a cloud: value -1, limit 18");
  EXPECT_EQ(status([](auto&, auto& f) { f[1].offset = std::numeric_limits<std::int64_t>::max(); }),
            "shape: offset of a field of a cloud: value 9223372036854775807, limit 18");
  EXPECT_EQ(status([](auto&, auto& f) { f[3].type = PointType::kFloat64; }), "ok");
  EXPECT_EQ(status([](auto&, auto& f) {
              f[3] = {15, PointType::kFloat64};
            }),
            "shape: offset of a field of a cloud: value 15, limit 14");
  for (const int number : {0, 9, 255}) {
    EXPECT_EQ(status([&](auto&, auto& f) { f[0].type = static_cast<PointType>(number); }),
              "invalid argument: type of a field of a cloud: value " + std::to_string(number) + ", limit 8");
  }
  for (const double bad :
       {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    const std::string text = "invalid argument: zero and scale of a field of a cloud must be finite";
    EXPECT_EQ(status([&](auto&, auto& f) { f[0].zero = bad; }), text);
    EXPECT_EQ(status([&](auto&, auto& f) { f[0].scale = bad; }), text);
  }
  EXPECT_EQ(status([](auto&, auto& f) { f.push_back({0}); }), "shape: fields of a cloud: value 5, limit 4");
  EXPECT_EQ(status([](auto&, auto& f) { f.pop_back(); }), "shape: fields of a cloud: value 3, limit 4");
  EXPECT_EQ(status([](auto&, auto& f) { f.clear(); }),
            "invalid argument: step of a cloud without fields: value 22");
  EXPECT_EQ(status([](auto& v, auto&) { v.stride = 4; }),
            "invalid argument: row stride of a cloud with fields: value 4");
  EXPECT_EQ(status([](auto& v, auto&) { v.data = nullptr; }),
            "invalid argument: the points of a cloud are null");
  EXPECT_EQ(status([](auto& v, auto&) { v.num_points = 3; }),
            "shape: num_points of a cloud: value 3, limit 2");
  EXPECT_EQ(status([](auto& v, auto&) {
              v.data = nullptr;
              v.num_points = 0;
            }),
            "ok");
}

TEST(PointRecords, NoMoreThanTheMostFields) {
  Context context({.threads = 1});
  std::vector<std::byte> bytes(64);
  for (const std::int32_t columns : {kMaxPointFields, kMaxPointFields + 1}) {
    const std::vector<PointField> fields(static_cast<std::size_t>(columns), PointField{8, PointType::kUint8});
    const PointsView view{
        .data = bytes.data(), .num_points = 4, .columns = columns, .fields = fields, .step = 16};
    SparseTensor out(context, small_grid().grid_zyx(), 1, 30000, columns, DType::kFloat32);
    std::string error;
    try {
      voxelize(context, {&view, 1}, small_grid(), out);
    } catch (const Error& e) {
      error = e.what();
    }
    EXPECT_EQ(error,
              columns == kMaxPointFields ? "" : "voxelize: shape: fields of a cloud: value 33, limit 32");
  }
}

// Strides and pointers that rows cannot have: a kernel would read elsewhere, or fault.
TEST(PointRows, StridesAndAddressesAreChecked) {
  Context context({.threads = 1});
  std::vector<float> floats(64);
  SparseTensor out(context, small_grid().grid_zyx(), 1, 30000, 4, DType::kFloat32);
  const auto error = [&](const PointsView& view) -> std::string {
    try {
      voxelize(context, {&view, 1}, small_grid(), out);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  const auto* bytes = reinterpret_cast<const std::byte*>(floats.data());
  EXPECT_EQ(error({bytes, DType::kFloat32, 2, 4}), "");
  EXPECT_EQ(error({bytes + 2, DType::kFloat16, 2, 4}), "");
  EXPECT_EQ(error({bytes + 2, DType::kFloat32, 2, 4}),
            "voxelize: invalid argument: bytes by which the rows of a cloud are misaligned (records may be): "
            "value 2, limit 4");
  EXPECT_EQ(error({bytes + 1, DType::kFloat16, 2, 4}),
            "voxelize: invalid argument: bytes by which the rows of a cloud are misaligned (records may be): "
            "value 1, limit 2");
  EXPECT_EQ(error({bytes, DType::kFloat32, 2, 4, std::int64_t{1} << 62}),
            "voxelize: shape: row stride of a cloud: value 4611686018427387904, limit 536870911");
  EXPECT_EQ(error({bytes, DType::kFloat32, 2, 4, -4}),
            "voxelize: shape: row stride of a cloud: value -4, limit 4");
  EXPECT_EQ(error({bytes, DType::kFloat32, -2, 4}),
            "voxelize: invalid argument: num_points of a cloud: value -2");
  EXPECT_NE(error({bytes, DType::kFloat32, std::int64_t{1} << 40, 4}).find("1099511627776"),
            std::string::npos);
}

}  // namespace
}  // namespace voxgemm
