#include "tests/support/scenes.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <utility>

namespace voxgemm::test {
namespace {

std::int64_t cells_of(const Dims& shape, std::int32_t batch) { return shape.product() * batch; }

void append_site(Scene& scene, std::int64_t key) {
  std::vector<std::int32_t> row(static_cast<std::size_t>(1 + scene.shape.ndim));
  for (int a = scene.shape.ndim - 1; a >= 0; --a) {
    row[static_cast<std::size_t>(1 + a)] = static_cast<std::int32_t>(key % scene.shape[a]);
    key /= scene.shape[a];
  }
  row[0] = static_cast<std::int32_t>(key);
  scene.indices.insert(scene.indices.end(), row.begin(), row.end());
}

Scene from_keys(std::string name, const Dims& shape, std::int32_t batch,
                const std::vector<std::int64_t>& keys) {
  Scene scene{std::move(name), shape, batch, {}};
  for (std::int64_t key : keys) append_site(scene, key);
  return scene;
}

std::vector<std::int64_t> keys_of(const Scene& scene) {
  std::vector<std::int64_t> keys;
  const std::size_t columns = static_cast<std::size_t>(1 + scene.shape.ndim);
  for (std::size_t at = 0; at < scene.indices.size(); at += columns) {
    std::int64_t key = scene.indices[at];
    for (int a = 0; a < scene.shape.ndim; ++a) {
      key = key * scene.shape[a] + scene.indices[at + 1 + static_cast<std::size_t>(a)];
    }
    keys.push_back(key);
  }
  return keys;
}

// Uniform in [0, 1), the same on every standard library.
double uniform(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

template <typename T>
void shuffle(std::vector<T>& values, std::mt19937_64& random) {
  for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[random() % i]);
}

// Collects distinct (z, y, x) sites of one batch item.
class Painter {
 public:
  Painter(const Dims& shape, std::vector<std::int64_t>& keys, std::int64_t batch_item)
      : shape_(shape), keys_(keys), base_(batch_item * shape.product()) {}
  void dot(double z, double y, double x) {
    const std::array<double, 3> at{std::floor(z), std::floor(y), std::floor(x)};
    for (int a = 0; a < 3; ++a) {
      if (at[static_cast<std::size_t>(a)] < 0 || at[static_cast<std::size_t>(a)] >= shape_[a]) return;
    }
    keys_.push_back(base_ +
                    (static_cast<std::int64_t>(at[0]) * shape_[1] + static_cast<std::int64_t>(at[1])) *
                        shape_[2] +
                    static_cast<std::int64_t>(at[2]));
  }

 private:
  const Dims& shape_;
  std::vector<std::int64_t>& keys_;
  std::int64_t base_;
};

void paint_ring(Painter& painter, const Dims& shape, double radius, std::mt19937_64& random) {
  const double ground = shape[0] * 0.15;
  const auto steps = static_cast<std::int32_t>(radius * 4) + 8;
  for (std::int32_t s = 0; s < steps; ++s) {
    const double angle = 6.283185307179586 * (s + uniform(random)) / steps;
    const double r = radius + uniform(random);
    painter.dot(ground + 0.6 * std::sin(angle * 3) + 0.4 * uniform(random),
                shape[1] * 0.5 + r * std::sin(angle), shape[2] * 0.5 + r * std::cos(angle));
  }
}

void paint_box(Painter& painter, const Dims& shape, std::mt19937_64& random, bool wall) {
  const double y = uniform(random) * shape[1];
  const double x = uniform(random) * shape[2];
  const double angle = uniform(random) * 3.14159265;
  const double length = wall ? 60 + 80 * uniform(random) : 20 + 30 * uniform(random);
  const double height = shape[0] * (wall ? 0.8 : 0.3);
  for (double along = 0; along < length; along += 0.7) {
    for (double up = 0; up < height; up += 0.8) {
      if (uniform(random) < 0.25) continue;
      painter.dot(shape[0] * 0.15 + up, y + along * std::sin(angle), x + along * std::cos(angle));
    }
  }
}

}  // namespace

SparseTensorView Scene::view() const {
  SparseTensorView view;
  view.indices = indices.data();
  view.spatial_shape = shape;
  view.batch_size = batch;
  view.capacity = n();
  view.num_voxels = n();
  return view;
}

Scene lidar_scene(const Dims& shape, std::int32_t batch, std::int32_t target_voxels, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::int64_t> keys;
  for (std::int32_t b = 0; b < batch; ++b) {
    std::vector<std::int64_t> item;
    Painter painter(shape, item, b);
    const double limit = 0.5 * std::min(shape[1], shape[2]);
    double radius = std::max(2.0, limit * 0.04);
    // Paint until enough distinct sites are there; every round adds a ring, a car and now and then a wall.
    for (std::int32_t round = 0; round < 4096; ++round) {
      paint_ring(painter, shape, radius, random);
      radius = radius * 1.09 + 0.5;
      if (radius > limit) radius = limit * (0.04 + 0.5 * uniform(random));
      paint_box(painter, shape, random, round % 4 == 3);
      std::sort(item.begin(), item.end());
      item.erase(std::unique(item.begin(), item.end()), item.end());
      if (static_cast<std::int32_t>(item.size()) >= target_voxels) break;
    }
    keys.insert(keys.end(), item.begin(), item.end());
  }
  shuffle(keys, random);
  return from_keys("lidar", shape, batch, keys);
}

Scene random_scene(const Dims& shape, std::int32_t batch, double density, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::int64_t> keys;
  for (std::int64_t key = 0; key < cells_of(shape, batch); ++key) {
    if (uniform(random) < density) keys.push_back(key);
  }
  shuffle(keys, random);
  return from_keys("random", shape, batch, keys);
}

Scene full_scene(const Dims& shape, std::int32_t batch) {
  std::vector<std::int64_t> keys(static_cast<std::size_t>(cells_of(shape, batch)));
  std::iota(keys.begin(), keys.end(), std::int64_t{0});
  return from_keys("full", shape, batch, keys);
}

Scene line_scene(const Dims& shape) {
  const int last = shape.ndim - 1;
  const std::int64_t middle = shape.product() / shape[last] / 2 * shape[last];
  std::vector<std::int64_t> keys(static_cast<std::size_t>(shape[last]));
  std::iota(keys.begin(), keys.end(), middle);
  return from_keys("line", shape, 1, keys);
}

Scene single_scene(const Dims& shape) { return from_keys("single", shape, 1, {shape.product() / 2}); }

Scene empty_scene(const Dims& shape) { return from_keys("empty", shape, 1, {}); }

Scene canonical(const Scene& scene) {
  std::vector<std::int64_t> keys = keys_of(scene);
  std::sort(keys.begin(), keys.end());
  return from_keys(scene.name + "_canonical", scene.shape, scene.batch, keys);
}

Scene shuffled(const Scene& scene, std::uint64_t seed, std::vector<std::int32_t>* permutation) {
  std::mt19937_64 random(seed);
  std::vector<std::int32_t> order(static_cast<std::size_t>(scene.n()));
  std::iota(order.begin(), order.end(), 0);
  shuffle(order, random);
  Scene result{scene.name + "_shuffled", scene.shape, scene.batch, {}};
  const std::ptrdiff_t columns = 1 + scene.shape.ndim;
  for (std::int32_t row : order) {
    const auto at = scene.indices.begin() + row * columns;
    result.indices.insert(result.indices.end(), at, at + columns);
  }
  if (permutation != nullptr) *permutation = std::move(order);
  return result;
}

std::vector<Scene> small_scenes() {
  const Dims shape{12, 40, 70};
  std::vector<Scene> scenes;
  scenes.push_back(lidar_scene(shape, 2, 900, 1));
  scenes.push_back(random_scene({9, 11, 13}, 3, 0.2, 2));
  scenes.push_back(full_scene({5, 6, 7}));
  scenes.push_back(line_scene(shape));
  scenes.push_back(single_scene(shape));
  scenes.push_back(empty_scene(shape));
  return scenes;
}

}  // namespace voxgemm::test
