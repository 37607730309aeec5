// Planning of one layer: validate, choose a row, pack the weights.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/check.h"
#include "core/context_impl.h"
#include "core/cuda_device.h"
#include "core/kernel_table.h"
#include "core/named_buffer.h"
#include "gemm/implicit_gemm_impl.h"
#include "gemm/scale_rules.h"
#include "gemm/tile_score.h"
#include "quant/scale.h"

namespace voxgemm {
namespace {

// Largest kv * c_in whose exact sum of int8 products stays inside int32.
constexpr std::int64_t kMaxReduction = 131071;
constexpr std::int32_t kChannelRounding = 64;

void validate_desc(const Context& context, const ImplicitGemmDesc& d) {
  const bool cuda = context.device().kind == DeviceKind::kCuda;
  check_layer(d.kv >= 1 && d.kv <= kMaxKernelVolume, ErrorCode::kInvalidArgument, d.name,
              "kernel volume is {}, allowed 1 to {}", d.kv, kMaxKernelVolume);
  check_layer(d.c_in >= 1, ErrorCode::kInvalidArgument, d.name, "c_in is {}, must be at least 1", d.c_in);
  check_layer(d.c_out >= 1, ErrorCode::kInvalidArgument, d.name, "c_out is {}, must be at least 1", d.c_out);
  check_layer(d.max_rows >= 0, ErrorCode::kInvalidArgument, d.name, "max_rows is {}, must not be negative",
              d.max_rows);
  check_layer(
      d.in_dtype == DType::kInt8 || d.in_dtype == DType::kFloat32 || (d.in_dtype == DType::kFloat16 && cuda),
      ErrorCode::kDType, d.name, "input of type {} is not taken here", to_string(d.in_dtype));
  const bool out_ok = d.in_dtype == DType::kInt8
                          ? d.out_dtype == DType::kInt8 || d.out_dtype == DType::kFloat32 ||
                                (d.out_dtype == DType::kFloat16 && cuda)
                          : d.out_dtype == d.in_dtype;
  check_layer(out_ok, ErrorCode::kDType, d.name, "{} input cannot give {} output here", to_string(d.in_dtype),
              to_string(d.out_dtype));
  if (d.in_dtype == DType::kInt8) {
    const std::int64_t reduction = std::int64_t{d.kv} * d.c_in;
    check_layer(reduction <= kMaxReduction, ErrorCode::kInvalidArgument, d.name,
                "kv * c_in is {}, an exact int32 sum allows {}", reduction, kMaxReduction);
  }
}

void validate_finite(const ImplicitGemmDesc& d, const char* what, std::span<const float> values) {
  for (std::size_t n = 0; n < values.size(); ++n) {
    check_layer(std::isfinite(values[n]), ErrorCode::kInvalidArgument, d.name, "{}[{}] is {}, must be finite",
                what, n, values[n]);
  }
}

void validate_epilogue(const ImplicitGemmDesc& d, const EpilogueParams& e) {
  const auto c_out = static_cast<std::size_t>(d.c_out);
  const bool is_int8 = d.in_dtype == DType::kInt8;
  const bool scale_ok = e.scale.size() == c_out || e.scale.size() == 1 || (e.scale.empty() && !is_int8);
  check_layer(scale_ok, ErrorCode::kShape, d.name, "epilogue scale has {} values, wanted {} or 1",
              e.scale.size(), c_out);
  check_layer(e.bias.empty() || e.bias.size() == c_out, ErrorCode::kShape, d.name,
              "epilogue bias has {} values, wanted {} or none", e.bias.size(), c_out);
  for (std::size_t n = 0; n < e.scale.size(); ++n) {
    check_layer(is_zero_or_normal(e.scale[n]), ErrorCode::kInvalidArgument, d.name,
                "scale[{}] is {}, must be finite and 0 or at least {} in magnitude", n, e.scale[n],
                kLeastScale);
  }
  validate_finite(d, "bias", e.bias);
  check_layer(is_zero_or_normal(e.beta), ErrorCode::kInvalidArgument, d.name,
              "beta is {}, must be finite and 0 or at least {} in magnitude", e.beta, kLeastScale);
  check_layer(std::isfinite(e.act_alpha), ErrorCode::kInvalidArgument, d.name,
              "act_alpha is {}, must be finite", e.act_alpha);
  check_layer(e.activation <= Activation::kSigmoid, ErrorCode::kInvalidArgument, d.name,
              "activation is {}, known are 0 to {}", static_cast<int>(e.activation),
              static_cast<int>(Activation::kSigmoid));
  check_layer(e.activation != Activation::kSigmoid || e.act_alpha > 0.0F, ErrorCode::kInvalidArgument, d.name,
              "act_alpha of a sigmoid is {}, must be above 0 (1 / out_scale; 1 for float output)",
              e.act_alpha);
  if (!is_int8) {
    const auto other = std::find_if(e.scale.begin(), e.scale.end(), [](float s) { return s != 1.0F; });
    if (other != e.scale.end()) {
      fail_layer(ErrorCode::kInvalidArgument, d.name, "epilogue scale of a float problem must be 1, got {}",
                 *other);
    }
  }
}

void validate_weights(const ImplicitGemmDesc& d, std::size_t length) {
  const std::int64_t wanted = std::int64_t{d.c_out} * d.kv * d.c_in;
  check_layer(static_cast<std::int64_t>(length) == wanted, ErrorCode::kShape, d.name,
              "weights have {} values, wanted c_out * kv * c_in = {} * {} * {} = {}", length, d.c_out, d.kv,
              d.c_in, wanted);
}

void choose_kernel(const Context& context, ImplicitGemm::Impl& impl) {
  const std::string& force = context.kernels().force;
  const auto table = implicit_gemm_kernels();
  if (!force.empty()) {
    const bool known =
        std::any_of(table.begin(), table.end(), [&](const auto& row) { return row.name == force; });
    if (!known)
      fail_layer(ErrorCode::kUnsupported, impl.desc.name, "forced kernel '{}' is not in the table: {}", force,
                 fmt::join(implicit_gemm_kernel_names(), ", "));
  }
  auto selection = select_kernel<ImplicitGemmKernel>(context, table, impl.problem);
  impl.refused = std::move(selection.refused);
  impl.kernel = selection.kernel;
  if (impl.kernel != nullptr) {
    impl.kernel_name = impl.kernel->name;
    return;
  }
  std::string reasons;
  for (const RefusedKernel& r : impl.refused) {
    if (!force.empty() && r.name != force) continue;
    reasons += fmt::format("{}{}: {}", reasons.empty() ? "" : "; ", r.name, r.reason);
  }
  fail_layer(ErrorCode::kUnsupported, impl.desc.name, "no kernel takes the problem ({})", reasons);
}

// Among the tensor-core rows that take the problem the tile decides; the table order only lists them.
void choose_tile(const Context& context, ImplicitGemm::Impl& impl) {
  if (impl.device.kind != DeviceKind::kCuda || !context.kernels().force.empty()) return;
  if (impl.problem.in_dtype == DType::kFloat32) return;
  const Context::Impl& device = context.impl();
  const Tile best = best_tile(
      impl.problem,
      {.max_rows = impl.desc.max_rows, .num_sms = device.num_sms, .shared_bytes = device.shared_bytes});
  for (const ImplicitGemmKernel& row : implicit_gemm_kernels()) {
    if (row.isa != impl.kernel->isa || row.rejects(impl.problem) != nullptr || &row == impl.kernel) continue;
    if (row.tile.rows == best.rows && row.tile.channels == best.channels && row.tile.depth == best.depth) {
      impl.refused.push_back({impl.kernel_name, "another tile suits the problem better"});
      impl.kernel = &row;
      impl.kernel_name = row.name;
      return;
    }
  }
}

void upload_channels(Context& context, Buffer& buffer, std::span<const float> values, float fill,
                     std::int32_t c_out, std::int32_t multiple) {
  const std::int32_t rounding = std::max(multiple, kChannelRounding);
  const std::size_t rounded = static_cast<std::size_t>((c_out + rounding - 1) / rounding * rounding);
  std::vector<float> host(rounded, 0.0F);
  for (std::size_t n = 0; n < static_cast<std::size_t>(c_out); ++n) {
    host[n] = values.empty() ? fill : (values.size() == 1 ? values[0] : values[n]);
  }
  buffer = Buffer(context, rounded * sizeof(float));
  buffer.upload(context, host.data(), rounded * sizeof(float));
}

std::unique_ptr<ImplicitGemm::Impl> make_plan(Context& context, const ImplicitGemmDesc& desc,
                                              const void* weights, const EpilogueParams& epilogue) {
  const CurrentDevice current(context);
  auto impl = std::make_unique<ImplicitGemm::Impl>();
  impl->desc = desc;
  impl->device = context.device();
  impl->problem = {.kv = desc.kv,
                   .c_in = desc.c_in,
                   .c_out = desc.c_out,
                   .in_dtype = desc.in_dtype,
                   .out_dtype = desc.out_dtype,
                   .has_residual = desc.has_residual,
                   .input_non_negative = desc.input_non_negative,
                   .sigmoid = epilogue.activation == Activation::kSigmoid};
  choose_kernel(context, *impl);
  choose_tile(context, *impl);
  const ImplicitGemmKernel& row = *impl->kernel;
  if (row.setup != nullptr) {
    const std::int32_t error = row.setup(impl->problem);
    check_layer(error == 0, ErrorCode::kDevice, desc.name, "{}: {}", row.name, cuda::error_text(error));
  }
  std::vector<std::byte> packed(row.packed_bytes(impl->problem));
  row.pack(impl->problem, weights, packed.data());
  impl->weights = named_buffer(context, packed.size(), [&] {
    return fmt::format("layer '{}': weights of {} -> {} channels, kernel volume {}", desc.name, desc.c_in,
                       desc.c_out, desc.kv);
  });
  impl->weights.upload(context, packed.data(), packed.size());
  upload_channels(context, impl->scale, epilogue.scale, 1.0F, desc.c_out, row.tile.channels);
  upload_channels(context, impl->bias, epilogue.bias, 0.0F, desc.c_out, row.tile.channels);
  impl->beta = epilogue.beta;
  impl->activation = epilogue.activation;
  impl->act_alpha = epilogue.act_alpha;
  return impl;
}

}  // namespace

ImplicitGemm::ImplicitGemm(Context& context, const ImplicitGemmDesc& desc,
                           std::span<const std::int8_t> weights, const EpilogueParams& epilogue) {
  validate_desc(context, desc);
  check_layer(desc.in_dtype == DType::kInt8, ErrorCode::kDType, desc.name, "int8 weights for {} input",
              to_string(desc.in_dtype));
  validate_weights(desc, weights.size());
  validate_epilogue(desc, epilogue);
  impl_ = make_plan(context, desc, weights.data(), epilogue);
}

ImplicitGemm::ImplicitGemm(Context& context, const ImplicitGemmDesc& desc, std::span<const float> weights,
                           const EpilogueParams& epilogue) {
  validate_desc(context, desc);
  check_layer(desc.in_dtype != DType::kInt8, ErrorCode::kDType, desc.name, "float32 weights for int8 input");
  validate_weights(desc, weights.size());
  validate_finite(desc, "weights", weights);
  validate_epilogue(desc, epilogue);
  impl_ = make_plan(context, desc, weights.data(), epilogue);
}

ImplicitGemm::~ImplicitGemm() = default;
ImplicitGemm::ImplicitGemm(ImplicitGemm&&) noexcept = default;
ImplicitGemm& ImplicitGemm::operator=(ImplicitGemm&&) noexcept = default;

const ImplicitGemmDesc& ImplicitGemm::desc() const noexcept { return impl_->desc; }
const std::string& ImplicitGemm::kernel_name() const noexcept { return impl_->kernel_name; }
const std::vector<RefusedKernel>& ImplicitGemm::refused() const noexcept { return impl_->refused; }
PairForms ImplicitGemm::pair_forms() const noexcept {
  const ImplicitGemmKernel& row = *impl_->kernel;
  const bool blocks = row.reads_blocks != nullptr && row.reads_blocks(impl_->problem);
  return blocks ? row.forms | kBlockPairs : row.forms;
}
std::int64_t ImplicitGemm::preferred_in_stride() const noexcept { return impl_->copy_stride(); }

std::string ImplicitGemm::describe() const {
  const Impl& p = *impl_;
  std::string text = fmt::format("{}: {} {}->{} kv {} -> {}, {}, tile {}x{}x{}, {} weight bytes", p.desc.name,
                                 to_string(p.desc.in_dtype), p.desc.c_in, p.desc.c_out, p.desc.kv,
                                 to_string(p.desc.out_dtype), p.kernel_name, p.kernel->tile.rows,
                                 p.kernel->tile.channels, p.kernel->tile.depth, p.weights.bytes());
  for (const RefusedKernel& r : p.refused) text += fmt::format("\n  refused {}: {}", r.name, r.reason);
  return text;
}

std::vector<std::string> implicit_gemm_kernel_names() {
  std::vector<std::string> names;
  for (const ImplicitGemmKernel& row : implicit_gemm_kernels()) names.emplace_back(row.name);
  return names;
}

}  // namespace voxgemm
