// Proves that float engines reproduce two networks that spconv 2.3.8 ran: a 3-D U-Net with inverse
// convolution and concat, and a 2-D sequence. Batch norm is folded from the statistics of the golden run.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>

#include "tests/engine/engine_runner.h"
#include "tests/support/test_data.h"
#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"

namespace voxgemm::test {
namespace {

struct GoldenCase {
  std::filesystem::path folder;

  [[nodiscard]] std::vector<float> floats(const std::string& name) const {
    return read_array(folder / (name + ".npy")).as<float>();
  }
  [[nodiscard]] Frame input() const {
    Frame frame;
    const Array indices = read_array(folder / "in_indices.npy");
    frame.indices = indices.as<std::int32_t>();
    frame.features = floats("in_features");
    frame.num_voxels = static_cast<std::int32_t>(indices.rows());
    return frame;
  }
};

/// w' = w * g / sqrt(var + eps), b' = beta - mean * g / sqrt(var + eps), in float64.
void fold_batch_norm(const GoldenCase& golden, const std::string& norm, ConvLayer& layer) {
  const auto gamma = golden.floats("param." + norm + ".weight");
  const auto beta = golden.floats("param." + norm + ".bias");
  const auto mean = golden.floats("derived." + norm + ".batch_mean");
  const auto var = golden.floats("derived." + norm + ".batch_var");
  const std::size_t per = layer.weights.size() / static_cast<std::size_t>(layer.c_out);
  for (std::size_t n = 0; n < static_cast<std::size_t>(layer.c_out); ++n) {
    const double factor = static_cast<double>(gamma[n]) / std::sqrt(static_cast<double>(var[n]) + 1e-5);
    for (std::size_t i = n * per; i < (n + 1) * per; ++i) {
      layer.weights[i] = static_cast<float>(static_cast<double>(layer.weights[i]) * factor);
    }
    layer.bias.push_back(
        static_cast<float>(static_cast<double>(beta[n]) - static_cast<double>(mean[n]) * factor));
  }
}

/// (w buffer read as [c_in][c_out]): what spconv's float path multiplies with for kernel size 1.
std::vector<float> reinterpret_k1(const std::vector<float>& w, std::size_t c_out, std::size_t c_in) {
  std::vector<float> krsc(w.size());
  for (std::size_t n = 0; n < c_out; ++n) {
    for (std::size_t c = 0; c < c_in; ++c) krsc[n * c_in + c] = w[c * c_out + n];
  }
  return krsc;
}

void expect_golden(const GoldenCase& golden, Network& net, double tolerance) {
  Context context({.threads = 2});
  const Frame frame = golden.input();
  net.set_capacities(record_capacities(context, net, {&frame, 1}));
  EngineOptions options;
  options.precision = Precision::kFloat32;
  EngineRunner runner(context, EngineRunner::build(context, net, {}, options));
  const RunResult got = runner.run(frame, Padding::kNaN);
  ASSERT_TRUE(got.status.ok()) << to_string(got.status);
  const auto columns = static_cast<std::size_t>(1 + runner.engine().input_shape().ndim);
  const auto channels = static_cast<std::size_t>(runner.engine().outputs()[0].channels);
  const auto indices = read_array(golden.folder / "out_indices.npy").as<std::int32_t>();
  const auto want = golden.floats("out_features");
  const RunOutput& out = got.outputs[0];
  ASSERT_EQ(static_cast<std::size_t>(out.num_voxels) * columns, indices.size());
  std::map<std::vector<std::int32_t>, std::size_t> row_of;
  for (std::size_t row = 0; row < static_cast<std::size_t>(out.num_voxels); ++row) {
    const auto at = out.indices.begin() + static_cast<std::ptrdiff_t>(row * columns);
    row_of.emplace(std::vector<std::int32_t>(at, at + static_cast<std::ptrdiff_t>(columns)), row);
  }
  double worst = 0.0;
  for (std::size_t row = 0; row < indices.size() / columns; ++row) {
    const auto at = indices.begin() + static_cast<std::ptrdiff_t>(row * columns);
    const auto found = row_of.find(std::vector<std::int32_t>(at, at + static_cast<std::ptrdiff_t>(columns)));
    ASSERT_NE(found, row_of.end()) << "golden row " << row << " is missing";
    for (std::size_t c = 0; c < channels; ++c) {
      const double difference = std::fabs(static_cast<double>(out.as<float>()[found->second * channels + c]) -
                                          static_cast<double>(want[row * channels + c]));
      worst = std::max(worst, difference);
    }
  }
  EXPECT_LE(worst, tolerance);
}

TEST(GoldenNetworks, UNet3d) {
  const GoldenCase golden{test_data() / "golden_spconv" / "unet3d_float32"};
  if (test_data().empty()) GTEST_SKIP() << "VOXGEMM_TEST_DATA names no folder";
  Network net;
  const ConvGeometry k3{ConvKind::kSubm, Dims::filled(3, 3)};
  const ConvGeometry strided{ConvKind::kRegular, Dims::filled(3, 3), Dims::filled(3, 2), Dims::filled(3, 1)};
  const auto layer = [&](const std::string& name, const ConvGeometry& geometry, std::int32_t c_out,
                         const std::string& key = "") {
    return ConvLayer{name, key, geometry, c_out, golden.floats("param." + name + ".weight")};
  };
  const Value in = net.input("in", {32, 32, 32}, 4, 6, 8218);
  ConvLayer stem = layer("stem.0", k3, 16);
  fold_batch_norm(golden, "stem.1", stem);
  stem.activation = Activation::kReLU;
  const Value a = net.conv(net.conv(in, stem), layer("stem.3", k3, 16));
  const Value b = net.conv(a, layer("down", strided, 32, "down"));
  ConvLayer mid = layer("mid.0", k3, 32);
  fold_batch_norm(golden, "mid.1", mid);
  const Value c = net.relu(net.conv(b, mid), "mid.2");
  const Value d = net.inverse_conv(c, layer("up", {}, 16, "down"));
  const std::array<Value, 2> both{d, a};
  ConvLayer head = layer("head", {ConvKind::kSubm, Dims::filled(3, 1)}, 8);
  head.weights = reinterpret_k1(head.weights, 8, 32);
  head.bias = golden.floats("param.head.bias");
  net.output(net.conv(net.concat(both, "concat"), head), "out");
  expect_golden(golden, net, 3.5762786865234375e-05);
}

TEST(GoldenNetworks, Sequence2d) {
  const GoldenCase golden{test_data() / "golden_spconv" / "seq2d_mixed"};
  if (test_data().empty()) GTEST_SKIP() << "VOXGEMM_TEST_DATA names no folder";
  Network net;
  const Value in = net.input("in", {64, 64}, 4, 8, 2229);
  ConvLayer first{"0", "", {ConvKind::kSubm, Dims::filled(2, 3)}, 16, golden.floats("param.0.weight")};
  fold_batch_norm(golden, "1", first);
  ConvLayer last{
      "3", "", {ConvKind::kRegular, Dims::filled(2, 3), Dims::filled(2, 2), Dims::filled(2, 1)}, 16};
  last.weights = golden.floats("param.3.weight");
  last.bias = golden.floats("param.3.bias");
  net.output(net.conv(net.relu(net.conv(in, first), "2"), last), "out");
  expect_golden(golden, net, 0.00013113021850585938);
}

}  // namespace
}  // namespace voxgemm::test
