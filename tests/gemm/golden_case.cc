#include "tests/gemm/golden_case.h"

#include <array>
#include <fstream>
#include <map>

namespace voxgemm::test {
namespace {

using Site = std::array<std::int32_t, 4>;

std::map<Site, std::int32_t> rows_by_site(std::span<const std::int32_t> indices) {
  std::map<Site, std::int32_t> rows;
  for (std::size_t i = 0; i + 4 <= indices.size(); i += 4) {
    rows[{indices[i], indices[i + 1], indices[i + 2], indices[i + 3]}] = static_cast<std::int32_t>(i / 4);
  }
  return rows;
}

Dims axes(const Golden& g, const char* key) {
  const auto v = g.meta[key].get<std::array<std::int32_t, 3>>();
  return {v[0], v[1], v[2]};
}

// Rows of `values` in the order of `from`.
template <typename T>
std::vector<T> rows_in_order(const std::vector<T>& values, const std::vector<std::int32_t>& from) {
  const std::size_t width = values.size() / from.size();
  std::vector<T> ordered;
  for (const std::int32_t row : from) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(row) * width);
    ordered.insert(ordered.end(), first, first + static_cast<std::ptrdiff_t>(width));
  }
  return ordered;
}

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
  const std::map<Site, std::int32_t> rows = rows_by_site(g.in_indices);
  const Dims k = axes(g, "kernel_size");
  const Dims stride = axes(g, "stride");
  const Dims padding = axes(g, "padding");
  const Dims dilation = axes(g, "dilation");
  std::vector<std::int32_t> input_row;
  for (std::size_t o = 0; o * 4 < g.out_indices.size(); ++o) {
    const std::int32_t* s = g.out_indices.data() + 4 * o;
    for (std::int32_t r = 0; r < g.desc.kv; ++r) {
      const std::array<std::int32_t, 3> at = {r / (k[1] * k[2]), r / k[2] % k[1], r % k[2]};
      Site site{s[0], 0, 0, 0};
      for (int a = 0; a < 3; ++a) {
        const auto axis = static_cast<std::size_t>(a);
        site[axis + 1] = s[axis + 1] * stride[a] - padding[a] + at[axis] * dilation[a];
      }
      const auto found = rows.find(site);
      input_row.push_back(found == rows.end() ? -1 : found->second);
    }
  }
  return input_row;
}

SparseTensorView golden_sites(const Golden& g) {
  const auto n = static_cast<std::int32_t>(g.in_indices.size() / 4);
  SparseTensorView sites;
  sites.indices = g.in_indices.data();
  sites.features.rows = n;
  sites.spatial_shape = axes(g, "spatial_shape_zyx");
  sites.batch_size = g.meta["batch_size"].get<std::int32_t>();
  sites.capacity = sites.num_voxels = n;
  return sites;
}

ConvGeometry golden_geometry(const Golden& g) {
  return {.kind = g.meta["subm"].get<bool>() ? ConvKind::kSubm : ConvKind::kRegular,
          .kernel_size = axes(g, "kernel_size"),
          .stride = axes(g, "stride"),
          .padding = axes(g, "padding"),
          .dilation = axes(g, "dilation")};
}

bool reorder_outputs(Golden& g, std::span<const std::int32_t> out_indices) {
  const std::map<Site, std::int32_t> rows = rows_by_site(g.out_indices);
  std::vector<std::int32_t> from;
  for (std::size_t i = 0; i + 4 <= out_indices.size(); i += 4) {
    const auto found =
        rows.find({out_indices[i], out_indices[i + 1], out_indices[i + 2], out_indices[i + 3]});
    if (found == rows.end()) return false;
    from.push_back(found->second);
  }
  if (from.size() != rows.size() || from.empty()) return false;
  g.out.bytes = rows_in_order(g.out.bytes, from);
  if (g.desc.has_residual) g.residual = rows_in_order(g.residual, from);
  g.out_indices.assign(out_indices.begin(), out_indices.end());
  return true;
}

}  // namespace voxgemm::test
