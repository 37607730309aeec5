#include "engine/memory_plan.h"

#include <algorithm>
#include <numeric>

#include "voxgemm/context.h"

namespace voxgemm {
namespace {

bool lives_meet(const BufferLife& a, const BufferLife& b) { return a.first <= b.last && b.first <= a.last; }

}  // namespace

MemoryPlan plan_memory(std::span<const BufferLife> buffers, bool reuse) {
  MemoryPlan plan;
  plan.offsets.resize(buffers.size());
  std::vector<std::size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return buffers[a].bytes > buffers[b].bytes; });
  struct Placed {
    std::size_t begin;
    std::size_t end;
    std::size_t buffer;
  };
  std::vector<Placed> placed;  // ascending begin
  for (const std::size_t buffer : order) {
    const std::size_t bytes = align_up(buffers[buffer].bytes);
    std::size_t at = 0;
    for (const Placed& other : placed) {
      if (reuse && !lives_meet(buffers[buffer], buffers[other.buffer])) continue;
      if (at + bytes <= other.begin) break;
      at = std::max(at, other.end);
    }
    plan.offsets[buffer] = at;
    plan.bytes = std::max(plan.bytes, at + bytes);
    if (bytes == 0) continue;
    const Placed entry{at, at + bytes, buffer};
    placed.insert(std::upper_bound(placed.begin(), placed.end(), entry,
                                   [](const Placed& a, const Placed& b) { return a.begin < b.begin; }),
                  entry);
  }
  return plan;
}

}  // namespace voxgemm
