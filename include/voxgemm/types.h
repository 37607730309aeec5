// Vocabulary types of voxgemm. Everything here is a small value; nothing owns memory.
//
// Of the whole library: an object that was moved from may only be destroyed or assigned to; pointers of views
// are trusted to reach as far as their counts say; null pointers, counts and types are checked.
#pragma once

#if defined(_MSVC_LANG) ? _MSVC_LANG < 202002L : __cplusplus < 202002L
#error "voxgemm needs C++20: compile with -std=c++20 (MSVC: /std:c++20)"
#endif

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#if defined(_WIN32)
#define VOXGEMM_API
#else
#define VOXGEMM_API __attribute__((visibility("default")))
#endif

#if defined(__CUDACC__)
#define VOXGEMM_HOST_DEVICE __host__ __device__
#else
#define VOXGEMM_HOST_DEVICE
#endif

namespace voxgemm {

/// Element type of a feature matrix.
enum class DType : std::uint8_t { kInt8, kInt32, kFloat16, kFloat32 };

/// Bytes of one element.
constexpr std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kInt8:
      return 1;
    case DType::kFloat16:
      return 2;
    case DType::kInt32:
    case DType::kFloat32:
      return 4;
  }
  return 0;
}

VOXGEMM_API std::string_view to_string(DType dtype);

/// Where bytes live and where kernels run.
enum class DeviceKind : std::uint8_t { kCpu, kCuda };

struct Device {
  DeviceKind kind = DeviceKind::kCpu;
  std::int32_t index = 0;  ///< CUDA ordinal; 0 for the CPU

  static constexpr Device cpu() { return {}; }
  static constexpr Device cuda(std::int32_t index = 0) { return {DeviceKind::kCuda, index}; }
  friend constexpr bool operator==(const Device&, const Device&) = default;
};

VOXGEMM_API std::string to_string(Device device);

/// Instruction set a kernel row needs, worst to best within a device. CUDA: kSm80 from compute capability 7.5
/// on, kSm90 on 9.0.
enum class Isa : std::uint8_t { kScalar, kAvx2, kAvx512, kAvx512Vnni, kAmxInt8, kSm80, kSm90 };

VOXGEMM_API std::string_view to_string(Isa isa);

/// Largest number of spatial axes.
inline constexpr int kMaxDims = 4;

/// A value per spatial axis, outermost first (z,y,x in 3-D); 1 to 4 axes.
struct Dims {
  std::array<std::int32_t, kMaxDims> size{};
  std::int32_t ndim = 0;

  constexpr Dims() = default;
  constexpr Dims(std::initializer_list<std::int32_t> values) {
    for (std::int32_t v : values) {
      if (ndim < kMaxDims) size[static_cast<std::size_t>(ndim)] = v;
      ++ndim;  // more than kMaxDims is caught by validation, not cut silently
    }
  }
  /// The same value on each of `ndim` axes.
  static constexpr Dims filled(int ndim, std::int32_t value) {
    Dims d;
    d.ndim = ndim;
    for (int a = 0; a < ndim && a < kMaxDims; ++a) d.size[static_cast<std::size_t>(a)] = value;
    return d;
  }
  constexpr std::int32_t operator[](int axis) const { return size[static_cast<std::size_t>(axis)]; }
  constexpr std::int32_t& operator[](int axis) { return size[static_cast<std::size_t>(axis)]; }
  /// Product of all axes; the caller makes sure that it fits (validation does so for shapes).
  constexpr std::int64_t product() const {
    std::int64_t p = 1;
    for (int a = 0; a < ndim && a < kMaxDims; ++a) p *= size[static_cast<std::size_t>(a)];
    return p;
  }
  friend constexpr bool operator==(const Dims&, const Dims&) = default;
};

/// "[41, 1440, 1440]"
VOXGEMM_API std::string to_string(const Dims& dims);

/// IEEE binary16 at the boundary: stored, never computed with on the CPU.
struct Half {
  std::uint16_t bits = 0;
};
VOXGEMM_API float to_float(Half value);
VOXGEMM_API Half to_half(float value);  ///< round to nearest even; overflow gives infinity

/// Read-only feature matrix [rows][channels] of run-time type.
struct FeatureView {
  const void* data = nullptr;
  DType dtype = DType::kInt8;
  std::int32_t rows = 0;  ///< valid rows; on CUDA an upper bound, see SparseTensorView
  std::int32_t channels = 0;
  std::int64_t stride = 0;  ///< elements between rows, >= channels
  float scale = 1.0F;       ///< real value = scale * stored value (int8 only)
};

/// Writable feature matrix.
struct FeatureSpan {
  void* data = nullptr;
  DType dtype = DType::kInt8;
  std::int32_t rows = 0;
  std::int32_t channels = 0;
  std::int64_t stride = 0;
  float scale = 1.0F;

  constexpr operator FeatureView() const {  // NOLINT: a span reads as a view
    return {data, dtype, rows, channels, stride, scale};
  }
};

}  // namespace voxgemm
