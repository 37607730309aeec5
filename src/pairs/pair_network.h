// PairNetwork: all kernel maps of a network, planned once from static capacities and built in one go each
// frame, levels cascaded, one coordinate index per level shared by every geometry that reads the level.
// A one-shot build_indice_pairs() is a PairNetwork of one map. The CPU and the CUDA form have one interface.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "voxgemm/context.h"
#include "voxgemm/indice_pairs.h"

namespace voxgemm {

/// Order of the input level's rows. Every other level is in ascending key order.
enum class InputRows : std::uint8_t {
  kAsGiven,
  kByKey,  ///< CPU: maps and level_view(0) have them in ascending key order. CUDA: as given
};

/// A set of sites: the network's input, or the output of a site-making map.
struct LevelView {
  const std::int32_t* indices = nullptr;  ///< [capacity][1+ndim]
  const std::int32_t* places =
      nullptr;         ///< [n] row that each row of run()'s indices is here; null = the same
  std::int32_t n = 0;  ///< CPU: real count. CUDA: capacity
  const std::int32_t* device_n = nullptr;  ///< CUDA: one int32
  std::int32_t capacity = 0;
  std::int64_t wanted = 0;  ///< CPU: sites an unlimited capacity would have held
};

class PairNetwork {
 public:
  explicit PairNetwork(Context& context);
  ~PairNetwork();
  PairNetwork(PairNetwork&&) noexcept;
  PairNetwork& operator=(PairNetwork&&) noexcept;

  // Planning (may throw). Level 0 is the input.
  std::int32_t add_input(const Dims& spatial_shape, std::int32_t batch_size, std::int32_t capacity,
                         InputRows rows = InputRows::kAsGiven);
  /// Adds the map of `geometry` from level `in_level`; returns its id. A regular or transposed map also makes
  /// a new level (level_of_output). options.out_capacity must be > 0 for those. `layer` names the map where
  /// it is refused; "" = the map of a call of its own.
  std::int32_t add_map(std::int32_t in_level, const ConvGeometry& geometry, const PairOptions& options,
                       const std::string& layer = "");
  /// Asks for further forms of a map already added.
  void require_forms(std::int32_t map, PairForms forms);
  /// Fixes sizes and structures; nothing can be added afterwards.
  void finalize();

  [[nodiscard]] std::int32_t level_of_output(std::int32_t map) const;
  [[nodiscard]] std::int32_t num_maps() const;
  [[nodiscard]] const ConvGeometry& geometry(std::int32_t map) const;
  [[nodiscard]] const Dims& level_shape(std::int32_t level) const;
  [[nodiscard]] std::int32_t level_capacity(std::int32_t level) const;
  [[nodiscard]] std::size_t workspace_bytes() const;
  /// Structure chosen for a level and why, one line.
  [[nodiscard]] std::string describe_level(std::int32_t level) const;

  /// Once per workspace: zeroes what run() relies on finding zero (and leaves zero again), stamps it.
  Status prepare(Context& context, Workspace workspace) const noexcept;
  /// CPU: whether the workspace was prepared for this network and nothing else used it since. CUDA: true; the
  /// device compares the stamp, and status() tells.
  [[nodiscard]] bool is_prepared(Workspace workspace) const noexcept;

  /// Builds every map for `n` rows of `indices` ([n][1+ndim], any order, unique). CUDA: reads the count from
  /// device_n when not null, enqueues on the stream, reports into the workspace's status block.
  /// A workspace that was not prepared for this network: CPU kInvalidArgument, nothing is touched; CUDA the
  /// frame is taken as empty and status() says so. CPU status: kOutOfRange (value = first bad row),
  /// kDuplicate (value = a later row of a pair), kCapacity (step = map, value = wanted, limit = capacity;
  /// canonical-first rows kept, run continues).
  Status run(Context& context, const std::int32_t* indices, std::int32_t n, const std::int32_t* device_n,
             Workspace workspace) const noexcept;

  /// Views into the workspace; valid after run() until the next run() on it. On CUDA the pointers are known
  /// as soon as the network is finalized, whatever the counts.
  [[nodiscard]] IndicePairsView map_view(std::int32_t map, Workspace workspace) const noexcept;
  [[nodiscard]] LevelView level_view(std::int32_t level, Workspace workspace) const noexcept;
  /// CPU: (output, offset) entries of a map in the last run. CUDA: 0; see count_pairs().
  [[nodiscard]] std::int64_t num_pairs(std::int32_t map, Workspace workspace) const noexcept;
  /// CUDA: sticky status block of the workspace, or kInvalidArgument when it was not prepared; synchronises,
  /// reads, clears. CPU: ok.
  Status status(Context& context, Workspace workspace) const noexcept;

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

/// Real sizes of a map in the last run, on either device.
struct MapCounts {
  std::int32_t n_in = 0;
  std::int32_t num_out = 0;
  std::int64_t pairs = 0;  ///< (output, offset) entries
};

/// CUDA: synchronises, copies the masks (or, without them, the pair table) and counts; a map built without
/// either has 0 pairs. Not for the hot path. Throws kDevice.
MapCounts count_pairs(Context& context, const IndicePairsView& device_map);

}  // namespace voxgemm
