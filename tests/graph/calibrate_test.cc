// Proves that calibration takes the largest magnitude over real rows of all frames, without an allocation for
// each, that capacities are recorded per level, that a frame holds the real rows of a tensor, and that the
// comparison of precisions measures what it says.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "graph/nodes.h"
#include "tests/support/counted_new.h"
#include "voxgemm/calibration.h"

namespace voxgemm {
namespace {

const ConvGeometry kOne{ConvKind::kSubm, Dims::filled(2, 1)};

/// in (2 channels) -> twice (k1, weights 2 on the diagonal) -> half-size pool -> out.
Network small_network() {
  Network net;
  const Value in = net.input("in", {8, 8}, 1, 2, 4);
  ConvLayer twice{"twice", "", kOne, 2, {2.0F, 0.0F, 0.0F, 2.0F}};
  const Value a = net.conv(in, twice);
  const Value b = net.pool(a, {ConvKind::kRegular, Dims::filled(2, 2), Dims::filled(2, 2)}, {}, "pool");
  ConvLayer last{"last", "", kOne, 1, {1.0F, 1.0F}};
  net.output(net.conv(b, last), "out");
  return net;
}

Frame frame_of(std::vector<std::int32_t> indices, std::vector<float> features) {
  Frame frame;
  frame.num_voxels = static_cast<std::int32_t>(indices.size() / 3);
  frame.indices = std::move(indices);
  frame.features = std::move(features);
  return frame;
}

std::vector<Frame> two_frames() {
  return {frame_of({0, 1, 1, 0, 1, 2, 0, 5, 5}, {1.0F, -2.0F, 0.5F, 0.25F, 0.0F, 1.0F}),
          frame_of({0, 0, 0, 0, 7, 7}, {-3.0F, 1.0F, 2.0F, 2.0F})};
}

TEST(Frame, FromViewCopiesTheRealRows) {
  Context context({.threads = 1});
  const std::vector<std::int32_t> indices{0, 1, 2, 0, 3, 4, 9, 9, 9};
  const std::vector<float> wide{1.0F, -2.5F, 77.0F, 3.0F, 0.25F};  // nothing behind the last row's channels
  SparseTensorView view{.indices = indices.data(),
                        .features = {wide.data(), DType::kFloat32, 2, 2, 3},
                        .spatial_shape = {8, 8},
                        .capacity = 3,
                        .num_voxels = 2};
  const std::vector<float> want{1.0F, -2.5F, 3.0F, 0.25F};
  Frame frame = Frame::from_view(context, view);
  EXPECT_EQ(frame.num_voxels, 2);
  EXPECT_EQ(frame.indices, (std::vector<std::int32_t>{0, 1, 2, 0, 3, 4}));
  EXPECT_EQ(frame.features, want);
  std::vector<Half> half;
  for (const float x : wide) half.push_back(to_half(x));
  view.features = {half.data(), DType::kFloat16, 2, 2, 3};
  EXPECT_EQ(Frame::from_view(context, view).features, want);
  const std::vector<std::int8_t> stored{4, -10, 99, 12, 1};
  view.features = {stored.data(), DType::kInt8, 2, 2, 3, 0.25F};
  EXPECT_EQ(Frame::from_view(context, view).features, want);
  view.num_voxels = 0;
  view.features.data = view.indices = nullptr;
  frame = Frame::from_view(context, view);
  EXPECT_TRUE(frame.num_voxels == 0 && frame.indices.empty() && frame.features.empty());
}

TEST(Frame, FromViewRefusesWhatIsNoTensor) {
  Context context({.threads = 1});
  const std::vector<std::int32_t> indices{0, 1, 2};
  const std::vector<float> features{1.0F, 2.0F};
  const SparseTensorView good{.indices = indices.data(),
                              .features = {features.data(), DType::kFloat32, 1, 2, 2},
                              .spatial_shape = {8, 8},
                              .capacity = 1,
                              .num_voxels = 1};
  const auto refused = [&](auto change) {
    SparseTensorView v = good;
    change(v);
    try {
      (void)Frame::from_view(context, v);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kOk;
  };
  EXPECT_EQ(refused([](auto&) {}), ErrorCode::kOk);
  EXPECT_EQ(refused([](auto& v) { v.features.dtype = DType::kInt32; }), ErrorCode::kDType);
  EXPECT_EQ(refused([](auto& v) { v.features.dtype = static_cast<DType>(9); }), ErrorCode::kDType);
  EXPECT_EQ(refused([](auto& v) { v.features.stride = 1; }), ErrorCode::kShape);
  EXPECT_EQ(refused([](auto& v) { v.spatial_shape = {}; }), ErrorCode::kShape);
  EXPECT_EQ(refused([](auto& v) { v.num_voxels = 2; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused([](auto& v) { v.num_voxels = -1; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused([](auto& v) { v.indices = nullptr; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused([](auto& v) { v.features.data = nullptr; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused([&](auto& v) { v.device_num_voxels = indices.data(); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused([](auto& v) {
              v.features.dtype = DType::kInt8;
              v.features.scale = std::nanf("");
            }),
            ErrorCode::kInvalidArgument);
}

TEST(Calibrate, LargestMagnitudeOfAllFrames) {
  Context context({.threads = 1});
  const std::vector<Frame> frames = two_frames();
  const ScaleTable table = calibrate_min_max(context, small_network(), frames);
  EXPECT_EQ(table.scale.at("in"), 3.0F / 127.0F);
  EXPECT_EQ(table.scale.at("twice"), 6.0F / 127.0F);
  EXPECT_EQ(table.scale.at("last"), 8.0F / 127.0F);
}

// A count that was forgotten would otherwise calibrate on nothing.
TEST(Calibrate, FrameSizesMustAgreeWithTheCount) {
  Context context({.threads = 1});
  const auto refused = [&](const Frame& frame) {
    try {
      calibrate_min_max(context, small_network(), {&frame, 1});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kShape);
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  Frame frame = two_frames()[0];
  frame.num_voxels = 0;
  EXPECT_NE(refused(frame).find("frame of 0 voxels has 9 index values and 6 feature values"),
            std::string::npos);
  frame.num_voxels = 2;
  EXPECT_NE(refused(frame).find("frame of 2 voxels"), std::string::npos);
  frame.num_voxels = 3;
  frame.features.pop_back();
  EXPECT_NE(refused(frame).find("5 feature values"), std::string::npos);
}

TEST(Calibrate, NeverSeenIsZero) {
  Context context({.threads = 1});
  for (const Frame& frame : {frame_of({0, 1, 1}, {0.0F, 0.0F}), frame_of({}, {})}) {
    const ScaleTable table = calibrate_min_max(context, small_network(), {&frame, 1});
    EXPECT_EQ(table.scale, (std::map<std::string, float>{{"in", 0}, {"twice", 0}, {"pool", 0}, {"last", 0}}));
  }
}

// amax / 127 down to 2^-63; smaller values have that scale, never a subnormal one or 0, and the log says so.
TEST(Calibrate, LeastScaleIsTwoToTheMinus63) {
  std::vector<std::string> warnings;
  Context context({.threads = 1, .log = [&](LogLevel level, std::string_view text) {
                     if (level == LogLevel::kWarning) warnings.emplace_back(text);
                   }});
  const float least = std::ldexp(1.0F, -63);
  const auto scale_of_input = [&](float amax) {
    warnings.clear();
    const Frame frame = frame_of({0, 1, 1}, {amax, -0.5F * amax});
    return calibrate_min_max(context, small_network(), {&frame, 1}).scale.at("in");
  };
  EXPECT_EQ(scale_of_input(128.0F * least), 128.0F * least / 127.0F);
  EXPECT_EQ(scale_of_input(127.0F * least), least);
  EXPECT_TRUE(warnings.empty());
  for (const float amax : {126.0F * least, 1e-30F, 127.0F * std::numeric_limits<float>::min(), 1e-40F, 8e-44F,
                           std::numeric_limits<float>::denorm_min()}) {
    EXPECT_EQ(scale_of_input(amax), least) << amax;
    ASSERT_EQ(warnings.size(), 1U) << amax;
    EXPECT_EQ(
        warnings.front().find("values too small for int8, so their scale is the least, 1.0842022e-19: 'in'"),
        0U)
        << warnings.front();
  }
  const float most = std::numeric_limits<float>::max() / 4.0F;  // "last" adds two values, doubled before
  EXPECT_EQ(scale_of_input(most / 2.0F), most / 2.0F / 127.0F);
}

// Tables of single frames merge to the table of all frames, in any order.
TEST(Calibrate, TablesOfFramesMergeToTheTableOfAll) {
  Context context({.threads = 1});
  std::vector<Frame> frames{frame_of({}, {}), frame_of({0, 1, 1}, {0.0F, 0.0F}),
                            frame_of({0, 2, 2}, {0.001F, -0.002F}), frame_of({}, {})};
  ScaleTable forwards;
  ScaleTable backwards;
  CapacityTable capacities;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    forwards.merge(calibrate_min_max(context, small_network(), {&frames[i], 1}));
    backwards.merge(calibrate_min_max(context, small_network(), {&frames[frames.size() - 1 - i], 1}));
    capacities.merge(record_capacities(context, small_network(), {&frames[i], 1}));
  }
  EXPECT_EQ(forwards.scale, calibrate_min_max(context, small_network(), frames).scale);
  EXPECT_EQ(backwards.scale, forwards.scale);
  EXPECT_EQ(forwards.scale.at("in"), 0.002F / 127.0F);
  EXPECT_EQ(capacities.rows, record_capacities(context, small_network(), frames).rows);
}

TEST(Calibrate, AllocationsDoNotGrowWithTheValues) {
#if !VOXGEMM_COUNTS_NEW
  GTEST_SKIP() << "operator new belongs to the sanitizer";
#endif
  Context context({.threads = 1});
  Network net;
  const Value in = net.input("in", {64, 64}, 1, 2, 4096);
  net.output(net.conv(in, {"twice", "", kOne, 2, {2.0F, 0.0F, 0.0F, 2.0F}}), "out");
  std::vector<std::int32_t> indices;
  for (std::int32_t cell = 0; cell < 4096; ++cell) {
    for (const std::int32_t i : {0, cell / 64, cell % 64}) indices.push_back(i);
  }
  const Frame full = frame_of(std::move(indices), std::vector<float>(2 * 4096, 0.5F));
  const long made = test::allocations_of([&] { (void)calibrate_min_max(context, net, {&full, 1}); });
  EXPECT_GT(made, 0);
  EXPECT_LT(made, 1000) << "of " << 2 * 2 * 4096 << " values";
}

TEST(Calibrate, EmptyFrameAmongOthersChangesNothing) {
  Context context({.threads = 1});
  std::vector<Frame> frames = two_frames();
  const ScaleTable want = calibrate_min_max(context, small_network(), frames);
  frames.insert(frames.begin() + 1, frame_of({}, {}));
  EXPECT_EQ(calibrate_min_max(context, small_network(), frames).scale, want.scale);
}

TEST(Calibrate, FusedPartsShareOneScale) {
  Context context({.threads = 1});
  Network net;
  const Value in = net.input("in", {8, 8}, 1, 2, 4);
  const Value c = net.conv(in, {"c", "", kOne, 2, {1.0F, 0.0F, 0.0F, 1.0F}});
  net.output(net.relu(net.add(c, in, "add"), "relu"), "out");
  const std::vector<Frame> frames = two_frames();
  const ScaleTable table = calibrate_min_max(context, net, frames);
  EXPECT_EQ(table.scale.at("relu"), 4.0F / 127.0F) << "the largest value after the ReLU";
  EXPECT_EQ(table.scale.at("add"), table.scale.at("relu"));
  EXPECT_EQ(table.scale.at("c"), table.scale.at("relu"));
}

TEST(Calibrate, BadFramesAreRefused) {
  Context context({.threads = 1});
  const Network net = small_network();
  EXPECT_THROW(calibrate_min_max(context, net, {}), Error);
  Frame frame = two_frames()[0];
  frame.features.pop_back();
  EXPECT_THROW(calibrate_min_max(context, net, {&frame, 1}), Error);
  frame = two_frames()[0];
  frame.features[0] = std::nanf("");
  EXPECT_THROW(calibrate_min_max(context, net, {&frame, 1}), Error);
  frame = two_frames()[0];
  frame.indices[1] = 8;
  EXPECT_THROW(calibrate_min_max(context, net, {&frame, 1}), Error);
}

TEST(RecordCapacities, LargestCountTimesHeadroomAtMostTheCells) {
  Context context({.threads = 1});
  const std::vector<Frame> frames = two_frames();
  const Network net = small_network();
  const CapacityTable exact = record_capacities(context, net, frames, 1.0F);
  EXPECT_EQ(exact.rows, (std::map<std::string, std::int32_t>{{"in", 3}, {"pool", 3}}));
  EXPECT_EQ(record_capacities(context, net, frames, 1.5F).rows.at("pool"), 5);
  EXPECT_EQ(record_capacities(context, net, frames, 1000.0F).rows.at("pool"), 16);
  EXPECT_THROW((void)record_capacities(context, net, frames, 0.5F), Error);
}

TEST(ComparePrecisions, MeasuresTheNoiseOfEachValue) {
  Context context({.threads = 1});
  const std::vector<Frame> frames = two_frames();
  const Network net = small_network();
  const ScaleTable scales = calibrate_min_max(context, net, frames);
  const SqnrReport report = compare_precisions(context, net, scales, frames[0]);
  ASSERT_EQ(report.layers.size(), 4U);
  EXPECT_EQ(report.layers[0].name, "in");
  EXPECT_EQ(report.layers[0].elements, 6);
  EXPECT_EQ(report.layers[0].amax, 2.0);
  std::array<double, 3> signal{};  // of each channel, and of both
  std::array<double, 3> noise{};
  const double scale = static_cast<double>(scales.scale.at("in"));
  for (std::size_t i = 0; i < frames[0].features.size(); ++i) {
    const double x = static_cast<double>(frames[0].features[i]);
    const double q = std::nearbyint(x / scale);
    for (const std::size_t at : {i % 2, std::size_t{2}}) {
      signal[at] += x * x;
      noise[at] += std::pow(x - scale * q, 2.0);
    }
  }
  ASSERT_EQ(report.layers[0].channel_sqnr_db.size(), 2U);
  const auto decibels = [&](std::size_t at) { return 10.0 * std::log10(signal[at] / noise[at]); };
  for (std::size_t c = 0; c < 2; ++c) {
    EXPECT_NEAR(report.layers[0].channel_sqnr_db[c], decibels(c), 1e-3) << c;
  }
  EXPECT_NEAR(report.layers[0].sqnr_db, decibels(2), 1e-3);
  EXPECT_EQ(report.layers.back().name, "last");
  Frame lost = frames[0];
  lost.features = {127.0F, 0.25F, 0.0F, -0.25F, 1.0F, 0.0F};
  ScaleTable ones = scales;
  ones.scale["in"] = 1.0F;
  const SqnrReport small = compare_precisions(context, net, ones, lost);
  EXPECT_EQ(small.layers[0].channel_sqnr_db[0], std::numeric_limits<double>::infinity());
  EXPECT_EQ(small.layers[0].channel_sqnr_db[1], 0.0);
  ScaleTable coarse = scales;
  coarse.scale["twice"] *= 16.0F;
  EXPECT_LT(compare_precisions(context, net, coarse, frames[0]).layers[1].sqnr_db,
            report.layers[1].sqnr_db - 6.0);
  ScaleTable fine = scales;
  fine.scale["in"] /= 16.0F;
  EXPECT_GT(compare_precisions(context, net, fine, frames[0]).layers[0].saturated, 0);
}

}  // namespace
}  // namespace voxgemm
