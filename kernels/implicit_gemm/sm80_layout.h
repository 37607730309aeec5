// Shape and weight layout of the tensor-core rows, shared by the kernels and the host code that packs for
// them.
//
// A row of the table is a warp tile: `rows` output rows by `channels` output channels. A step of its loop
// multiplies 64 bytes of depth: 64 bytes of an input row, or the whole rows (up to 32 or 16 bytes) of two or
// four offsets. Both operands are permuted so that a lane's share is contiguous:
//   - member q of a lane quad owns 16 bytes of the step: one vector load feeds all its multiplies, and no
//   shared memory
//     is needed for the gathered rows;
//   - of the `channels` of a slice, quad g owns channels [g * channels / 8, ...): one vector store writes its
//   results
//     of one row.
// The weights carry both permutations. A slice holds `channels` output channels and is contiguous, so that it
// can live in shared memory while a block works through its tiles.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/implicit_gemm/implicit_gemm.h"

namespace voxgemm::implicit_gemm {

struct Sm80Shape {
  std::int32_t rows = 16;        // 16 or 32 output rows a warp
  std::int32_t channels = 64;    // 16, 32 or 64 output channels a slice
  std::int32_t step_bytes = 64;  // of an input row: 64, or 32 or 16 when rows are no longer than that
};

/// The tile that layers with a sigmoid get.
inline constexpr std::int32_t kSm80SigmoidRows = 16;
inline constexpr std::int32_t kSm80SigmoidChannels = 32;

constexpr std::int32_t ceil_div(std::int32_t a, std::int32_t b) { return (a + b - 1) / b; }

/// Slices of output channels.
constexpr std::int32_t sm80_slices(Sm80Shape shape, std::int32_t c_out) {
  return ceil_div(c_out, shape.channels);
}

/// Steps per offset.
constexpr std::int32_t sm80_chunks(Sm80Shape shape, std::int32_t c_in, std::int32_t element_bytes) {
  return ceil_div(c_in * element_bytes, shape.step_bytes);
}

/// Offsets of one step, and copies of the weights: the lanes that work on different offsets of one step read
/// from different copies, each rotated so that together they touch every bank of shared memory.
constexpr std::int32_t sm80_copies(Sm80Shape shape) { return 64 / shape.step_bytes; }

/// Bytes of one slice of packed weights.
constexpr std::int64_t sm80_slice_bytes(Sm80Shape shape, std::int32_t kv, std::int32_t c_in,
                                        std::int32_t element_bytes) {
  return std::int64_t{shape.channels} * shape.step_bytes * sm80_copies(shape) * kv *
         sm80_chunks(shape, c_in, element_bytes);
}

constexpr std::int64_t sm80_packed_bytes(Sm80Shape shape, const ImplicitGemmProblem& p) {
  return sm80_slice_bytes(shape, p.kv, p.c_in, static_cast<std::int32_t>(size_of(p.in_dtype))) *
         sm80_slices(shape, p.c_out);
}

/// KRSC weights (int8, or float32 rounded to binary16) -> slices; tails of channels and rows are zero.
void sm80_pack(Sm80Shape shape, const ImplicitGemmProblem& problem, const void* krsc, void* packed);

}  // namespace voxgemm::implicit_gemm
