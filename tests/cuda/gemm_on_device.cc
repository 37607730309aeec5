#include "tests/cuda/gemm_on_device.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>

namespace voxgemm::test {
namespace {

std::vector<std::uint32_t> masks_of(std::int32_t kv, const std::vector<std::int32_t>& input_row) {
  const std::size_t words = static_cast<std::size_t>(kv + 31) / 32;
  const std::size_t num_out = input_row.size() / static_cast<std::size_t>(kv);
  std::vector<std::uint32_t> masks(num_out * words, 0);
  for (std::size_t e = 0; e < input_row.size(); ++e) {
    const std::size_t i = e / static_cast<std::size_t>(kv);
    const std::size_t k = e % static_cast<std::size_t>(kv);
    if (input_row[e] >= 0) masks[i * words + k / 32] |= 1U << (k % 32);
  }
  return masks;
}

template <typename T>
Buffer on_device(Context& context, const std::vector<T>& host) {
  Buffer buffer(context, std::max<std::size_t>(host.size() * sizeof(T), 256));
  buffer.upload(context, host.data(), host.size() * sizeof(T));
  return buffer;
}

/// Rows of `item` bytes an element with `padding` elements of poison behind each.
std::vector<std::uint8_t> strided(const void* tight, std::int64_t rows, std::int64_t row_bytes,
                                  std::int64_t stride_bytes) {
  std::vector<std::uint8_t> out(static_cast<std::size_t>(rows * stride_bytes), kPoison);
  for (std::int64_t r = 0; r < rows; ++r) {
    std::memcpy(out.data() + r * stride_bytes, static_cast<const std::uint8_t*>(tight) + r * row_bytes,
                static_cast<std::size_t>(row_bytes));
  }
  return out;
}

std::vector<std::uint16_t> halves(const std::vector<float>& values) {
  std::vector<std::uint16_t> out(values.size());
  std::transform(values.begin(), values.end(), out.begin(), [](float v) { return to_half(v).bits; });
  return out;
}

/// Tight bytes of the case's input or residual in the element type of the problem.
struct HostOperand {
  std::vector<std::uint16_t> half;
  const void* data = nullptr;
};
HostOperand operand(DType dtype, const std::vector<std::int8_t>& int8, const std::vector<float>& f32) {
  HostOperand o;
  if (dtype == DType::kFloat16) o.half = halves(f32);
  o.data = dtype == DType::kInt8
               ? static_cast<const void*>(int8.data())
               : (dtype == DType::kFloat16 ? static_cast<const void*>(o.half.data()) : f32.data());
  return o;
}

}  // namespace

DeviceMap::DeviceMap(Context& context, std::int32_t kv, std::int32_t n_in,
                     const std::vector<std::int32_t>& input_row, const MapOptions& options) {
  const auto num_out = static_cast<std::int32_t>(input_row.size() / static_cast<std::size_t>(kv));
  view_.kv = kv;
  view_.mask_words = (kv + 31) / 32;
  view_.n_in = n_in;
  view_.num_out = std::max(options.capacity, num_out);
  view_.out_capacity = view_.num_out;
  view_.pair_stride = view_.num_out + options.stride_extra;
  std::vector<std::int32_t> pair_fwd(static_cast<std::size_t>(kv * view_.pair_stride), 1 << 30);
  for (std::int32_t k = 0; k < kv; ++k) {
    for (std::int32_t i = 0; i < num_out; ++i) {
      pair_fwd[static_cast<std::size_t>(k * view_.pair_stride + i)] =
          input_row[static_cast<std::size_t>(i * kv + k)];
    }
  }
  pair_fwd_ = on_device(context, pair_fwd);
  view_.pair_fwd = pair_fwd_.as<std::int32_t>();
  if (options.with_mask) {
    mask_ = on_device(context, masks_of(kv, input_row));
    view_.mask = mask_.as<std::uint32_t>();
  }
  if (options.shuffled) {
    std::vector<std::int32_t> order(static_cast<std::size_t>(num_out));
    std::iota(order.begin(), order.end(), 0);
    std::mt19937_64 random(7);
    std::shuffle(order.begin(), order.end(), random);
    argsort_ = on_device(context, order);
    view_.mask_argsort[0] = argsort_.as<std::int32_t>();
  }
  count_ = Buffer(context, sizeof(std::int32_t));
  set_count(context, num_out);
  view_.device_num_out = count_.as<std::int32_t>();
}

void DeviceMap::set_count(Context& context, std::int32_t num_out) {
  count_.upload(context, &num_out, sizeof num_out);
}

std::vector<std::uint8_t> run_on_device(Context& context, const LayerCase& c, const DeviceMap& map,
                                        const DeviceRun& o) {
  const ImplicitGemmDesc& d = c.desc;
  Context forced({.device = context.device(), .stream = context.stream(), .kernels = {.force = o.kernel}});
  const auto in_size = static_cast<std::int64_t>(size_of(d.in_dtype));
  const auto out_size = static_cast<std::int64_t>(size_of(d.out_dtype));
  const ImplicitGemm plan = d.in_dtype == DType::kInt8
                                ? ImplicitGemm(forced, d, std::span<const std::int8_t>(c.weights), c.epilogue)
                                : ImplicitGemm(forced, d, std::span<const float>(c.weights_f32), c.epilogue);
  const IndicePairsView& pairs = map.view();
  const std::int64_t in_stride = d.c_in + o.in_padding;
  const std::int64_t out_stride = d.c_out + o.out_padding;
  const HostOperand features = operand(d.in_dtype, c.features, c.features_f32);
  const HostOperand added = operand(d.out_dtype, c.residual, c.residual_f32);
  const Buffer in = on_device(context, strided(features.data, c.n_in, d.c_in * in_size, in_stride * in_size));
  std::vector<std::uint8_t> raw(static_cast<std::size_t>(pairs.num_out * out_stride * out_size), kPoison);
  std::vector<std::uint8_t> residual_host = raw;
  if (d.has_residual) {
    const std::int64_t rows = static_cast<std::int64_t>(c.residual.size()) / d.c_out;
    const auto filled = strided(added.data, rows, d.c_out * out_size, out_stride * out_size);
    std::copy(filled.begin(), filled.end(), residual_host.begin());
    if (o.residual_in_place) raw = residual_host;
  }
  const Buffer residual = on_device(context, residual_host);
  Buffer out = on_device(context, raw);
  Buffer workspace(context, std::max<std::size_t>(plan.workspace_bytes(c.n_in, pairs.num_out), 256));
  FeatureView res_view{};
  if (d.has_residual) res_view = {residual.data(), d.out_dtype, pairs.num_out, d.c_out, out_stride};
  if (o.residual_in_place) res_view.data = out.data();
  const Status status = plan.run(forced, pairs, {in.data(), d.in_dtype, c.n_in, d.c_in, in_stride}, res_view,
                                 {out.data(), d.out_dtype, pairs.num_out, d.c_out, out_stride},
                                 {workspace.data(), workspace.bytes()});
  EXPECT_TRUE(status.ok()) << to_string(status);
  const Status done = forced.synchronize();
  EXPECT_TRUE(done.ok()) << to_string(done);
  out.download(context, raw.data(), raw.size());
  return raw;
}

std::vector<std::uint8_t> written_rows(std::span<const std::uint8_t> raw, std::int32_t num_out,
                                       std::int64_t row_bytes, std::int64_t stride_bytes) {
  std::vector<std::uint8_t> tight;
  std::int64_t spoilt = 0;
  for (std::int64_t b = 0; b < static_cast<std::int64_t>(raw.size()); ++b) {
    const std::uint8_t byte = raw[static_cast<std::size_t>(b)];
    if (b / stride_bytes < num_out && b % stride_bytes < row_bytes) {
      tight.push_back(byte);
    } else {
      spoilt += byte != kPoison ? 1 : 0;
    }
  }
  EXPECT_EQ(spoilt, 0) << "bytes outside the valid rows were written";
  return tight;
}

std::vector<std::string> device_rows(const Context& context, const ImplicitGemmProblem& problem) {
  std::vector<std::string> names;
  for (const ImplicitGemmKernel& row : implicit_gemm_kernels()) {
    if (row.isa >= Isa::kSm80 && context.supports(row.isa) && row.rejects(problem) == nullptr) {
      names.emplace_back(row.name);
    }
  }
  return names;
}

}  // namespace voxgemm::test
