// Running a planned layer: checks that cost nothing, the row's pass over the input, then the row itself.
#include <algorithm>

#include "core/context_impl.h"
#include "core/kernel_table.h"
#include "core/operands.h"
#include "core/parallel.h"
#include "gemm/implicit_gemm_impl.h"
#include "gemm/tile_rows.h"

namespace voxgemm {
namespace {

// A tile without pairs still costs its epilogue: about one pair per row.
std::int64_t work_before_tile(const TilePairsView& tiles, std::int32_t kv, std::int64_t tile) {
  return tiles.start[tile * kv] + tile * tiles.tile_rows;
}

// First tile whose work starts at or after `work`.
std::int64_t tile_at(const TilePairsView& tiles, std::int32_t kv, std::int64_t work) {
  std::int64_t low = 0;
  std::int64_t high = tiles.num_tiles;
  while (low < high) {
    const std::int64_t middle = (low + high) / 2;
    if (work_before_tile(tiles, kv, middle) < work) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// Every thread gets tiles with as many pairs.
void run_tiles(const Context& context, const ImplicitGemmKernel& row, const ImplicitGemmArgs& args) noexcept {
  const TilePairsView& tiles = args.pairs.tiles;
  const std::int32_t kv = args.problem.kv;
  const std::int64_t total = work_before_tile(tiles, kv, tiles.num_tiles);
  const Parts parts(context, [&](std::int64_t p, std::int64_t count) {
    return p == count ? tiles.num_tiles : tile_at(tiles, kv, total * p / count);
  });
  parallel_parts(context, parts, 1, [&](std::int64_t begin, std::int64_t end) {
    row.run(args, {begin, end}, {});
  });
}

// Threads share the output rows evenly, in blocks of the kernel's tile.
void run_table_rows(const Context& context, const ImplicitGemmKernel& row,
                    const ImplicitGemmArgs& args) noexcept {
  const std::int64_t rows = args.pairs.num_out;
  const std::int64_t block = row.tile.rows;
  const std::int64_t blocks = (rows + block - 1) / block;
  const Parts parts(context, [&](std::int64_t p, std::int64_t count) { return blocks * p / count; });
  parallel_parts(context, parts, kLeastShareRows / block, [&](std::int64_t begin, std::int64_t end) {
    row.run(args, {begin * block, std::min(end * block, rows)}, {});
  });
}

// Missing forms are reported as value = forms present, limit = forms wanted.
Status check_pairs(const ImplicitGemm::Impl& plan, const IndicePairsView& pairs) {
  if (pairs.kv != plan.problem.kv) {
    return {.code = ErrorCode::kShape,
            .value = pairs.kv,
            .limit = plan.problem.kv,
            .what = "kernel volume of the pairs"};
  }
  PairForms present = 0;
  if (pairs.pair_fwd != nullptr) present |= kPairTable;
  if (pairs.tiles.start != nullptr) present |= kTilePairs;
  const PairForms wanted = plan.kernel->forms;
  if ((present & wanted) != wanted && pairs.num_out > 0) {
    return {.code = ErrorCode::kInvalidArgument,
            .value = present,
            .limit = wanted,
            .what = "forms of the pairs (see pair_forms())"};
  }
  return {};
}

Status check_operands(const ImplicitGemm::Impl& plan, const IndicePairsView& pairs, const FeatureView& in,
                      const FeatureView& residual, const FeatureView& out) {
  const ImplicitGemmProblem& p = plan.problem;
  if (Status s = check_pairs(plan, pairs); !s.ok()) return s;
  if (Status s = check_view(in, p.in_dtype, p.c_in, pairs.n_in, kInputOperand); !s.ok()) return s;
  if (Status s = check_view(out, p.out_dtype, p.c_out, pairs.num_out, kOutputOperand); !s.ok()) return s;
  if (!p.has_residual) {
    if (residual.data == nullptr) return {};
    return {.code = ErrorCode::kInvalidArgument,
            .value = 1,
            .limit = 0,
            .what = "residuals (the plan was made without one)"};
  }
  if (residual.data == nullptr && pairs.num_out > 0) {
    return {.code = ErrorCode::kInvalidArgument, .value = 0, .limit = 1, .what = kResidualOperand.null};
  }
  return check_view(residual, p.out_dtype, p.c_out, pairs.num_out, kResidualOperand);
}

ImplicitGemmArgs make_args(const ImplicitGemm::Impl& plan, const IndicePairsView& pairs,
                           const FeatureView& in, const FeatureView& residual, const FeatureSpan& out) {
  ImplicitGemmArgs args;
  args.problem = plan.problem;
  args.pairs = pairs;
  args.in = in.data;
  args.in_stride = in.stride;
  args.weights = plan.weights.data();
  args.scale = plan.scale.as<float>();
  args.bias = plan.bias.as<float>();
  args.beta = plan.beta;
  args.activation = plan.activation;
  args.act_alpha = plan.act_alpha;
  args.residual = plan.problem.has_residual ? residual.data : nullptr;
  args.residual_stride = residual.stride;
  args.out = out.data;
  args.out_stride = out.stride;
  return args;
}

// The padded copy and the row sums, where the row asks for them.
Status prepare_input(const Context& context, const ImplicitGemm::Impl& plan, Workspace workspace, Exec exec,
                     ImplicitGemmArgs& args) {
  const ImplicitGemmKernel& row = *plan.kernel;
  ImplicitGemmPrepare prepare{.problem = plan.problem,
                              .in = args.in,
                              .in_stride = args.in_stride,
                              .device_n_in = args.pairs.device_n_in};
  const std::int64_t n_in = args.pairs.n_in;
  // Vector loads on the device want aligned rows, so the base counts there as the stride does.
  const bool misaligned = plan.device.kind == DeviceKind::kCuda && row.stride_multiple > 1 &&
                          reinterpret_cast<std::uintptr_t>(args.in) % 16 != 0;
  const bool copy = misaligned || plan.needs_copy(args.in_stride);
  if ((!copy && !row.needs_row_sums) || n_in == 0) return {};
  Carver carver(workspace);
  if (copy) {
    prepare.padded_stride = plan.copy_stride();
    prepare.padded = carver.take<std::byte>(n_in * prepare.padded_stride *
                                            static_cast<std::int64_t>(size_of(plan.problem.in_dtype)));
    args.in = prepare.padded;
    args.in_stride = prepare.padded_stride;
  }
  if (row.needs_row_sums) {
    prepare.row_sums = carver.take<std::int32_t>(n_in);
    args.row_sums = prepare.row_sums;
  }
  if (Status s = check_workspace_bytes(workspace, carver.used()); !s.ok()) return s;
  if (plan.device.kind == DeviceKind::kCuda) {
    row.prepare(prepare, {0, n_in}, exec);
    return {};
  }
  constexpr std::int64_t kGrain = 4096;
  parallel_for(context, 0, n_in, kGrain, [&](std::int64_t begin, std::int64_t end) {
    row.prepare(prepare, {begin, end}, {});
  });
  return {};
}

}  // namespace

std::size_t ImplicitGemm::workspace_bytes(std::int32_t max_in, std::int32_t) const noexcept {
  const Impl& plan = *impl_;
  Carver carver;
  if (plan.may_copy()) {
    carver.take<std::byte>(max_in * plan.copy_stride() *
                           static_cast<std::int64_t>(size_of(plan.problem.in_dtype)));
  }
  if (plan.kernel->needs_row_sums) carver.take<std::int32_t>(max_in);
  return carver.used();
}

Status ImplicitGemm::run(Context& context, const IndicePairsView& pairs, const FeatureView& in,
                         const FeatureView& residual, const FeatureSpan& out, Workspace workspace,
                         std::int64_t* issued_macs) const noexcept {
  const Impl& plan = *impl_;
  if (Status s = check_operands(plan, pairs, in, residual, out); !s.ok()) return s;
  if (pairs.num_out == 0) return {};
  const CurrentDevice current(context);
  const Exec exec = exec_of(context);
  ImplicitGemmArgs args = make_args(plan, pairs, in, residual, out);
  if (Status s = prepare_input(context, plan, workspace, exec, args); !s.ok()) return s;
  args.issued_macs = issued_macs;
  if (plan.device.kind == DeviceKind::kCuda) {
    plan.kernel->run(args, {0, pairs.num_out}, exec);
  } else if ((plan.kernel->forms & kTilePairs) != 0) {
    run_tiles(context, *plan.kernel, args);
  } else {
    run_table_rows(context, *plan.kernel, args);
  }
  return {};
}

}  // namespace voxgemm
