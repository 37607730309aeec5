// Layers to bench, from bench/layers/*.txt, with kernel maps built from a scene.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "voxgemm/indice_pairs.h"

namespace voxgemm::bench {

/// One line: name n_in n_out c_in c_out ksize stride subm scene [padding]. Sizes like 3 or 3x1x1.
struct LayerLine {
  std::string name;
  std::int32_t n_in = 0;  ///< rows in the scene the file was written for; 0 = unknown
  std::int32_t n_out = 0;
  std::int32_t c_in = 0;
  std::int32_t c_out = 0;
  ConvGeometry geometry{};
  std::string scene;
};

/// A layer with its map. Layers that share geometry and level share the map.
struct BenchLayer {
  LayerLine line;
  std::shared_ptr<IndicePairs> pairs;
  std::int32_t n_in = 0;
};

/// Names of the files in bench/layers, without ".txt", sorted.
std::vector<std::string> network_names();

/// Lines of one file. Throws std::runtime_error naming file and line.
std::vector<LayerLine> read_layers(const std::string& network);

/// Scenes at hand: "simulated", and "nvidia_centerpoint" when VOXGEMM_TEST_DATA has it.
std::vector<std::string> scene_names();

/// The layers of a network on a scene of shape [41, 1440, 1440]; each strided line makes the next level's
/// sites. Tiles have the rows that the engine would give them.
std::vector<BenchLayer> build_layers(Context& context, const std::string& network, const std::string& scene,
                                     PairForms forms);

}  // namespace voxgemm::bench
