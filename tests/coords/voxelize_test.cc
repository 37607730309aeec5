// Proves: voxelize() and Voxelizer give the bytes of the obvious voxeliser (voxelize_reference.h), for any
// number of threads, every cell kernel, float32 and float16, narrow and wide cells, both caps, broken points
// and batches; nothing beyond the rows produced is written; bad grids and clouds are refused by value.
#include "voxgemm/voxelize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "kernels/voxelize/voxelize.h"
#include "tests/coords/voxelize_reference.h"

namespace voxgemm {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

VoxelGrid small_grid() {
  return {.min_xyz = {-4.0F, -4.0F, -1.0F},
          .max_xyz = {4.0F, 4.0F, 1.0F},
          .voxel_size_xyz = {0.1F, 0.1F, 0.2F},
          .max_voxels = 100000,
          .max_points_per_voxel = 5};
}

// Points around a few centres, some outside, some broken, some exactly on cell borders.
std::vector<float> make_points(std::size_t n, std::int32_t columns, unsigned seed, float spread = 1.5F) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, spread);
  std::vector<float> points(n * static_cast<std::size_t>(columns));
  for (float& v : points) v = normal(random);
  const auto at = [&](std::size_t i, std::size_t c) -> float& {
    return points[i * static_cast<std::size_t>(columns) + c];
  };
  for (std::size_t i = 0; i < n; i += 97) at(i, random() % static_cast<unsigned>(columns)) = kNan;
  for (std::size_t i = 5; i < n; i += 131) at(i, random() % static_cast<unsigned>(columns)) = -kInf;
  for (std::size_t i = 7; i < n; i += 13) at(i, 0) = -4.0F + 0.1F * static_cast<float>(random() % 90);
  for (std::size_t i = 11; i < n; i += 101) at(i, 1) = -4.0F;
  for (std::size_t i = 12; i < n; i += 103) at(i, 2) = std::numeric_limits<float>::max();
  for (std::size_t i = 13; i < n; i += 107) at(i, 3 % static_cast<std::size_t>(columns)) = -0.0F;
  return points;
}

template <typename T>
void expect_bytes(const std::vector<T>& truth, const T* got, const char* what) {
  if (truth.empty()) return;
  EXPECT_EQ(std::memcmp(truth.data(), got, truth.size() * sizeof(T)), 0) << what;
}

struct Run {
  std::int32_t threads = 1;
  std::string kernel;
  DType dtype = DType::kFloat32;
  std::int64_t padding = 0;  ///< elements between rows beyond columns
  bool extras = true;
};

// Voxelises and compares every output with the reference.
void check(const VoxelGrid& grid, std::int32_t columns, const std::vector<std::vector<float>>& clouds,
           const Run& run) {
  SCOPED_TRACE(testing::Message() << run.threads << " threads, " << run.kernel << " "
                                  << to_string(run.dtype));
  test::Voxels truth;
  std::vector<std::vector<float>> stored(clouds.size());
  std::vector<std::vector<Half>> halves(clouds.size());
  std::vector<PointsView> views;
  const std::int64_t stride = columns + run.padding;
  std::int64_t points = 0;
  for (std::size_t b = 0; b < clouds.size(); ++b) {
    std::vector<float> cloud = clouds[b];
    const std::int64_t n = static_cast<std::int64_t>(cloud.size()) / columns;
    stored[b].assign(static_cast<std::size_t>(n * stride), kNan);
    halves[b].assign(static_cast<std::size_t>(n * stride), Half{0x7FFF});
    for (std::int64_t i = 0; i < n * columns; ++i) {
      float& v = cloud[static_cast<std::size_t>(i)];
      const auto to = static_cast<std::size_t>(i / columns * stride + i % columns);
      halves[b][to] = to_half(v);
      if (run.dtype == DType::kFloat16) v = to_float(halves[b][to]);
      stored[b][to] = v;
    }
    test::voxelize_cloud(grid, columns, cloud, static_cast<std::int32_t>(b), truth);
    const void* data =
        run.dtype == DType::kFloat16 ? static_cast<const void*>(halves[b].data()) : stored[b].data();
    views.push_back({data, run.dtype, n, columns, run.padding == 0 ? 0 : stride});
    points += n;
  }
  Context context({.threads = run.threads, .kernels = {.force = run.kernel}});
  const auto rows = static_cast<std::int32_t>(clouds.size()) * grid.max_voxels;
  Dims shape = grid.grid_zyx();
  shape[0] += 1;
  SparseTensor out(context, shape, static_cast<std::int32_t>(clouds.size()), rows, columns, DType::kFloat32);
  std::fill_n(out.indices(), 4 * static_cast<std::size_t>(rows), -99);
  std::fill_n(static_cast<float*>(out.features()), static_cast<std::size_t>(rows * columns), -99.0F);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(points), -99);
  std::vector<std::int32_t> kept(static_cast<std::size_t>(rows), -99);
  std::vector<float> padded(static_cast<std::size_t>(rows) *
                                static_cast<std::size_t>(grid.max_points_per_voxel) *
                                static_cast<std::size_t>(columns),
                            -99.0F);
  if (!run.extras) {  // which several threads make in a pass of their own
    ids.clear();
    kept.clear();
    padded.clear();
    truth.point_voxel_id.clear();
    truth.padded.clear();
  }
  const auto counts = voxelize(context, views, grid, out, {ids, kept, padded});
  const std::size_t n = truth.points_per_voxel.size();
  ASSERT_EQ(static_cast<std::size_t>(out.num_voxels()), n);
  expect_bytes(truth.indices, out.indices(), "indices");
  expect_bytes(truth.features, static_cast<const float*>(out.features()), "features");
  expect_bytes(truth.point_voxel_id, ids.data(), "point_voxel_id");
  if (run.extras) expect_bytes(truth.points_per_voxel, kept.data(), "points_per_voxel");
  expect_bytes(truth.padded, padded.data(), "voxels");
  ASSERT_EQ(counts.size(), truth.counts.size());
  for (std::size_t b = 0; b < counts.size(); ++b) {
    EXPECT_EQ(counts[b].points, truth.counts[b].points);
    EXPECT_EQ(counts[b].not_finite, truth.counts[b].not_finite);
    EXPECT_EQ(counts[b].out_of_range, truth.counts[b].out_of_range);
    EXPECT_EQ(counts[b].voxel_overflow, truth.counts[b].voxel_overflow);
    EXPECT_EQ(counts[b].point_overflow, truth.counts[b].point_overflow);
    EXPECT_EQ(counts[b].voxels, truth.counts[b].voxels);
    EXPECT_EQ(counts[b].voxels_wanted, truth.counts[b].voxels_wanted);
  }
  for (std::size_t i = 4 * n; i < 4 * static_cast<std::size_t>(rows); ++i) ASSERT_EQ(out.indices()[i], -99);
  for (std::size_t i = n * static_cast<std::size_t>(columns); i < static_cast<std::size_t>(rows * columns);
       ++i) {
    ASSERT_EQ(static_cast<const float*>(out.features())[i], -99.0F);
  }
  if (!run.extras) return;
  EXPECT_TRUE(
      std::all_of(kept.begin() + static_cast<std::ptrdiff_t>(n), kept.end(), [](int v) { return v == -99; }));
}

TEST(Voxelize, MatchesReferenceForEveryColumnCountAndType) {
  for (const std::int32_t columns : {3, 4, 5, 6, 9}) {
    const auto points = make_points(5000, columns, 1);
    for (const DType dtype : {DType::kFloat32, DType::kFloat16}) {
      check(small_grid(), columns, {points}, {.dtype = dtype});
      check(small_grid(), columns, {points}, {.dtype = dtype, .padding = 3});
    }
  }
}

TEST(Voxelize, CapsDropAndCount) {
  const auto points = make_points(8000, 4, 2, 0.4F);
  VoxelGrid grid = small_grid();
  for (const std::int32_t max_voxels : {1, 100, 1000}) {
    for (const std::int32_t max_points : {1, 2, 50}) {
      grid.max_voxels = max_voxels;
      grid.max_points_per_voxel = max_points;
      check(grid, 4, {points}, {});
    }
  }
}

TEST(Voxelize, BatchesAndEmptyClouds) {
  VoxelGrid grid = small_grid();
  grid.max_voxels = 1500;
  check(grid, 5, {make_points(3000, 5, 3), {}, make_points(1, 5, 4), make_points(2000, 5, 5)}, {});
  check(grid, 5, {{}}, {});
}

// Few threads go block by block, more split space; both also over clouds too small to split, and with more
// threads than the machine has.
TEST(Voxelize, SameBytesForAnyNumberOfThreads) {
  VoxelGrid grid = small_grid();
  grid.max_points_per_voxel = 3;
  auto negative_zeros = make_points(30000, 5, 10);
  for (std::size_t i = 4; i < negative_zeros.size(); i += 5) negative_zeros[i] = -0.0F;
  const std::vector<std::vector<float>> clouds{make_points(70000, 5, 6), make_points(40000, 5, 7, 0.5F),
                                               make_points(100, 5, 8), negative_zeros};
  for (const std::int32_t max_voxels : {100000, 5000}) {
    grid.max_voxels = max_voxels;
    for (const std::int32_t threads : {1, 2, 4, 6, 16}) {
      for (const bool extras : {true, false}) {
        check(grid, 5, clouds, {.threads = threads, .extras = extras});
        check(grid, 5, clouds,
              {.threads = threads, .dtype = DType::kFloat16, .padding = 1, .extras = extras});
      }
    }
  }
}

TEST(Voxelize, ThreadsAndPointsThatLieInOneCellOrInNone) {
  VoxelGrid grid = small_grid();
  std::vector<float> here(4 * 40000, 0.01F);
  std::vector<float> nowhere(4 * 40000, 1e6F);
  std::vector<float> broken(4 * 40000, kNan);
  for (const std::int32_t threads : {1, 2, 6}) {
    check(grid, 4, {here, nowhere, broken, here}, {.threads = threads});
    check(grid, 4, {here, nowhere, broken, here}, {.threads = threads, .extras = false});
  }
}

// Several voxelisers want the same few threads: helpers come late, leave and come back.
TEST(Voxelize, ManyAtOnceShareTheThreads) {
  VoxelGrid grid = small_grid();
  const auto points = make_points(50000, 5, 11);
  const PointsView cloud{points.data(), DType::kFloat32, 50000, 5, 0};
  test::Voxels truth;
  test::voxelize_cloud(grid, 5, points, 0, truth);
  const auto frames = [&](std::int32_t threads) {
    Context context({.threads = threads});
    const Voxelizer voxelizer(context, grid, 5, cloud.num_points);
    const Buffer workspace(context, voxelizer.workspace_bytes());
    std::vector<std::int32_t> indices(4 * static_cast<std::size_t>(grid.max_voxels));
    std::vector<float> features(5 * static_cast<std::size_t>(grid.max_voxels));
    for (int frame = 0; frame < 30; ++frame) {
      std::int32_t voxels = 0;
      const Status status = voxelizer.run(context, {&cloud, 1}, indices.data(), features.data(), 5, &voxels,
                                          nullptr, {workspace.data(), workspace.bytes()});
      ASSERT_TRUE(status.ok());
      ASSERT_EQ(static_cast<std::size_t>(voxels), truth.points_per_voxel.size());
      expect_bytes(truth.indices, indices.data(), "indices");
      expect_bytes(truth.features, features.data(), "features");
    }
  };
  std::vector<std::thread> callers;
  for (const std::int32_t threads : {2, 3, 6, 2, 3, 6}) callers.emplace_back(frames, threads);
  for (std::thread& caller : callers) caller.join();
}

TEST(Voxelize, WideCellsAndHugeGrids) {
  VoxelGrid grid = small_grid();
  grid.min_xyz = {-4000.0F, -4000.0F, -40.0F};
  grid.max_xyz = {4000.0F, 4000.0F, 40.0F};
  grid.voxel_size_xyz = {0.05F, 0.05F, 0.05F};  // 160000 x 160000 x 1600 cells: 47 bits
  const auto points = make_points(40000, 4, 9, 30.0F);
  for (const std::int32_t threads : {1, 2, 6}) check(grid, 4, {points}, {.threads = threads});
  grid.voxel_size_xyz = {100.0F, 8000.0F, 80.0F};  // axes of a single cell
  check(grid, 4, {points}, {});
}

TEST(Voxelize, CellKernelsAgreeBitForBit) {
  const VoxelGrid grid = small_grid();
  for (const VoxelCellsKernel& row : voxel_cells_kernels()) {
    if (!Context({.threads = 1}).supports(row.isa)) {
      GTEST_LOG_(INFO) << "not run here: " << row.name;
      continue;
    }
    for (const std::int32_t columns : {3, 4, 5, 7}) {
      for (std::size_t n = 0; n <= 70; ++n) {
        check(grid, columns, {make_points(n, columns, static_cast<unsigned>(n))},
              {.kernel = std::string(row.name)});
      }
    }
    check(grid, 5, {make_points(6000, 5, 10)}, {.kernel = std::string(row.name), .padding = 2});
  }
}

TEST(VoxelGrid, CellsAndErrors) {
  VoxelGrid grid = small_grid();
  EXPECT_EQ(grid.grid_zyx(), (Dims{10, 80, 80}));
  const auto refuse = [&](auto change) {
    VoxelGrid bad = grid;
    change(bad);
    Context context({.threads = 1});
    try {
      const Voxelizer voxelizer(context, bad, 4, 10);
      ADD_FAILURE() << "accepted";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kInvalidArgument) << e.what();
      EXPECT_NE(std::string(e.what()).find("voxel grid"), std::string::npos) << e.what();
    }
  };
  refuse([](VoxelGrid& g) { g.voxel_size_xyz[1] = 0.0F; });
  refuse([](VoxelGrid& g) { g.voxel_size_xyz[1] = -0.1F; });
  refuse([](VoxelGrid& g) { g.voxel_size_xyz[2] = kNan; });
  refuse([](VoxelGrid& g) { g.min_xyz[0] = -kInf; });
  refuse([](VoxelGrid& g) { g.max_xyz[0] = g.min_xyz[0]; });
  refuse([](VoxelGrid& g) { g.max_xyz[0] = g.min_xyz[0] - 1.0F; });
  refuse([](VoxelGrid& g) { g.voxel_size_xyz[0] = 1e-7F; });
  refuse([](VoxelGrid& g) { g.max_voxels = 0; });
  refuse([](VoxelGrid& g) { g.max_points_per_voxel = 0; });
}

TEST(Voxelize, OutMustFit) {
  Context context({.threads = 1});
  const VoxelGrid grid = small_grid();
  const std::vector<float> points(8, 0.0F);
  const std::vector<PointsView> clouds{{points.data(), DType::kFloat32, 2, 4, 0}};
  const auto code = [&](SparseTensor out) {
    try {
      voxelize(context, clouds, grid, out);
    } catch (const Error& e) {
      return e.code();
    }
    return ErrorCode::kOk;
  };
  const std::int32_t rows = grid.max_voxels;
  EXPECT_EQ(code({context, {10, 80, 80}, 1, rows, 4, DType::kFloat32}), ErrorCode::kOk);
  EXPECT_EQ(code({context, {9, 80, 80}, 1, rows, 4, DType::kFloat32}), ErrorCode::kShape);
  EXPECT_EQ(code({context, {80, 80}, 1, rows, 4, DType::kFloat32}), ErrorCode::kShape);
  EXPECT_EQ(code({context, {10, 80, 80}, 1, rows - 1, 4, DType::kFloat32}), ErrorCode::kShape);
  EXPECT_EQ(code({context, {10, 80, 80}, 1, rows, 5, DType::kFloat32}), ErrorCode::kShape);
  EXPECT_EQ(code({context, {10, 80, 80}, 1, rows, 4, DType::kInt8}), ErrorCode::kDType);
}

TEST(Voxelizer, RunRefusesWhatThePlanDoesNotCover) {
  Context context({.threads = 1});
  VoxelGrid grid = small_grid();
  grid.max_voxels = 4;
  const Voxelizer voxelizer(context, grid, 4, 2);
  const std::vector<float> points(16, 0.0F);
  std::vector<std::int32_t> indices(16);
  std::vector<float> features(32);
  std::int32_t num_voxels = -1;
  std::vector<std::byte> memory(voxelizer.workspace_bytes());
  const auto run = [&](PointsView cloud, std::int64_t stride, std::size_t bytes, VoxelizeExtras extras = {}) {
    const std::vector<PointsView> clouds{cloud};
    return voxelizer.run(context, clouds, indices.data(), features.data(), stride, &num_voxels, nullptr,
                         {memory.data(), bytes}, extras);
  };
  const PointsView good{points.data(), DType::kFloat32, 2, 4, 0};
  const auto with = [&](auto change) {
    PointsView cloud = good;
    change(cloud);
    return run(cloud, 8, memory.size());
  };
  EXPECT_TRUE(run(good, 8, memory.size()).ok());
  EXPECT_EQ(num_voxels, 1);
  EXPECT_EQ(with([](PointsView& c) { c.num_points = 3; }).code, ErrorCode::kShape);
  EXPECT_EQ(with([](PointsView& c) { c.num_points = 3; }).limit, 2);
  EXPECT_EQ(with([](PointsView& c) { c.num_points = -1; }).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(with([](PointsView& c) { c.columns = 5; }).code, ErrorCode::kShape);
  EXPECT_EQ(with([](PointsView& c) { c.stride = 3; }).code, ErrorCode::kShape);
  EXPECT_EQ(with([](PointsView& c) { c.dtype = DType::kInt8; }).code, ErrorCode::kDType);
  EXPECT_EQ(with([](PointsView& c) { c.data = nullptr; }).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(run(good, 3, memory.size()).code, ErrorCode::kShape);
  EXPECT_EQ(run(good, 8, memory.size() - 1).code, ErrorCode::kInvalidArgument);
  std::vector<std::int32_t> one(1);
  EXPECT_EQ(run(good, 8, memory.size(), {.point_voxel_id = one}).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(run(good, 8, memory.size(), {.points_per_voxel = one}).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(to_string(with([](PointsView& c) { c.data = nullptr; })),
            "invalid argument: the points of a cloud are null");
  EXPECT_EQ(to_string(with([](PointsView& c) { c.stride = 3; })),
            "shape: row stride of a cloud: value 3, limit 4");
  EXPECT_EQ(to_string(with([](PointsView& c) { c.dtype = DType::kInt8; })), "dtype: type of a cloud: int8");
  EXPECT_THROW(Voxelizer(context, grid, 4, 2, 1, {9, 80, 80}), Error);
}

TEST(Voxelizer, ViewIsTheTensorOfTheLastRun) {
  Context context({.threads = 1});
  VoxelGrid grid = small_grid();
  grid.max_voxels = 700;
  const Dims cells = grid.grid_zyx();
  const Dims shape{cells[0] + 1, cells[1], cells[2] + 2};
  const auto points = make_points(3000, 4, 12);
  const PointsView cloud{points.data(), DType::kFloat32, 3000, 4, 0};
  const std::vector<PointsView> clouds{cloud, cloud};
  const Voxelizer voxelizer(context, grid, 4, 3000, 2, shape);
  std::vector<std::byte> memory(voxelizer.workspace_bytes());
  std::vector<std::int32_t> indices(4 * 1400);
  std::vector<float> features(6 * 1400);
  std::int32_t num_voxels = 0;
  for (const std::size_t n : {std::size_t{2}, std::size_t{1}, std::size_t{0}}) {
    ASSERT_TRUE(voxelizer
                    .run(context, std::span(clouds).first(n), indices.data(), features.data(), 6, &num_voxels,
                         nullptr, {memory.data(), memory.size()})
                    .ok());
    const SparseTensorView view = voxelizer.view(indices.data(), features.data(), 6, &num_voxels);
    EXPECT_EQ(view.indices, indices.data());
    EXPECT_EQ(view.features.data, features.data());
    EXPECT_EQ(view.features.dtype, DType::kFloat32);
    EXPECT_EQ(view.features.channels, 4);
    EXPECT_EQ(view.features.stride, 6);
    EXPECT_EQ(view.features.rows, num_voxels);
    EXPECT_EQ(view.num_voxels, num_voxels);
    EXPECT_EQ(view.device_num_voxels, nullptr);
    EXPECT_EQ(view.capacity, 1400);
    EXPECT_EQ(view.batch_size, 2);
    EXPECT_EQ(view.spatial_shape, shape);
    EXPECT_EQ(num_voxels > 0, n > 0);
    EXPECT_NO_THROW(validate(context, view));
  }
  const SparseTensorView uncounted = voxelizer.view(indices.data(), features.data(), 6, nullptr);
  EXPECT_EQ(uncounted.num_voxels, -1);
  EXPECT_THROW(validate_shape(uncounted), Error);
  const Voxelizer plain(context, grid, 4, 3000);
  EXPECT_EQ(plain.view(indices.data(), features.data(), 4, &num_voxels).spatial_shape, cells);
}

// A workspace is lent: whatever it holds must not matter, and the grid must not decide its size.
TEST(Voxelizer, WorkspaceContentsAndGridSizeDoNotMatter) {
  Context context({.threads = 1});
  VoxelGrid grid = small_grid();
  const auto points = make_points(3000, 4, 11);
  const std::vector<PointsView> clouds{{points.data(), DType::kFloat32, 3000, 4, 0}};
  const Voxelizer voxelizer(context, grid, 4, 3000);
  std::vector<std::vector<float>> results;
  for (const int fill : {0, 0xA5, 0xFF}) {
    std::vector<std::byte> memory(voxelizer.workspace_bytes(), static_cast<std::byte>(fill));
    std::vector<std::int32_t> indices(12000);
    std::vector<float> features(12000, 0.0F);
    std::int32_t num_voxels = 0;
    ASSERT_TRUE(voxelizer
                    .run(context, clouds, indices.data(), features.data(), 4, &num_voxels, nullptr,
                         {memory.data(), memory.size()})
                    .ok());
    results.push_back(features);
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
  grid.min_xyz = {-2000.0F, -2000.0F, -100.0F};
  grid.max_xyz = {2000.0F, 2000.0F, 100.0F};
  EXPECT_LE(Voxelizer(context, grid, 4, 3000).workspace_bytes(), 3 * voxelizer.workspace_bytes());
}

}  // namespace
}  // namespace voxgemm
