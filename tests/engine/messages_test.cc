// Proves: what an engine and its building complain of names the layer, the axis or the value that asked for
// it, not a number that only the engine knows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <new>
#include <string>

#include "tests/engine/engine_runner.h"
#include "tests/engine/naive_network.h"
#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"
#include "voxgemm/error.h"
#include "voxgemm/voxelize.h"

namespace voxgemm {
namespace {

using test::EngineRunner;
using test::random_conv;
using test::random_frame;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const ConvGeometry kDown{ConvKind::kRegular, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}};
const ConvGeometry kSubm{ConvKind::kSubm, {3, 3, 3}};

/// in -> down -> deep, outputs of "deep".
struct Levels {
  Network net;
  Context context{{.threads = 1}};
  Levels(const Dims& shape, std::int32_t rows) {
    const Value in = net.input("points", shape, 1, 4, rows);
    const Value down = net.conv(in, random_conv("down", kDown, 4, 8, 1));
    net.output(net.conv(down, random_conv("deep", kSubm, 8, 8, 2)), "out");
    net.set_capacity("down", rows);
  }
  std::shared_ptr<const Engine> build() {
    return EngineRunner::build(context, net, {}, {.precision = Precision::kFloat32});
  }
};

template <typename Call>
std::string error_of(ErrorCode code, Call call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(to_string(error.code()), to_string(code)) << error.what();
    return error.what();
  }
  return "accepted";
}

TEST(Messages, StatusNamesTheLayer) {
  Levels levels({9, 14, 13}, 600);
  const Frame frame = random_frame({9, 14, 13}, 1, 4, 300, 5);
  const auto wanted = test::naive_sites(levels.net.impl(), frame).sites[1].size();
  levels.net.set_capacity("down", 10);
  EngineRunner runner(levels.context, levels.build());
  const Status overflow = runner.run(frame).status;
  const auto steps = runner.engine().steps();
  const std::string text = "layer 'down': capacity exceeded: value " + std::to_string(wanted) + ", limit 10";
  EXPECT_EQ(to_string(overflow, steps), text);
  EXPECT_EQ(error_of(ErrorCode::kCapacity, [&] { check(overflow, "frame 3", steps); }), "frame 3: " + text);
  EXPECT_EQ(error_of(ErrorCode::kOk, [&] { check(Status{}, "frame 3", steps); }), "accepted");

  Frame outside = frame;
  outside.indices[4 * 7 + 2] = 14;
  const Status bad = runner.run(outside).status;
  EXPECT_EQ(to_string(bad, steps), "the input: coordinate out of range: row 7 of 300");
  EXPECT_EQ(to_string(Status{.code = ErrorCode::kDevice, .step = 0, .value = 700}, steps),
            "the kernel maps: device: value 700");
  // What no step is to blame for, or a step of another engine, stays as it is.
  for (const std::int32_t step : {-1, 99}) {
    const Status status{.code = ErrorCode::kShape, .step = step, .value = 3, .limit = 4};
    EXPECT_EQ(to_string(status, steps), to_string(status));
  }
  EXPECT_EQ(to_string(Status{}, steps), "ok");
}

TEST(Messages, WrongShapesNameTheAxis) {
  Levels levels({9, 14, 13}, 600);
  EngineRunner runner(levels.context, levels.build());
  SparseTensorView view = runner.view_of(random_frame({9, 14, 13}, 1, 4, 10, 5));
  view.spatial_shape = {9, 15, 13};
  EXPECT_EQ(to_string(runner.run_view(view).status),
            "shape: extent of axis y of spatial_shape: value 15, limit 14");
  view.spatial_shape = {14, 13};
  EXPECT_EQ(to_string(runner.run_view(view).status),
            "shape: axes of spatial_shape (see input_shape()): value 2, limit 3");

  Network net;
  const Value in = net.input("in", {2, 8, 16, 24}, 1, 4, 100);
  const auto refused = [&](const ConvGeometry& geometry) {
    ConvLayer layer{"odd", "", geometry, 4};
    return error_of(ErrorCode::kInvalidArgument, [&] { net.conv(in, layer); });
  };
  EXPECT_THAT(refused({ConvKind::kSubm, {2, 3, 3, 3}}),
              HasSubstr("layer 'odd': invalid argument: kernel_size of "
                        "axis w is 2, a submanifold map needs odd"));
  EXPECT_THAT(refused({ConvKind::kSubm, {3, 3, 3, 3}, {1, 1, 1, 2}}), HasSubstr("stride of axis x is 2"));
  EXPECT_THAT(refused({ConvKind::kRegular, {3, 3, 3, 3}, {1, 0, 1, 1}}), HasSubstr("stride of axis z is 0"));
  ConvGeometry out{ConvKind::kRegular, {3, 3, 3, 3}};
  out.out_padding = {0, 0, 1, 0};
  EXPECT_THAT(refused(out), HasSubstr("out_padding of axis y is 1"));
  EXPECT_THAT(refused({ConvKind::kSubm, {9, 9, 9, 9}}), HasSubstr("[w 9, z 9, y 9, x 9]"));
  const ConvGeometry wide{ConvKind::kRegular, {1, 9, 1, 1}};
  EXPECT_THAT(error_of(ErrorCode::kShape,
                       [&] {
                         net.conv(in, {"wide", "", wide, 4});
                       }),
              HasSubstr("output extent of axis z would be 0, at least 1"));
}

TEST(Messages, MapsOfTooManyPairsNameTheLayer) {
  Levels levels({1 << 10, 1 << 12, 1 << 12}, 100'000'000);
  EXPECT_THAT(
      error_of(ErrorCode::kUnsupported, [&] { levels.build(); }),
      StartsWith("unsupported: layer 'deep': the kernel map may have 2700000000 pairs, limit 2147483647: "
                 "100000000 rows in"));
}

/// Refuses every request.
class NoMemory final : public Allocator {
 public:
  void* allocate(Device, std::size_t) noexcept override { return nullptr; }
  void deallocate(Device, void*, std::size_t) noexcept override {}
};

/// Refuses requests of this many bytes and more.
class LittleMemory final : public Allocator {
 public:
  explicit LittleMemory(std::size_t limit) : limit_(limit) {}
  void* allocate(Device, std::size_t bytes) noexcept override {
    return bytes < limit_ ? ::operator new (bytes, std::align_val_t{256}, std::nothrow) : nullptr;
  }
  void deallocate(Device, void* pointer, std::size_t) noexcept override {
    ::operator delete (pointer, std::align_val_t{256});
  }

 private:
  std::size_t limit_;
};

TEST(Messages, OutOfMemoryNamesTheValueThatAskedForIt) {
  constexpr ErrorCode kMemory = ErrorCode::kOutOfMemory;
  NoMemory none;
  Context poor({.threads = 1, .allocator = &none});
  EXPECT_EQ(error_of(kMemory,
                     [&] {
                       SparseTensor(poor, {4, 4, 4}, 1, 1000, 5, DType::kFloat32);
                     }),
            "sparse tensor of capacity 1000, 5 channels and row stride 5: out of memory: 16000 bytes on cpu");
  Levels levels({9, 14, 13}, 600);
  EXPECT_THAT(
      error_of(kMemory,
               [&] { EngineRunner::build(poor, levels.net, {}, {.precision = Precision::kFloat32}); }),
      StartsWith("layer 'down': weights of 4 -> 8 channels, kernel volume 27: out of memory: "));

  const Frame frame = random_frame({9, 14, 13}, 1, 4, 300, 5);
  LittleMemory little(41'000);  // weights, the frame and the kernel maps fit
  Context small({.threads = 1, .allocator = &little});
  EXPECT_THAT(
      error_of(kMemory,
               [&] {
                 calibrate_min_max(small, levels.net, {&frame, 1});
               }),
      StartsWith("all values of a frame of up to 300 voxels of [z 9, y 14, x 13], batch 1: out of memory: "));
  const SparseTensor tensor = SparseTensor::from_host(levels.context, {9, 14, 13}, 1, frame.indices,
                                                      frame.features.data(), 4, DType::kFloat32);
  EXPECT_THAT(
      error_of(kMemory, [&] { build_indice_pairs(poor, tensor.view(), kDown, {.out_capacity = 77}); }),
      StartsWith("the kernel map of 300 rows of [z 9, y 14, x 13], batch 1, out_capacity 77, kernel "
                 "volume 27: out of memory: "));
  Network dense;
  dense.output(dense.to_dense(dense.input("in", {90, 140, 130}, 1, 4, 600), DenseLayout::kNCHW, "bev"),
               "bev");
  LittleMemory more(2'000'000);
  Context larger({.threads = 1, .allocator = &more});
  EXPECT_THAT(error_of(kMemory,
                       [&] {
                         calibrate_min_max(larger, dense, {&frame, 1});
                       }),
              StartsWith("output 'bev' of [z 90, y 140, x 130], batch 1 and 4 channels: out of memory: "));

  const std::vector<float> points(4 * 500, 1.0F);
  const PointsView cloud{points.data(), DType::kFloat32, 500, 4};
  const VoxelGrid grid{{0, 0, 0}, {8, 8, 8}, {1, 1, 1}, 40, 5};
  SparseTensor out(levels.context, {8, 8, 8}, 1, 40, 4, DType::kFloat32);
  EXPECT_THAT(error_of(kMemory,
                       [&] {
                         voxelize(poor, {&cloud, 1}, grid, out);
                       }),
              StartsWith("voxelize: 500 points, max_voxels 40, 1 clouds: out of memory: "));
}

}  // namespace
}  // namespace voxgemm
