#include "voxgemm/sparse_tensor.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "coords/coordinate_key.h"
#include "core/check.h"
#include "core/extents.h"
#include "core/named_buffer.h"
#include "core/parallel.h"

namespace voxgemm {
namespace {

constexpr std::int64_t kRowGrain = 16384;
constexpr std::int64_t kSiteBlock = 16384;  // sites of a dense array that one task looks through

std::string row_text(const std::int32_t* row, int ndim) {
  std::string text = "(";
  for (int a = 0; a <= ndim; ++a) text += fmt::format("{}{}", a == 0 ? "" : ", ", row[a]);
  return text + ")";
}

// Keys of all rows; throws for the first row that lies outside.
std::vector<std::int64_t> keys_of(Context& context, const SparseTensorView& tensor) {
  const std::int64_t stride = 1 + tensor.spatial_shape.ndim;
  std::vector<std::int64_t> keys(static_cast<std::size_t>(tensor.num_voxels));
  std::atomic<std::int64_t> first_bad{std::numeric_limits<std::int64_t>::max()};
  parallel_for(context, 0, tensor.num_voxels, kRowGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const std::int64_t key =
          coordinate_key(tensor.indices + r * stride, tensor.spatial_shape, tensor.batch_size);
      keys[static_cast<std::size_t>(r)] = key;
      if (key >= 0) continue;
      std::int64_t seen = first_bad.load();
      while (r < seen && !first_bad.compare_exchange_weak(seen, r)) {
      }
      return;
    }
  });
  if (const std::int64_t r = first_bad.load(); r < tensor.num_voxels) {
    throw Error(ErrorCode::kOutOfRange,
                fmt::format("row {}: {} lies outside batch {} of {}", r,
                            row_text(tensor.indices + r * stride, tensor.spatial_shape.ndim),
                            tensor.batch_size, axes_text(tensor.spatial_shape)));
  }
  return keys;
}

// Throws for the first row whose key occurred before.
void check_unique(const std::vector<std::int64_t>& keys, const SparseTensorView& tensor) {
  if (std::adjacent_find(keys.begin(), keys.end(), std::greater_equal<>()) == keys.end())
    return;  // ascending
  std::vector<std::pair<std::int64_t, std::int32_t>> sorted(keys.size());
  for (std::size_t r = 0; r < keys.size(); ++r) sorted[r] = {keys[r], static_cast<std::int32_t>(r)};
  std::sort(sorted.begin(), sorted.end());
  std::int32_t later = std::numeric_limits<std::int32_t>::max();
  std::int32_t earlier = 0;
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i].first != sorted[i - 1].first || sorted[i].second >= later) continue;
    later = sorted[i].second;
    earlier = sorted[i - 1].second;
  }
  if (later == std::numeric_limits<std::int32_t>::max()) return;
  const std::int64_t stride = 1 + tensor.spatial_shape.ndim;
  throw Error(ErrorCode::kDuplicate,
              fmt::format("row {}: {} occurred before, in row {}", later,
                          row_text(tensor.indices + later * stride, tensor.spatial_shape.ndim), earlier));
}

template <typename T>
bool any_nonzero(const T* values, std::int32_t channels) {
  return std::any_of(values, values + channels, [](T v) { return v != T{}; });
}

bool is_active(const void* dense, std::int64_t site, std::int32_t channels, DType dtype) {
  const std::int64_t at = site * channels;
  switch (dtype) {
    case DType::kInt8:
      return any_nonzero(static_cast<const std::int8_t*>(dense) + at, channels);
    case DType::kInt32:
      return any_nonzero(static_cast<const std::int32_t*>(dense) + at, channels);
    case DType::kFloat32:
      return any_nonzero(static_cast<const float*>(dense) + at, channels);
    case DType::kFloat16: {
      const auto* half = static_cast<const Half*>(dense) + at;
      return std::any_of(half, half + channels, [](Half h) { return (h.bits & 0x7FFFU) != 0; });
    }
  }
  return false;
}

// fn(block, first site, end site) for every block of sites, in parallel.
template <typename Fn>
void for_site_blocks(Context& context, std::int64_t sites, Fn fn) {
  const std::int64_t blocks = (sites + kSiteBlock - 1) / kSiteBlock;
  parallel_each(context, blocks, [&](std::int64_t b) {
    fn(static_cast<std::size_t>(b), b * kSiteBlock, std::min(sites, (b + 1) * kSiteBlock));
  });
}

// Active sites before each block of sites; the last entry counts them all.
std::vector<std::int64_t> active_before(Context& context, const void* dense, std::int64_t sites,
                                        std::int32_t channels, DType dtype) {
  std::vector<std::int64_t> before(static_cast<std::size_t>((sites + kSiteBlock - 1) / kSiteBlock) + 1, 0);
  for_site_blocks(context, sites, [&](std::size_t block, std::int64_t begin, std::int64_t end) {
    std::int64_t count = 0;
    for (std::int64_t site = begin; site < end; ++site) {
      count += is_active(dense, site, channels, dtype) ? 1 : 0;
    }
    before[block + 1] = count;
  });
  std::partial_sum(before.begin(), before.end(), before.begin());
  return before;
}

}  // namespace

void validate_shape(const SparseTensorView& tensor) {
  check_extents(tensor.spatial_shape, tensor.batch_size);
  const FeatureView& f = tensor.features;
  if (tensor.capacity < 0) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("capacity is {}, must be >= 0", tensor.capacity));
  }
  if (f.channels < 0 || f.stride < f.channels) {
    throw Error(ErrorCode::kShape,
                fmt::format("features have {} channels and row stride {}", f.channels, f.stride));
  }
  const bool counted_on_device = tensor.device_num_voxels != nullptr;
  if (!counted_on_device && (tensor.num_voxels < 0 || tensor.num_voxels > tensor.capacity)) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("num_voxels is {}, allowed 0 to capacity {}",
                                                         tensor.num_voxels, tensor.capacity));
  }
  if ((counted_on_device ? tensor.capacity : tensor.num_voxels) == 0) return;
  check(tensor.indices != nullptr, ErrorCode::kInvalidArgument, "indices are null");
  check(f.channels == 0 || f.data != nullptr, ErrorCode::kInvalidArgument, "features are null");
}

void validate(Context& context, const SparseTensorView& tensor) {
  validate_shape(tensor);
  check(tensor.device_num_voxels == nullptr, ErrorCode::kInvalidArgument,
        "validate() reads host memory, this tensor is counted on the device");
  check_unique(keys_of(context, tensor), tensor);
}

SparseTensor::SparseTensor(Context& context, const Dims& spatial_shape, std::int32_t batch_size,
                           std::int32_t capacity, std::int32_t channels, DType dtype, std::int64_t stride)
    : spatial_shape_(spatial_shape),
      batch_size_(batch_size),
      capacity_(capacity),
      channels_(channels),
      stride_(stride == 0 ? channels : stride),
      dtype_(dtype) {
  check_extents(spatial_shape, batch_size);
  if (capacity < 0) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("capacity is {}, must be >= 0", capacity));
  }
  if (channels < 1 || stride_ < channels) {
    throw Error(ErrorCode::kShape, fmt::format("{} channels with row stride {}: need 1 <= channels <= stride",
                                               channels, stride_));
  }
  const auto rows = static_cast<std::size_t>(capacity);
  const auto what = [&] {
    return fmt::format("sparse tensor of capacity {}, {} channels and row stride {}", capacity, channels,
                       stride_);
  };
  indices_ = named_buffer(
      context, rows * static_cast<std::size_t>(1 + spatial_shape.ndim) * sizeof(std::int32_t), what);
  features_ = named_buffer(context, rows * static_cast<std::size_t>(stride_) * size_of(dtype), what);
}

SparseTensor SparseTensor::from_host(Context& context, const Dims& spatial_shape, std::int32_t batch_size,
                                     std::span<const std::int32_t> indices, const void* features,
                                     std::int32_t channels, DType dtype, std::int32_t capacity, float scale) {
  check_extents(spatial_shape, batch_size);
  const auto columns = static_cast<std::size_t>(1 + spatial_shape.ndim);
  if (indices.size() % columns != 0 || indices.size() / columns > std::numeric_limits<std::int32_t>::max()) {
    throw Error(ErrorCode::kShape,
                fmt::format("{} index values are not rows of {}", indices.size(), columns));
  }
  const auto n = static_cast<std::int32_t>(indices.size() / columns);
  if (capacity == 0) capacity = n;
  if (capacity < n) {
    throw Error(ErrorCode::kCapacity, fmt::format("{} rows do not fit capacity {}", n, capacity));
  }
  SparseTensor tensor(context, spatial_shape, batch_size, capacity, channels, dtype);
  SparseTensorView host = tensor.view();
  host.indices = indices.data();
  host.features.data = features;
  host.num_voxels = n;
  validate(context, host);
  tensor.indices_.upload(context, indices.data(), indices.size_bytes());
  tensor.features_.upload(context, features,
                          static_cast<std::size_t>(n) * static_cast<std::size_t>(channels) * size_of(dtype));
  tensor.num_voxels_ = n;
  tensor.scale_ = scale;
  return tensor;
}

SparseTensor SparseTensor::from_dense(Context& context, const Dims& spatial_shape, std::int32_t batch_size,
                                      const void* dense, std::int32_t channels, DType dtype) {
  check_extents(spatial_shape, batch_size);
  check(dense != nullptr, ErrorCode::kInvalidArgument, "the dense array is null");
  if (channels < 1) throw Error(ErrorCode::kShape, fmt::format("{} channels, must be >= 1", channels));
  const std::int64_t sites = spatial_shape.product() * batch_size;
  const std::size_t row_bytes = static_cast<std::size_t>(channels) * size_of(dtype);
  const auto columns = static_cast<std::size_t>(1 + spatial_shape.ndim);
  const std::vector<std::int64_t> rows_before = active_before(context, dense, sites, channels, dtype);
  const std::int64_t rows = rows_before.back();
  if (rows > std::numeric_limits<std::int32_t>::max()) {
    throw Error(ErrorCode::kCapacity,
                fmt::format("{} active sites, limit {}", rows, std::numeric_limits<std::int32_t>::max()));
  }
  std::vector<std::int32_t> indices(static_cast<std::size_t>(rows) * columns);
  std::vector<std::byte> features(static_cast<std::size_t>(rows) * row_bytes);
  for_site_blocks(context, sites, [&](std::size_t block, std::int64_t begin, std::int64_t end) {
    auto row = static_cast<std::size_t>(rows_before[block]);
    for (std::int64_t site = begin; site < end; ++site) {
      if (!is_active(dense, site, channels, dtype)) continue;
      coordinate_of_key(site, spatial_shape, indices.data() + row * columns);
      std::memcpy(features.data() + row * row_bytes,
                  static_cast<const std::byte*>(dense) + static_cast<std::size_t>(site) * row_bytes,
                  row_bytes);
      ++row;
    }
  });
  return from_host(context, spatial_shape, batch_size, indices, features.data(), channels, dtype);
}

SparseTensorView SparseTensor::view() const noexcept {
  return {.indices = indices(),
          .features = {features_.data(), dtype_, num_voxels_, channels_, stride_, scale_},
          .spatial_shape = spatial_shape_,
          .batch_size = batch_size_,
          .capacity = capacity_,
          .num_voxels = num_voxels_};
}

FeatureSpan SparseTensor::feature_span() noexcept {
  return {features_.data(), dtype_, capacity_, channels_, stride_, scale_};
}

void SparseTensor::set_num_voxels(std::int32_t n) {
  if (n < 0 || n > capacity_) {
    throw Error(ErrorCode::kCapacity, fmt::format("num_voxels {} is not in 0 to capacity {}", n, capacity_));
  }
  num_voxels_ = n;
}

}  // namespace voxgemm
