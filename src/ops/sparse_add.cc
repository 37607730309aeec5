#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "coords/coordinate_key.h"
#include "core/cuda_device.h"
#include "core/extents.h"
#include "ops/dispatch.h"
#include "voxgemm/operators.h"

namespace voxgemm {
namespace {

constexpr std::int64_t kRowGrain = 4096;

// An operand in host memory, its rows in ascending key order.
struct Operand {
  std::vector<std::int32_t> host_indices;
  std::vector<std::byte> host_features;
  SparseTensorView view;
  std::vector<std::pair<std::int64_t, std::int32_t>> sorted;  // key, row

  [[nodiscard]] float value(std::int32_t row, std::int32_t channel) const {
    const std::int64_t at = row * view.features.stride + channel;
    switch (view.features.dtype) {
      case DType::kInt8:
        return static_cast<const std::int8_t*>(view.features.data)[at];
      case DType::kFloat16:
        return to_float(static_cast<const Half*>(view.features.data)[at]);
      default:
        return static_cast<const float*>(view.features.data)[at];
    }
  }
};

void download(Context& context, Operand& operand) {
  SparseTensorView& v = operand.view;
  if (v.device_num_voxels != nullptr) {
    cuda::copy_to_host(&v.num_voxels, v.device_num_voxels, sizeof(std::int32_t), context.stream());
    v.device_num_voxels = nullptr;
    v.num_voxels = std::clamp(v.num_voxels, 0, v.capacity);
  }
  const auto rows = static_cast<std::size_t>(v.num_voxels);
  if (rows == 0) return;
  operand.host_indices.resize(rows * static_cast<std::size_t>(1 + v.spatial_shape.ndim));
  operand.host_features.resize(rows * static_cast<std::size_t>(v.features.stride) *
                               size_of(v.features.dtype));
  cuda::copy_to_host(operand.host_indices.data(), v.indices, operand.host_indices.size() * 4,
                     context.stream());
  cuda::copy_to_host(operand.host_features.data(), v.features.data, operand.host_features.size(),
                     context.stream());
  v.indices = operand.host_indices.data();
  v.features.data = operand.host_features.data();
}

Operand make_operand(Context& context, const SparseTensorView& view) {
  validate_shape(view);
  if (view.features.dtype == DType::kInt32) throw Error(ErrorCode::kDType, "sparse_add does not take int32");
  Operand operand;
  operand.view = view;
  if (context.device().kind == DeviceKind::kCuda) download(context, operand);
  validate(context, operand.view);
  const std::int64_t stride = 1 + view.spatial_shape.ndim;
  operand.sorted.resize(static_cast<std::size_t>(operand.view.num_voxels));
  parallel_for(context, 0, operand.view.num_voxels, kRowGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      operand.sorted[static_cast<std::size_t>(r)] = {
          coordinate_key(operand.view.indices + r * stride, view.spatial_shape, view.batch_size),
          static_cast<std::int32_t>(r)};
    }
  });
  if (!std::is_sorted(operand.sorted.begin(), operand.sorted.end())) {
    std::sort(operand.sorted.begin(), operand.sorted.end());
  }
  return operand;
}

struct Site {
  std::int64_t key;
  std::int32_t a_row;  // -1: not there
  std::int32_t b_row;
};

std::vector<Site> unite(const Operand& a, const Operand& b) {
  std::vector<Site> sites;
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < a.sorted.size() || j < b.sorted.size()) {
    const bool has_a =
        i < a.sorted.size() && (j == b.sorted.size() || a.sorted[i].first <= b.sorted[j].first);
    const bool has_b =
        j < b.sorted.size() && (i == a.sorted.size() || b.sorted[j].first <= a.sorted[i].first);
    sites.push_back({has_a ? a.sorted[i].first : b.sorted[j].first, has_a ? a.sorted[i].second : -1,
                     has_b ? b.sorted[j].second : -1});
    i += has_a ? 1 : 0;
    j += has_b ? 1 : 0;
  }
  return sites;
}

void store(float t, DType dtype, void* out, std::size_t at) {
  switch (dtype) {
    case DType::kInt8:
      static_cast<std::int8_t*>(out)[at] = saturate_int8(t);
      break;
    case DType::kFloat16:
      static_cast<Half*>(out)[at] = to_half(t);
      break;
    default:
      static_cast<float*>(out)[at] = t;
      break;
  }
}

struct Factors {
  float a;
  float b;
};

// One row of the result.
void add_site(const Operand& a, const Operand& b, const Site& site, Factors factors, DType dtype, void* out) {
  for (std::int32_t c = 0; c < a.view.features.channels; ++c) {
    float t = site.a_row >= 0 ? factors.a * a.value(site.a_row, c) : 0.0F;
    if (site.b_row >= 0) {
      const float value = b.value(site.b_row, c);
      t = site.a_row >= 0 ? fmaf(factors.b, value, t) : factors.b * value;
    }
    store(t, dtype, out, static_cast<std::size_t>(c));
  }
}

void check_operands(const SparseTensorView& a, const SparseTensorView& b, DType out_dtype) {
  if (a.spatial_shape != b.spatial_shape || a.batch_size != b.batch_size ||
      a.features.channels != b.features.channels || a.features.channels < 1) {
    throw Error(ErrorCode::kShape,
                fmt::format("sparse_add operands differ: batch {} of {} with {} channels, batch {} of {} "
                            "with {} channels",
                            a.batch_size, axes_text(a.spatial_shape), a.features.channels, b.batch_size,
                            axes_text(b.spatial_shape), b.features.channels));
  }
  if (out_dtype == DType::kInt32) throw Error(ErrorCode::kDType, "sparse_add does not give int32");
}

}  // namespace

SparseTensor sparse_add(Context& context, const SparseTensorView& a, const SparseTensorView& b,
                        float a_factor, float b_factor, DType out_dtype, float out_scale) {
  check_operands(a, b, out_dtype);
  if (!ops::is_finite(a_factor) || !ops::is_finite(b_factor)) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("sparse_add factors are {} and {}, must be finite", a_factor, b_factor));
  }
  if (out_dtype == DType::kInt8 && !ops::is_scale(out_scale)) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("sparse_add out_scale is {}, must be finite and at least {}", out_scale, kLeastScale));
  }
  const Operand left = make_operand(context, a);
  const Operand right = make_operand(context, b);
  const std::vector<Site> sites = unite(left, right);
  const std::int32_t channels = a.features.channels;
  const auto columns = static_cast<std::size_t>(1 + a.spatial_shape.ndim);
  std::vector<std::int32_t> indices(sites.size() * columns);
  const std::size_t row_bytes = static_cast<std::size_t>(channels) * size_of(out_dtype);
  std::vector<std::byte> features(sites.size() * row_bytes);
  parallel_for(
      context, 0, static_cast<std::int64_t>(sites.size()), kRowGrain,
      [&](std::int64_t begin, std::int64_t end) {
        for (auto r = static_cast<std::size_t>(begin); r < static_cast<std::size_t>(end); ++r) {
          coordinate_of_key(sites[r].key, a.spatial_shape, indices.data() + r * columns);
          add_site(left, right, sites[r], {a_factor, b_factor}, out_dtype, features.data() + r * row_bytes);
        }
      });
  return SparseTensor::from_host(context, a.spatial_shape, a.batch_size, indices, features.data(), channels,
                                 out_dtype, 0, out_scale);
}

}  // namespace voxgemm
