#include "tests/gemm/golden_case.h"

#include <array>
#include <fstream>
#include <map>

namespace voxgemm::test {
namespace {

using Site = std::array<std::int32_t, 4>;

}  // namespace

Golden read_golden(const std::filesystem::path& folder) {
  Golden g;
  std::ifstream(folder / "meta.json") >> g.meta;
  g.in_indices = read_array(folder / "in_indices.npy").as<std::int32_t>();
  g.out_indices = read_array(folder / "out_indices.npy").as<std::int32_t>();
  g.features = read_array(folder / "in_features.npy").as<std::int8_t>();
  const Array weights = read_array(folder / "weight_krsc.npy");
  g.weights = weights.as<std::int8_t>();
  g.out = read_array(folder / "out_features.npy");
  g.desc.name = folder.filename().string();
  g.desc.kv = static_cast<std::int32_t>(weights.shape[1] * weights.shape[2] * weights.shape[3]);
  g.desc.c_in = static_cast<std::int32_t>(weights.shape[4]);
  g.desc.c_out = static_cast<std::int32_t>(weights.shape[0]);
  g.desc.out_dtype = g.meta["out_dtype"] == "int8" ? DType::kInt8 : DType::kFloat32;
  if (std::filesystem::exists(folder / "output_add.npy")) {
    g.residual = read_array(folder / "output_add.npy").as<std::int8_t>();
    g.desc.has_residual = true;
    g.epilogue.beta = g.meta["output_add_scale"].get<float>() / g.meta["output_scale"].get<float>();
  }
  g.epilogue.scale = read_array(folder / "scale.npy").as<float>();
  g.epilogue.bias = read_array(folder / "bias.npy").as<float>();
  const std::string act = g.meta["activation"];
  g.epilogue.activation = act == "relu"         ? Activation::kReLU
                          : act == "leaky_relu" ? Activation::kLeakyReLU
                                                : Activation::kNone;
  g.epilogue.act_alpha = g.meta["act_alpha"].get<float>();
  return g;
}

std::vector<std::int32_t> brute_pairs(const Golden& g) {
  std::map<Site, std::int32_t> rows;
  for (std::size_t i = 0; i * 4 < g.in_indices.size(); ++i) {
    const std::int32_t* s = g.in_indices.data() + 4 * i;
    rows[{s[0], s[1], s[2], s[3]}] = static_cast<std::int32_t>(i);
  }
  const auto axis = [&](const char* key) { return g.meta[key].get<std::array<std::int32_t, 3>>(); };
  const auto k = axis("kernel_size");
  const auto stride = axis("stride");
  const auto padding = axis("padding");
  const auto dilation = axis("dilation");
  std::vector<std::int32_t> input_row;
  for (std::size_t o = 0; o * 4 < g.out_indices.size(); ++o) {
    const std::int32_t* s = g.out_indices.data() + 4 * o;
    for (std::int32_t r = 0; r < g.desc.kv; ++r) {
      const std::array<std::int32_t, 3> at = {r / (k[1] * k[2]), r / k[2] % k[1], r % k[2]};
      Site site{s[0], 0, 0, 0};
      for (std::size_t a = 0; a < 3; ++a) {
        site[a + 1] = s[a + 1] * stride[a] - padding[a] + at[a] * dilation[a];
      }
      const auto found = rows.find(site);
      input_row.push_back(found == rows.end() ? -1 : found->second);
    }
  }
  return input_row;
}

}  // namespace voxgemm::test
