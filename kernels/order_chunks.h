// Sizes that the map kernel, which counts row keys, and the row ordering, which places rows by them, share on
// CUDA.
#pragma once

#include <cstdint>

namespace voxgemm::device {

inline constexpr std::int32_t kOrderChunk = 1024;  // rows whose keys are counted together
inline constexpr std::int32_t kChunksPerGroup = 8;
inline constexpr std::int32_t kOrderKeys = 1024;

}  // namespace voxgemm::device
