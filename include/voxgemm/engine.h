// Engine: a network lowered for one device, precision and set of capacities.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "voxgemm/context.h"
#include "voxgemm/error.h"
#include "voxgemm/implicit_gemm.h"
#include "voxgemm/indice_pairs.h"
#include "voxgemm/network.h"
#include "voxgemm/types.h"

namespace voxgemm {

class StepListener;
class StepTimer;
struct StepProfile;

enum class Precision : std::uint8_t { kInt8, kFloat32, kFloat16 };

struct EngineOptions {
  Precision precision = Precision::kInt8;
  RowOrder order = RowOrder::kNone;      ///< CUDA and pair-table rows
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

/// Engine: immutable after build; threads may share it, each with its own Context and workspace.
class VOXGEMM_API Engine {
 public:
  /// Lowers the network for the context's device: fuses conv + add + relu, shares pairs, plans every
  /// layer and the arena. Throws Error naming the layer.
  ///
  /// int8 needs an entry of `scales` for every value between layers; kInvalidArgument names the first that
  /// lacks one, or an entry that is no scale; kNotFound names the entries of layers that the network lacks.
  /// Other precisions read no scales. Values that share storage units (pool, ReLU, concat, dense copies with
  /// their inputs) have one scale, the largest; when all of them were never seen (0) that is 1, and a warning
  /// in the context's log names them.
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
                 Workspace workspace, StepListener* listener = nullptr) const noexcept;

  /// Value that a step made in the last enqueue on `workspace` (needs EngineOptions::keep_all_values): rows,
  /// indices, dtype and scale. On CUDA num_voxels is the capacity and device_num_voxels the count. Steps that
  /// make no sparse value (pairs, dense or copied outputs) give a view without features.
  [[nodiscard]] SparseTensorView value_view(std::int32_t step, const SparseTensorView& input,
                                            Workspace workspace) const noexcept;

  /// Real rows, pairs and times of the last enqueue or replay on `workspace`; `timer` was its listener (null:
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

}  // namespace voxgemm
