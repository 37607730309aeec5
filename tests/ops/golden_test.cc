// Proves: densify, union add and pooling give what spconv recorded, every case of the golden folder that is
// one of these: exact for densify and maxima, within the recorded tolerance for sums and averages.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/support/test_data.h"
#include "voxgemm/operators.h"

namespace voxgemm {
namespace {

using nlohmann::json;
using std::filesystem::path;
using Sites = std::map<std::vector<std::int32_t>, std::vector<float>>;

Dims dims_of(const json& values, int ndim) {
  if (values.is_number()) return Dims::filled(ndim, values.get<std::int32_t>());
  Dims d;
  d.ndim = ndim;
  for (int a = 0; a < ndim; ++a) d[a] = values[static_cast<std::size_t>(a)].get<std::int32_t>();
  return d;
}

Dims shape_of(const json& meta) {
  const json& shape = meta["spatial_shape_zyx"];
  return dims_of(shape, static_cast<int>(shape.size()));
}

SparseTensor read_tensor(Context& context, const path& folder, const std::string& name, const json& meta) {
  const auto indices = test::read_array(folder / (name + "_indices.npy")).as<std::int32_t>();
  const auto array = test::read_array(folder / (name + "_features.npy"));
  const auto features = array.as<float>();
  return SparseTensor::from_host(context, shape_of(meta), meta["batch_size"].get<std::int32_t>(), indices,
                                 features.data(), static_cast<std::int32_t>(array.shape[1]), DType::kFloat32);
}

Sites sites_of(const std::int32_t* indices, std::size_t width, const float* features, std::size_t channels,
               std::size_t n) {
  Sites sites;
  for (std::size_t r = 0; r < n; ++r) {
    sites[{indices + r * width, indices + (r + 1) * width}] = {features + r * channels,
                                                               features + (r + 1) * channels};
  }
  EXPECT_EQ(sites.size(), n);
  return sites;
}

// Compares per coordinate with out_indices / out_features.
void expect_sites(const path& folder, const Sites& got, double tolerance) {
  const auto indices = test::read_array(folder / "out_indices.npy");
  const auto features = test::read_array(folder / "out_features.npy");
  const Sites expected =
      sites_of(indices.as<std::int32_t>().data(), static_cast<std::size_t>(indices.shape[1]),
               features.as<float>().data(), static_cast<std::size_t>(features.shape[1]),
               static_cast<std::size_t>(indices.rows()));
  ASSERT_EQ(got.size(), expected.size());
  for (const auto& [site, values] : expected) {
    const auto found = got.find(site);
    ASSERT_NE(found, got.end());
    for (std::size_t c = 0; c < values.size(); ++c) ASSERT_NEAR(found->second[c], values[c], tolerance);
  }
}

void check_dense(const path& folder, const json& meta) {
  Context context({.threads = 2});
  const SparseTensor in = read_tensor(context, folder, "in", meta);
  const auto expected = test::read_array(folder / "dense_channels_first.npy").as<float>();
  std::vector<float> out(expected.size(), -1.0F);
  ASSERT_EQ(static_cast<std::size_t>(
                dense_elements(in.view().spatial_shape, in.view().batch_size, in.view().features.channels)),
            out.size());
  ASSERT_TRUE(scatter_dense(context, in.view(), DenseLayout::kNCHW, out.data()).ok());
  EXPECT_EQ(out, expected);
}

void check_sparse_add(const path& folder, const json& meta) {
  Context context({.threads = 1});
  const SparseTensor out = sparse_add(context, read_tensor(context, folder, "in0", meta).view(),
                                      read_tensor(context, folder, "in1", meta).view());
  const SparseTensorView v = out.view();
  expect_sites(
      folder,
      sites_of(v.indices, 4, static_cast<const float*>(v.features.data),
               static_cast<std::size_t>(v.features.channels), static_cast<std::size_t>(v.num_voxels)),
      meta["atol_out"].get<double>());
}

void check_pool(const path& folder, const json& meta, bool max) {
  Context context({.threads = 2});
  const SparseTensor in = read_tensor(context, folder, "in", meta);
  const json& ctor = meta["layer"]["ctor"];
  const int ndim = in.view().spatial_shape.ndim;
  ConvGeometry geometry;
  geometry.kind = ctor.value("subm", false) ? ConvKind::kSubm : ConvKind::kRegular;
  geometry.kernel_size = dims_of(ctor["kernel_size"], ndim);
  if (ctor.contains("stride")) geometry.stride = dims_of(ctor["stride"], ndim);
  if (ctor.contains("padding")) geometry.padding = dims_of(ctor["padding"], ndim);
  if (ctor.contains("dilation")) geometry.dilation = dims_of(ctor["dilation"], ndim);
  const IndicePairs pairs = build_indice_pairs(context, in.view(), geometry, {.forms = kPairTable});
  EXPECT_EQ(pairs.out_shape(), dims_of(meta["out_spatial_shape"], ndim));
  const auto channels = static_cast<std::size_t>(in.view().features.channels);
  const auto rows = static_cast<std::size_t>(pairs.num_out());
  std::vector<float> out(rows * channels);
  const FeatureSpan span{out.data(), DType::kFloat32, pairs.num_out(), static_cast<std::int32_t>(channels),
                         static_cast<std::int64_t>(channels)};
  const PoolOptions options{max ? PoolKind::kMax : PoolKind::kAverage,
                            max};  // spconv's maximum starts from 0
  ASSERT_TRUE(pool(context, pairs.view(), in.view().features, options, span).ok());
  expect_sites(
      folder,
      sites_of(pairs.view().out_indices, static_cast<std::size_t>(1 + ndim), out.data(), channels, rows),
      max ? 0.0 : meta["atol_out"].get<double>());
  if (!max) return;
  // The mathematical maximum differs from the recorded one exactly where that is 0 for want of positives.
  std::vector<float> plain(out.size());
  FeatureSpan plain_span = span;
  plain_span.data = plain.data();
  ASSERT_TRUE(pool(context, pairs.view(), in.view().features, {}, plain_span).ok());
  std::size_t negative = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    ASSERT_EQ(out[i], std::fmax(plain[i], 0.0F));
    negative += plain[i] < 0.0F ? 1 : 0;
  }
  EXPECT_GT(negative, 0U);
}

TEST(OpsGolden, RecordedCases) {
  if (test::test_data().empty()) GTEST_SKIP() << "VOXGEMM_TEST_DATA names no folder";
  std::map<std::string, int> done;
  for (const path& folder : test::case_folders("golden_spconv")) {
    const json meta = json::parse(std::ifstream(folder / "meta.json"));
    SCOPED_TRACE(folder.filename());
    const std::string id = meta["id"].get<std::string>();
    const std::string layer = meta.contains("layer") ? meta["layer"].value("cls", "") : "";
    if (id.rfind("dense", 0) == 0) check_dense(folder, meta), ++done["dense"];
    if (id == "sparse_add") check_sparse_add(folder, meta), ++done["sparse_add"];
    if (layer.find("MaxPool") != std::string::npos) check_pool(folder, meta, true), ++done["max"];
    if (layer.find("AvgPool") != std::string::npos) check_pool(folder, meta, false), ++done["average"];
  }
  EXPECT_GE(done["dense"], 1);
  EXPECT_GE(done["sparse_add"], 1);
  EXPECT_GE(done["max"], 1);
  EXPECT_GE(done["average"], 1);
}

}  // namespace
}  // namespace voxgemm
