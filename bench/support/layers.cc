#include "bench/support/layers.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "gemm/tile_rows.h"
#include "tests/support/scenes.h"
#include "tests/support/test_data.h"

namespace voxgemm::bench {
namespace {

const Dims kShape{41, 1440, 1440};
constexpr std::int32_t kVoxels = 80000;

Dims parse_dims(const std::string& text) {
  std::vector<std::int32_t> values;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, 'x');) values.push_back(std::stoi(part));
  if (values.size() == 1) return Dims::filled(3, values[0]);
  if (values.size() != 3) throw std::runtime_error("'" + text + "' is neither n nor axbxc");
  return {values[0], values[1], values[2]};
}

LayerLine parse_line(const std::string& text) {
  std::istringstream in(text);
  LayerLine line;
  std::string ksize;
  std::string stride;
  int subm = 0;
  in >> line.name >> line.n_in >> line.n_out >> line.c_in >> line.c_out >> ksize >> stride >> subm >>
      line.scene;
  if (!in) throw std::runtime_error("wanted: name n_in n_out c_in c_out ksize stride subm scene [padding]");
  std::string padding;
  line.geometry.kind = subm != 0 ? ConvKind::kSubm : ConvKind::kRegular;
  line.geometry.kernel_size = parse_dims(ksize);
  line.geometry.stride = parse_dims(stride);
  if (in >> padding) line.geometry.padding = parse_dims(padding);
  line.geometry = line.geometry.normalized(3);
  return line;
}

std::vector<std::int32_t> scene_indices(const std::string& scene) {
  if (scene == "simulated") return test::canonical(test::lidar_scene(kShape, 1, kVoxels, 1)).indices;
  test::Scene s{.name = scene, .shape = kShape};
  s.indices = test::read_array(test::test_data() / scene / "in_indices_bzyx.i32.tensor").as<std::int32_t>();
  return test::canonical(s).indices;
}

}  // namespace

std::vector<std::string> network_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(VOXGEMM_LAYERS)) {
    if (entry.path().extension() == ".txt") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<LayerLine> read_layers(const std::string& network) {
  const std::string file = std::string(VOXGEMM_LAYERS) + "/" + network + ".txt";
  std::ifstream in(file);
  if (!in) throw std::runtime_error("cannot open " + file);
  std::vector<LayerLine> lines;
  int number = 0;
  for (std::string text; std::getline(in, text);) {
    ++number;
    if (text.empty() || text[0] == '#') continue;
    try {
      lines.push_back(parse_line(text));
    } catch (const std::exception& e) {
      throw std::runtime_error(file + ":" + std::to_string(number) + ": " + e.what());
    }
  }
  return lines;
}

std::vector<std::string> scene_names() {
  std::vector<std::string> names = {"simulated"};
  const auto data = test::test_data();
  if (!data.empty() && std::filesystem::exists(data / "nvidia_centerpoint"))
    names.push_back("nvidia_centerpoint");
  return names;
}

std::vector<BenchLayer> build_layers(Context& context, const std::string& network, const std::string& scene,
                                     PairForms forms) {
  std::vector<std::int32_t> indices = scene_indices(scene);
  Dims shape = kShape;
  std::vector<BenchLayer> layers;
  std::shared_ptr<IndicePairs> subm;
  for (const LayerLine& line : read_layers(network)) {
    const auto n = static_cast<std::int32_t>(indices.size() / 4);
    SparseTensorView view;
    view.indices = indices.data();
    view.spatial_shape = shape;
    view.capacity = view.num_voxels = n;
    const PairOptions options{.forms = forms, .tile_rows = preferred_tile_rows(line.c_out)};
    std::shared_ptr<IndicePairs> pairs = line.geometry.kind == ConvKind::kSubm ? subm : nullptr;
    if (pairs == nullptr || pairs->geometry() != line.geometry) {
      pairs = std::make_shared<IndicePairs>(build_indice_pairs(context, view, line.geometry, options));
    }
    layers.push_back({line, pairs, n});
    if (line.geometry.kind == ConvKind::kSubm) {
      subm = pairs;
      continue;
    }
    subm = nullptr;
    shape = pairs->out_shape();
    const std::int32_t* out = pairs->view().out_indices;
    indices.assign(out, out + 4 * static_cast<std::size_t>(pairs->num_out()));
  }
  return layers;
}

}  // namespace voxgemm::bench
