// Network: layers strung together, with float32 weights. Tables of what must be known before it runs in int8.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "voxgemm/epilogue.h"
#include "voxgemm/error.h"
#include "voxgemm/indice_pairs.h"
#include "voxgemm/operators.h"
#include "voxgemm/types.h"

namespace voxgemm {

/// Handle of a value (sparse or dense tensor) in a Network.
struct Value {
  std::int32_t id = -1;
};

/// A sparse convolution as the user gives it: float32 weights, folded batch norm.
struct ConvLayer {
  std::string name;
  std::string indice_key;   ///< layers of one key and geometry share indice pairs; "" = by geometry only
  ConvGeometry geometry{};  ///< ignored by inverse_conv
  std::int32_t c_out = 0;
  std::vector<float> weights;                 ///< KRSC [c_out][kv][c_in]
  std::vector<float> bias;                    ///< [c_out] or empty
  Activation activation = Activation::kNone;  ///< of the real values, in every precision
  float act_alpha = 0.0F;                     ///< slope of kLeakyReLU
};

/// Scale of each value by the name of the layer that makes it (the input under its own name): real = scale *
/// int8. A fused chain (conv + add + relu) makes one value, named by its last layer. Scales are from 2^-126,
/// the least normal float32, to FLT_MAX / 127. 0 says that the value was never seen: calibration met no rows
/// or only zeros.
struct ScaleTable {
  std::map<std::string, float> scale;

  /// Takes in what was seen elsewhere: each entry becomes the larger of the two, a name that one table lacks
  /// is taken from the other. Tables of single frames merge to the table of all frames; 0 never wins against
  /// a scale. Throws kInvalidArgument naming the first entry of either that is neither 0 nor a scale; then
  /// nothing has changed.
  VOXGEMM_API void merge(const ScaleTable& other);
};

/// Largest row count seen at each site-making layer, by layer name; at least 1.
struct CapacityTable {
  std::map<std::string, std::int32_t> rows;

  /// Likewise: the larger of the two. Throws kInvalidArgument naming the first entry of either below 1.
  VOXGEMM_API void merge(const CapacityTable& other);
};

/// Directed acyclic graph of layers. Building it checks every shape and throws Error naming the layer.
///
/// Capacities, the rows that an engine keeps for each set of sites, never exceed its cells (batch included).
/// The input's is given; the output sites of a layer for which none was set have
///   strided convolution, pool   min(2 * base, reach * in, cells)
///   transposed convolution      min(kv * in, cells)
/// with in = rows of the layer's input sites; base = rows of the nearest level on the way to them that was
/// set (the input is) or made by a transposed convolution; reach = product over the axes of
/// ceil(kernel / (stride / gcd(dilation, stride))), the most sites that one input feeds. A strided layer may
/// grow the set: factors up to 1.6 are seen on real scans, so 2 fits them all. A frame that needs more rows
/// is kCapacity at that layer; record_capacities() gives tighter capacities.
class VOXGEMM_API Network {
 public:
  Network();
  ~Network();
  Network(Network&&) noexcept;
  Network& operator=(Network&&) noexcept;
  Network(const Network&);

  /// The sparse input; one per network. `capacity` = recorded maximum of voxels (at most the cells are kept).
  Value input(const std::string& name, const Dims& spatial_shape, std::int32_t batch_size,
              std::int32_t channels, std::int32_t capacity);
  /// Submanifold, regular or transposed by geometry.kind. Of kernel and stride 1 without padding, whatever
  /// its kind, it reads no neighbours: it stays on its input's sites and its indice_key is ignored (as in
  /// spconv), so that it may stand among layers of any key.
  Value conv(Value in, ConvLayer layer);
  /// Inverse of the strided or transposed convolution or pool that was built under `layer.indice_key`: its
  /// pairs with the sides swapped, same offsets; output sites are that layer's input sites.
  Value inverse_conv(Value in, ConvLayer layer);
  Value add(Value a, Value b, const std::string& name);
  Value relu(Value in, const std::string& name);
  /// Under an `indice_key` it shares its pairs with convolutions of the key, and an inverse may follow.
  Value pool(Value in, const ConvGeometry& geometry, const PoolOptions& options, const std::string& name,
             const std::string& indice_key = "");
  Value global_pool(Value in, PoolKind kind, const std::string& name);
  Value concat(std::span<const Value> values, const std::string& name);
  Value to_dense(Value in, DenseLayout layout, const std::string& name);
  void output(Value value, const std::string& name);
  /// Largest row count recorded for the output sites of a site-making layer (strided, transposed, pool), or
  /// of the input under its own name. Throws kNotFound for an unknown layer, kInvalidArgument for one that
  /// makes no sites or rows < 1.
  void set_capacity(const std::string& layer, std::int32_t rows);
  /// Sets every entry whose layer this network has; layers that it lacks are kNotFound.
  void set_capacities(const CapacityTable& table);

  [[nodiscard]] std::string describe() const;

  struct Impl;
  [[nodiscard]] const Impl& impl() const noexcept { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace voxgemm
