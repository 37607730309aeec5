// Network: layers strung together. Engine: a network lowered for one device, precision and set of capacities.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "voxgemm/context.h"
#include "voxgemm/epilogue.h"
#include "voxgemm/error.h"
#include "voxgemm/graph.h"
#include "voxgemm/implicit_gemm.h"
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
  std::vector<float> weights;  ///< KRSC [c_out][kv][c_in]
  std::vector<float> bias;     ///< [c_out] or empty
  Activation activation = Activation::kNone;
  float act_alpha = 0.0F;
};

/// Scale of each value by the name of the layer that makes it (the input under its own name): real = scale *
/// int8. A fused chain (conv + add + relu) makes one value, named by its last layer. Names that a network
/// lacks are passed over.
struct ScaleTable {
  std::map<std::string, float> scale;
};

/// Largest row count seen at each site-making layer, by layer name.
struct CapacityTable {
  std::map<std::string, std::int32_t> rows;
};

/// Directed acyclic graph of layers. Building it checks every shape and throws Error naming the layer.
class VOXGEMM_API Network {
 public:
  Network();
  ~Network();
  Network(Network&&) noexcept;
  Network& operator=(Network&&) noexcept;
  Network(const Network&);

  /// The sparse input; one per network. `capacity` = recorded maximum of voxels.
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

/// One frame in host memory for calibration, recording and comparison; the sizes must agree with num_voxels
/// (kShape). Recorded capacities do not limit these frames.
struct Frame {
  std::vector<std::int32_t> indices;  ///< [n][1+ndim]
  std::vector<float> features;        ///< [n][channels]
  std::int32_t num_voxels = 0;
};

/// Min-max calibration: runs the float32 network over the frames; scale = max|x| / 127 per value (values
/// that one fused layer produces have one scale; 1 when a value is all zero). Real rows only.
VOXGEMM_API ScaleTable calibrate_min_max(Context& context, const Network& network,
                                         std::span<const Frame> frames);
/// Records the site counts of the frames, times `headroom`, rounded up.
VOXGEMM_API CapacityTable record_capacities(Context& context, const Network& network,
                                            std::span<const Frame> frames, float headroom = 1.25F);

enum class Precision : std::uint8_t { kInt8, kFloat32, kFloat16 };

struct EngineOptions {
  Precision precision = Precision::kInt8;
  RowOrder order = RowOrder::kNone;      ///< CUDA and pair-table rows
  bool profile = false;                  ///< CPU: time each step into StepProfile. CUDA: see StepTimer
  DType output_dtype = DType::kFloat32;  ///< kFloat32, kFloat16 (CUDA), or kInt8 with the value's scale
  bool keep_all_values = false;          ///< no memory is reused: Engine::value_view() works (debugging)
};

/// Static facts of one step of a built engine.
struct StepInfo {
  std::string name;  ///< layer name(s), fused parts joined by " + "
  std::string kind;  ///< "subm_conv", "sparse_conv", "pairs", "quantize", "scatter_dense", ...
  std::int32_t c_in = 0;
  std::int32_t c_out = 0;
  std::int32_t kv = 0;
  std::int32_t capacity = 0;
  std::string kernel;      ///< row chosen, or structure for pairs
  std::string precision;   ///< "int8", "fp32", "fp16"
  std::string pairs;       ///< name of the kernel map a layer reads: the first layer that asked for it
  std::string value;       ///< name of the value it makes (key of ScaleTable), "" when none
  float out_scale = 1.0F;  ///< scale of that value (int8 only)
  std::vector<RefusedKernel> refused;  ///< better rows than `kernel`, and why each was not taken
};

/// to_string(status) with the layer in the place of the step's number: "layer 'down': capacity exceeded:
/// value 9, limit 5". `steps`: Engine::steps() of the engine that the status is from.
VOXGEMM_API std::string to_string(const Status& status, std::span<const StepInfo> steps);
/// Throws Error with that text when `status` is not ok, prefixed by `what`.
VOXGEMM_API void check(const Status& status, std::string_view what, std::span<const StepInfo> steps);

/// What one enqueue did, per step; filled when EngineOptions::profile is set (CPU), or on request by
/// Engine::collect_profile.
struct StepProfile {
  double microseconds = 0.0;
  std::int32_t n_in = 0;
  std::int32_t n_out = 0;
  std::int64_t pairs = 0;        ///< (output, offset) entries of the map it used
  std::int64_t issued_macs = 0;  ///< of a row that multiplies absent pairs too; 0 = it does not, or not known
};

/// One named output of an engine.
struct OutputInfo {
  std::string name;
  bool dense = false;
  Dims spatial_shape{};
  std::int32_t batch_size = 1;
  std::int32_t channels = 0;
  std::int32_t capacity = 0;  ///< rows (sparse); dense outputs hold dense_elements() elements
  DType dtype = DType::kFloat32;
  float scale = 1.0F;
  DenseLayout layout = DenseLayout::kNCHW;
};

/// Caller-owned memory of one output, on the engine's device.
struct OutputBinding {
  void* features = nullptr;            ///< sparse [capacity][channels], or the dense array
  std::int32_t* indices = nullptr;     ///< sparse only; may be null
  std::int32_t* num_voxels = nullptr;  ///< sparse only, one int32 on the engine's device; may be null
};

/// Told around every step of one enqueue, in step order, on the calling thread: event timing, ranges of a
/// profiler, dumps. Must neither block nor allocate.
class VOXGEMM_API StepObserver {
 public:
  virtual ~StepObserver() = default;
  virtual void step_begin(Context& context, std::int32_t step) noexcept = 0;
  virtual void step_end(Context& context, std::int32_t step) noexcept = 0;
};

/// Times every step: the observer for an enqueue whose steps are to be measured, on any device. On CUDA by
/// events, also inside a captured graph, whose replays then time themselves. Steps that run side by side
/// otherwise are kept apart by the events: their sum exceeds a frame without a timer. One thread at a time.
class VOXGEMM_API StepTimer final : public StepObserver {
 public:
  /// `steps`: Engine::steps().size(). Throws kInvalidArgument, kDevice.
  StepTimer(Context& context, std::size_t steps);
  void step_begin(Context& context, std::int32_t step) noexcept override;
  void step_end(Context& context, std::int32_t step) noexcept override;
  /// Of the last enqueue or replay, after Context::synchronize(); NaN for a step that did not run.
  [[nodiscard]] double microseconds(std::int32_t step) const noexcept;
  [[nodiscard]] std::size_t steps() const noexcept;

 private:
  StreamClock clock_;
};

/// Engine: immutable after build; threads may share it, each with its own Context and workspace.
class VOXGEMM_API Engine {
 public:
  /// Lowers the network for the context's device: fuses conv + add + relu, shares pairs, plans every
  /// layer and the arena. int8 needs a scale for every value between layers (error names the first
  /// without). Throws Error naming the layer.
  static Engine build(Context& context, const Network& network, const ScaleTable& scales,
                      const EngineOptions& options = {});
  ~Engine();
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;

  [[nodiscard]] std::size_t workspace_bytes() const noexcept;
  [[nodiscard]] std::span<const StepInfo> steps() const noexcept;
  [[nodiscard]] std::span<const OutputInfo> outputs() const noexcept;
  [[nodiscard]] std::int32_t input_capacity() const noexcept;
  [[nodiscard]] const Dims& input_shape() const noexcept;
  [[nodiscard]] std::int32_t input_batch_size() const noexcept;
  [[nodiscard]] std::int32_t input_channels() const noexcept;
  [[nodiscard]] float input_scale() const noexcept;  ///< int8 engines; else 1
  [[nodiscard]] std::string describe() const;
  [[nodiscard]] Device device() const noexcept;
  /// Bytes of workspace that hold feature values and scratch, after liveness planning, and kernel maps.
  [[nodiscard]] std::size_t arena_bytes() const noexcept;
  [[nodiscard]] std::size_t pairs_bytes() const noexcept;
  [[nodiscard]] std::int32_t num_maps() const noexcept;

  /// Makes a workspace this engine's: zeroes what must be zero, stamps it. Once per workspace, outside the
  /// hot path; again after anything else wrote to that memory, another engine included. Refuses (kDevice,
  /// kInvalidArgument) the context or workspace that enqueue() would refuse.
  Status prepare(Context& context, Workspace workspace) const noexcept;

  /// Runs one frame. `input` is padded to input_capacity() and sliced to its count: num_voxels on the CPU,
  /// device_num_voxels (or num_voxels when that is null) on CUDA. Features float32, float16, or int8 with
  /// input_scale(). noexcept, no allocation, no synchronisation; capturable into a CUDA graph, which then
  /// replays for any count <= capacity. Outputs beyond the valid rows are untouched.
  /// CPU status: kCapacity when a level overflowed (step = the one that made its sites; canonical-first rows
  /// kept, every output written), kOutOfRange or kDuplicate for a bad coordinate (value = its row, step 0,
  /// outputs untouched). A refused call has step -1 and touches nothing: num_voxels beyond input_capacity()
  /// (kCapacity) or negative, wrong shapes, dtypes, device or workspace (its `what` says which), a workspace
  /// that is not prepare()d for this engine. CUDA: coordinates, overflow and such a workspace, whose frames
  /// are taken as empty, are reported later, by status().
  Status enqueue(Context& context, const SparseTensorView& input, std::span<const OutputBinding> outputs,
                 Workspace workspace, std::span<StepProfile> profile = {},
                 StepObserver* observer = nullptr) const noexcept;

  /// Value that a step made in the last enqueue on `workspace` (needs EngineOptions::keep_all_values): rows,
  /// indices, dtype and scale. On CUDA num_voxels is the capacity and device_num_voxels the count. Steps that
  /// make no sparse value (pairs, dense or copied outputs) give a view without features.
  [[nodiscard]] SparseTensorView value_view(std::int32_t step, const SparseTensorView& input,
                                            Workspace workspace) const noexcept;

  /// Real rows, pairs and times of the last enqueue or replay on `workspace`; `timer` was its observer (null:
  /// times 0). Synchronises and, on CUDA, copies masks to count pairs: not for the hot path. Throws kShape
  /// (sizes that differ from steps()), kInvalidArgument (small workspace), kDevice.
  void collect_profile(Context& context, Workspace workspace, const StepTimer* timer,
                       std::span<StepProfile> profile) const;

  /// Sticky status block of a CUDA workspace: synchronises, reads, clears; kInvalidArgument for one that is
  /// not prepared. CPU: ok.
  Status status(Context& context, Workspace workspace) const noexcept;

  struct Impl;
  [[nodiscard]] const Impl& impl() const noexcept { return *impl_; }

 private:
  Engine();
  std::unique_ptr<Impl> impl_;
};

/// How far int8 is from float32 at one value, over the real rows of one frame.
struct LayerSqnr {
  std::string name;            ///< value name
  std::string kind;            ///< kind of the step that made it
  double sqnr_db = 0.0;        ///< 10 * log10(sum x^2 / sum (x - scale * q)^2); infinite when equal
  double amax = 0.0;           ///< max |x| of the float32 pass
  double max_error = 0.0;      ///< max |x - scale * q|
  std::int64_t saturated = 0;  ///< int8 values at -128 or 127
  std::int64_t elements = 0;
};
struct SqnrReport {
  std::vector<LayerSqnr> layers;  ///< in step order, the last is the network's last sparse value
};
/// Runs `frame` in float32 and in int8 and compares every sparse value.
VOXGEMM_API SqnrReport compare_precisions(Context& context, const Network& network, const ScaleTable& scales,
                                          const Frame& frame);

/// Published backbones with seeded weights, reproducible on every machine: He-uniform, biases within +-16
/// (the order of raw metric features, as a folded batch norm leaves them).
struct BackboneOptions {
  std::int32_t in_channels = 5;
  Dims spatial_shape{41, 1440, 1440};
  std::int32_t batch_size = 1;
  std::int32_t capacity = 160000;
  std::uint64_t seed = 1;
  DenseLayout layout = DenseLayout::kNCHW;
  bool dense_output = true;  ///< false: the sparse output of the last layer
};
// Every level's capacity starts as min(2 * capacity, cells): a strided layer may grow the set (factors up to
// 1.6 are seen on real scans). record_capacities() gives tighter ones.
/// SECOND's VoxelBackBone8x: 12 convolutions, 8 kernel maps.
VOXGEMM_API Network make_second_backbone(const BackboneOptions& options);
/// CenterPoint's VoxelResBackBone8x: 21 convolutions, 8 kernel maps, 8 residual adds.
VOXGEMM_API Network make_centerpoint_backbone(const BackboneOptions& options);

}  // namespace voxgemm
