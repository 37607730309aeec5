#include "calibration/host_value.h"

#include <cstring>

#include "core/cuda_device.h"

namespace voxgemm {
namespace {

float element(const std::byte* at, DType dtype, float scale) {
  if (dtype == DType::kInt8) return static_cast<float>(*reinterpret_cast<const std::int8_t*>(at)) * scale;
  if (dtype == DType::kFloat16) return to_float(*reinterpret_cast<const Half*>(at));
  return *reinterpret_cast<const float*>(at);
}

}  // namespace

void copy_to_host(Context& context, void* host, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  if (context.device().kind == DeviceKind::kCuda) {
    cuda::copy_to_host(host, from, bytes, context.stream());
  } else {
    std::memcpy(host, from, bytes);
  }
}

std::int32_t count_rows(Context& context, const SparseTensorView& view) {
  std::int32_t rows = view.num_voxels;
  if (view.device_num_voxels != nullptr) copy_to_host(context, &rows, view.device_num_voxels, sizeof rows);
  return rows;
}

HostValue read_rows(Context& context, const FeatureView& features, std::int32_t rows) {
  HostValue host;
  host.channels = features.channels;
  if (rows <= 0) return host;
  const std::size_t item = size_of(features.dtype);
  // What lies behind the last row's channels need not exist.
  const std::int64_t elements = (rows - std::int64_t{1}) * features.stride + features.channels;
  std::vector<std::byte> bytes(static_cast<std::size_t>(elements) * item);
  copy_to_host(context, bytes.data(), features.data, bytes.size());
  const std::size_t total = static_cast<std::size_t>(rows) * static_cast<std::size_t>(features.channels);
  host.real.reserve(total);
  if (features.dtype == DType::kInt8) host.stored.reserve(total);
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t c = 0; c < features.channels; ++c) {
      const std::byte* at = bytes.data() + static_cast<std::size_t>(row * features.stride + c) * item;
      host.real.push_back(element(at, features.dtype, features.scale));
      if (features.dtype == DType::kInt8) host.stored.push_back(*reinterpret_cast<const std::int8_t*>(at));
    }
  }
  return host;
}

}  // namespace voxgemm
