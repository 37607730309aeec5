// How many rows and pairs a step saw.
#pragma once

#include <cstdint>
#include <variant>

#include "engine/engine_impl.h"
#include "voxgemm/engine.h"
#include "voxgemm/profile.h"

namespace voxgemm {

/// Fills n_in, n_out and pairs of step `index`. `source` tells real sizes: level_rows(level), where level -1
/// has one row per batch entry, and map_counts(map).
template <typename Source>
void count_step(const Engine::Impl& engine, std::size_t index, const Source& source, StepProfile& profile) {
  const auto rows_of = [&](std::int32_t tensor) { return source.level_rows(engine.tensor(tensor).level); };
  const auto count_map = [&](std::int32_t map, bool inverted) {
    const MapCounts counts = source.map_counts(map);
    profile.n_in = inverted ? counts.num_out : counts.n_in;
    profile.n_out = inverted ? counts.n_in : counts.num_out;
    profile.pairs = counts.pairs;
  };
  const Step& step = engine.steps[index];
  profile.n_in = profile.n_out = source.level_rows(0);
  if (const std::int32_t made = engine.made[index]; made >= 0) profile.n_in = profile.n_out = rows_of(made);
  if (const auto* gemm = std::get_if<GemmStep>(&step)) count_map(gemm->map, gemm->inverse);
  if (const auto* pooling = std::get_if<PoolStep>(&step)) count_map(pooling->map, false);
  if (const auto* scatter = std::get_if<ScatterStep>(&step)) {
    profile.n_in = profile.n_out = rows_of(scatter->in);
  }
  if (!std::holds_alternative<PairsStep>(step)) return;
  for (std::int32_t map = 0; map < engine.pairs.num_maps(); ++map) {
    profile.pairs += source.map_counts(map).pairs;
  }
}

}  // namespace voxgemm
