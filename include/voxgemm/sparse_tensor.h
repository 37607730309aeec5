// Sparse tensors: a list of active sites and one feature row for each.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "voxgemm/context.h"
#include "voxgemm/error.h"
#include "voxgemm/types.h"

namespace voxgemm {

/// Borrowed sparse tensor. Rows [0, num_voxels) are valid; rows up to `capacity` may hold anything
/// and are never read. Spatial axes are outermost first and match the columns of `indices`.
struct SparseTensorView {
  const std::int32_t* indices = nullptr;  ///< [capacity][1 + ndim] int32, batch first
  FeatureView features{};                 ///< [capacity][channels]; `rows` equals num_voxels
  Dims spatial_shape{};
  std::int32_t batch_size = 1;
  std::int32_t capacity = 0;
  std::int32_t num_voxels = 0;                      ///< host count; ignored when device_num_voxels is set
  const std::int32_t* device_num_voxels = nullptr;  ///< one int32 on the device (CUDA), else null
};

/// Validates shape fields: 1..4 axes, every extent >= 1, batch >= 1, key (batch * product) < 2^63,
/// 0 <= num_voxels <= capacity, pointers present when num_voxels > 0 (features.channels 0: indices alone).
/// Throws Error.
VOXGEMM_API void validate_shape(const SparseTensorView& tensor);

/// validate_shape, then every coordinate: kOutOfRange names the first row whose batch or position lies
/// outside, kDuplicate the first row whose coordinate occurred before (and that earlier row).
/// O(n log n), host memory; run it where data enters the program.
VOXGEMM_API void validate(Context& context, const SparseTensorView& tensor);

/// Owning sparse tensor on the context's device. Move-only.
class VOXGEMM_API SparseTensor {
 public:
  SparseTensor() = default;
  /// Uninitialised rows; num_voxels starts at 0. `stride` 0 means channels.
  SparseTensor(Context& context, const Dims& spatial_shape, std::int32_t batch_size, std::int32_t capacity,
               std::int32_t channels, DType dtype, std::int64_t stride = 0);

  /// Copies rows from host memory and validates them.
  /// indices [n][1+ndim]; features n*channels elements of `dtype`; capacity 0 means n.
  static SparseTensor from_host(Context& context, const Dims& spatial_shape, std::int32_t batch_size,
                                std::span<const std::int32_t> indices, const void* features,
                                std::int32_t channels, DType dtype, std::int32_t capacity = 0,
                                float scale = 1.0F);

  /// Active sites of a dense NDHWC-style array [batch][*spatial][channels] in host memory: a site is active
  /// when any channel is non-zero. Ascending linear key. Throws kShape, kCapacity beyond 2^31 - 1 active
  /// sites.
  static SparseTensor from_dense(Context& context, const Dims& spatial_shape, std::int32_t batch_size,
                                 const void* dense, std::int32_t channels, DType dtype);

  [[nodiscard]] SparseTensorView view() const noexcept;
  [[nodiscard]] std::int32_t* indices() const noexcept { return indices_.as<std::int32_t>(); }
  [[nodiscard]] void* features() const noexcept { return features_.data(); }
  [[nodiscard]] FeatureSpan feature_span() noexcept;
  [[nodiscard]] std::int32_t num_voxels() const noexcept { return num_voxels_; }
  [[nodiscard]] std::int32_t capacity() const noexcept { return capacity_; }
  void set_num_voxels(std::int32_t n);  ///< throws kCapacity beyond capacity
  void set_scale(float scale) noexcept { scale_ = scale; }

 private:
  Buffer indices_;
  Buffer features_;
  Dims spatial_shape_{};
  std::int32_t batch_size_ = 1;
  std::int32_t capacity_ = 0;
  std::int32_t num_voxels_ = 0;
  std::int32_t channels_ = 0;
  std::int64_t stride_ = 0;
  DType dtype_ = DType::kFloat32;
  float scale_ = 1.0F;
};

}  // namespace voxgemm
