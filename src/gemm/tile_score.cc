#include "gemm/tile_score.h"

#include "kernels/implicit_gemm/sm80_layout.h"

namespace voxgemm {
namespace {

using implicit_gemm::ceil_div;
using implicit_gemm::Sm80Shape;

constexpr std::int32_t kReservedShared = 1024;  // static shared memory and what the system keeps
constexpr std::int32_t kUnknownRows = 1 << 20;

std::int32_t step_bytes(const ImplicitGemmProblem& p) {
  const auto element = static_cast<std::int32_t>(size_of(p.in_dtype));
  const std::int32_t row = p.c_in * element;
  return row <= 16 ? 16 : (row <= 32 ? 32 : 64);
}

std::int32_t channels(const ImplicitGemmProblem& p, Sm80Shape shape, std::int32_t shared_bytes) {
  const auto element = static_cast<std::int32_t>(size_of(p.in_dtype));
  // int8 gathers are short: two slices of 32 channels, with half of the weights to wait for, beat one of 64.
  const std::int32_t most = element == 1 ? 32 : 64;
  const std::int32_t widest = p.c_out > 16 ? (p.c_out > 32 ? most : 32) : 16;
  for (std::int32_t c = widest; c >= 16; c /= 2) {
    shape.channels = c;
    if (sm80_slice_bytes(shape, p.kv, p.c_in, element) + kReservedShared <= shared_bytes) return c;
  }
  return widest;
}

}  // namespace

Tile best_tile(const ImplicitGemmProblem& problem, const TileTarget& target) {
  Sm80Shape shape;
  shape.step_bytes = step_bytes(problem);
  const std::int32_t depth = shape.step_bytes / static_cast<std::int32_t>(size_of(problem.in_dtype));
  if (problem.sigmoid) {
    return {implicit_gemm::kSm80SigmoidRows, implicit_gemm::kSm80SigmoidChannels, depth};
  }
  shape.channels = channels(problem, shape, target.shared_bytes);
  const std::int32_t rows = target.max_rows > 0 ? target.max_rows : kUnknownRows;
  const std::int64_t tiles = std::int64_t{ceil_div(rows, 32)} * sm80_slices(shape, problem.c_out);
  // Wide tiles of 32 rows need so many registers that few warps remain to hide the gathers.
  const bool sliced = problem.in_dtype == DType::kInt8 && sm80_slices(shape, problem.c_out) > 1;
  const std::int64_t enough = shape.channels == 16 ? 8 : (sliced ? 12 : 24);  // measured on an H200
  shape.rows = tiles >= enough * target.num_sms ? 32 : 16;
  return {shape.rows, shape.channels, depth};
}

}  // namespace voxgemm
