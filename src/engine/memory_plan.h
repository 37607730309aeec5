// Where each buffer of an engine lies in the arena: buffers whose lives do not meet may share bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace voxgemm {

/// One buffer: its size, and the steps between which its content matters (both inclusive).
struct BufferLife {
  std::size_t bytes = 0;
  std::int32_t first = 0;
  std::int32_t last = 0;
};

struct MemoryPlan {
  std::vector<std::size_t> offsets;  ///< [buffers], multiples of 256
  std::size_t bytes = 0;             ///< end of the last buffer
};

/// Largest buffers first, each at the lowest offset that is free during its life. Depends on its arguments
/// alone. With reuse = false every buffer gets bytes of its own.
MemoryPlan plan_memory(std::span<const BufferLife> buffers, bool reuse = true);

}  // namespace voxgemm
