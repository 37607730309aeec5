// Proves what an engine makes of a ScaleTable: values that calibration never saw, or that are too small for a
// scale, run and spoil nobody else's scale, and the log names them.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "tests/engine/engine_runner.h"
#include "voxgemm/network.h"

namespace voxgemm::test {
namespace {

const ConvGeometry kOne{ConvKind::kSubm, Dims::filled(2, 1)};

using Lines = std::vector<std::pair<LogLevel, std::string>>;

Context logging_context(Lines& lines) {
  return Context({.threads = 1, .log = [&lines](LogLevel level, std::string_view text) {
                    lines.emplace_back(level, text);
                  }});
}

/// The lines of one level that hold `part`.
std::vector<std::string> lines_with(const Lines& lines, LogLevel level, const std::string& part) {
  std::vector<std::string> found;
  for (const auto& [of, text] : lines) {
    if (of == level && text.find(part) != std::string::npos) found.push_back(text);
  }
  return found;
}

/// in (1 channel) -> "seen" (times 1) and "dead" (times 0), joined -> "sum" (both added, plus a bias) -> out.
Network network_with_a_dead_layer(float bias) {
  Network net;
  const Value in = net.input("in", {8, 8}, 1, 1, 4);
  const Value members[] = {net.conv(in, {"seen", "", kOne, 1, {1.0F}}),
                           net.conv(in, {"dead", "", kOne, 1, {0.0F}})};
  const Value joined = net.concat(members, "joined");
  net.output(net.conv(joined, {"sum", "", kOne, 1, {1.0F, 1.0F}, {bias}}), "out");
  return net;
}

Frame two_voxels(float first, float second) { return {{0, 1, 1, 0, 5, 2}, {first, second}, 2}; }

std::vector<float> rows_of(const RunResult& result) {
  const auto* rows = result.outputs[0].as<float>();
  return {rows, rows + result.outputs[0].num_voxels};
}

TEST(EngineScales, NeverSeenValueDoesNotCoarsenItsNeighbours) {
  Lines lines;
  Context context = logging_context(lines);
  const Network net = network_with_a_dead_layer(0.0F);
  const Frame frame = two_voxels(0.0127F, -0.0064F);
  const ScaleTable scales = calibrate_min_max(context, net, {&frame, 1});
  EXPECT_EQ(scales.scale.at("dead"), 0.0F);
  lines.clear();
  EngineRunner runner(context, EngineRunner::build(context, net, scales));
  EXPECT_TRUE(lines_with(lines, LogLevel::kWarning, "").empty()) << "its scale is that of 'seen'";
  const RunResult result = runner.run(frame);
  ASSERT_TRUE(result.status.ok());
  // Exact up to the rounding of float32: both are whole numbers of steps of 0.0001.
  const std::vector<float> rows = rows_of(result);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_FLOAT_EQ(rows[0], 0.0127F);
  EXPECT_FLOAT_EQ(rows[1], -0.0064F);
}

TEST(EngineScales, ValuesTooSmallForTheirScaleAreZero) {
  Lines lines;
  Context context = logging_context(lines);
  const Network net = network_with_a_dead_layer(0.25F);
  for (const float tiny : {9.8e-45F, 8e-44F, 1e-40F, 127.0F * std::numeric_limits<float>::min(), 1e-20F}) {
    SCOPED_TRACE(tiny);
    const Frame frame = two_voxels(tiny, -tiny);
    lines.clear();
    const ScaleTable scales = calibrate_min_max(context, net, {&frame, 1});
    EXPECT_EQ(
        lines_with(lines, LogLevel::kWarning, ""),
        (std::vector<std::string>{"values too small for int8, so their scale is the least, 1.0842022e-19: "
                                  "'in', 'seen', 'joined'"}));
    EXPECT_EQ(scales.scale.at("dead"), 0.0F);
    EXPECT_EQ(scales.scale.at("sum"), 0.25F / 127.0F);
    lines.clear();
    EngineRunner runner(context, EngineRunner::build(context, net, scales));
    EXPECT_TRUE(lines_with(lines, LogLevel::kWarning, "").empty());
    EXPECT_EQ(runner.engine().input_scale(), std::ldexp(1.0F, -63));
    const RunResult result = runner.run(frame);
    ASSERT_TRUE(result.status.ok());
    EXPECT_EQ(rows_of(result), (std::vector<float>{0.25F, 0.25F}));
  }
}

TEST(EngineScales, ValuesThatWereNeverSeenHaveScaleOneAndAreNamed) {
  Lines lines;
  Context context = logging_context(lines);
  const Network net = network_with_a_dead_layer(0.25F);
  const Frame zeros = two_voxels(0.0F, 0.0F);
  const ScaleTable scales = calibrate_min_max(context, net, {&zeros, 1});
  lines.clear();
  EngineRunner runner(context, EngineRunner::build(context, net, scales));
  EXPECT_EQ(lines_with(lines, LogLevel::kWarning, ""),
            (std::vector<std::string>{
                "never seen in calibration, so their scale is 1: 'in', 'seen', 'dead', 'joined'"}));
  EXPECT_EQ(runner.engine().input_scale(), 1.0F);
  const RunResult result = runner.run(two_voxels(3.0F, -4.4F));
  ASSERT_TRUE(result.status.ok());
  EXPECT_EQ(rows_of(result), (std::vector<float>{3.25F, -3.75F}));
}

std::string refusal(const Network& net, const ScaleTable& scales) {
  Context context({.threads = 1});
  try {
    Engine::build(context, net, scales);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "accepted";
}

TEST(EngineScales, EntriesThatAreNotUsedAreRefusedOrNamed) {
  Lines lines;
  Context context = logging_context(lines);
  const Network net = network_with_a_dead_layer(0.25F);
  ScaleTable scales{{{"in", 1.0F}, {"seen", 1.0F}, {"dead", 1.0F}, {"sum", 1.0F}, {"joined", 3.0F}}};
  EngineRunner::build(context, net, scales);
  EXPECT_EQ(
      lines_with(lines, LogLevel::kWarning, ""),
      (std::vector<std::string>{
          "entries of the scale table that are not used: 'joined' (has the scale 1 of what it reads)"}));
  scales.scale["seem"] = 1.0F;
  try {
    EngineRunner::build(context, net, scales);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "not found: the scale table has entries of layers that the network lacks: 'seem'");
  }
  EXPECT_NO_THROW(EngineRunner::build(context, net, scales, {.precision = Precision::kFloat32}));
}

// Weights of channel 1 have the scale 2^-63, so 1e-25 of the input is too small for it alone.
TEST(EngineScales, ProductsThatUnderflowNameLayerAndChannel) {
  Network net;
  const Value in = net.input("in", {8, 8}, 1, 1, 4);
  const Value wide = net.conv(in, {"wide", "", kOne, 2, {1.0F, 127.0F * std::ldexp(1.0F, -63)}});
  net.output(net.conv(wide, {"last", "", kOne, 1, {1.0F, 1.0F}}), "out");
  EXPECT_EQ(
      refusal(net, {{{"in", 1e-25F}, {"wide", 1e-25F}, {"last", 1.0F}}}),
      "invalid argument: layer 'wide': in_scale 1e-25 * weight_scale[1] 1.0842022e-19 is 1.1e-44, must be at "
      "least 1.1754944e-38 in magnitude");
  const float least = std::ldexp(1.0F, -63);
  EXPECT_EQ(refusal(net, {{{"in", least}, {"wide", 1e-25F}, {"last", 1.0F}}}), "accepted");
}

TEST(EngineScales, RatiosOfAnAddThatOverflowNameTheLayer) {
  Network net;
  const Value in = net.input("in", {8, 8}, 1, 1, 4);
  const Value sum = net.add(in, in, "sum");
  net.output(net.conv(sum, {"last", "", kOne, 1, {1.0F}}), "out");
  EXPECT_EQ(
      refusal(net, {{{"in", 1e20F}, {"sum", 1e-20F}, {"last", 1.0F}}}),
      "invalid argument: layer 'sum': first in_scale 1e+20 / out_scale 1e-20 is inf, limit 3.4028235e+38");
  EXPECT_EQ(refusal(net, {{{"in", 1e-30F}, {"sum", 1e20F}, {"last", 1.0F}}}), "accepted");
}

}  // namespace
}  // namespace voxgemm::test
