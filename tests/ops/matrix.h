// Matrices with a row stride and guarded surroundings, random values that include the awkward ones, and the
// CPU rows of a kernel table that this machine can run.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "voxgemm/context.h"
#include "voxgemm/types.h"

namespace voxgemm::test {

template <typename T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, std::int8_t>) return DType::kInt8;
  if constexpr (std::is_same_v<T, float>) return DType::kFloat32;
  return DType::kFloat16;
}

inline float as_float(float x) { return x; }
inline float as_float(Half x) { return to_float(x); }
inline float as_float(std::int8_t x) { return static_cast<float>(x); }

/// [rows][stride] between two guards; every byte starts as 0x5A.
template <typename T>
class Matrix {
 public:
  Matrix(std::int32_t rows, std::int32_t channels, std::int64_t stride)
      : rows_(rows), channels_(channels), stride_(stride) {
    bytes_.assign(2 * kGuard + static_cast<std::size_t>(rows * stride) * sizeof(T), 0x5A);
  }
  T* data() { return reinterpret_cast<T*>(bytes_.data() + kGuard); }
  T& at(std::int64_t row, std::int64_t channel) { return data()[row * stride_ + channel]; }
  FeatureSpan span() { return {data(), dtype_of<T>(), rows_, channels_, stride_, 1.0F}; }
  FeatureView view() { return span(); }
  [[nodiscard]] const std::vector<unsigned char>& bytes() const { return bytes_; }
  /// True when guards, and columns from `from` on of every row, still hold 0x5A.
  [[nodiscard]] bool untouched_from(std::int64_t from) const {
    const std::size_t row_bytes = static_cast<std::size_t>(stride_) * sizeof(T);
    const std::size_t end = kGuard + static_cast<std::size_t>(rows_) * row_bytes;
    for (std::size_t i = 0; i < bytes_.size(); ++i) {
      const bool written =
          i >= kGuard && i < end && (i - kGuard) % row_bytes < static_cast<std::size_t>(from) * sizeof(T);
      if (!written && bytes_[i] != 0x5A) return false;
    }
    return true;
  }

 private:
  static constexpr std::size_t kGuard = 256;
  std::int32_t rows_;
  std::int32_t channels_;
  std::int64_t stride_;
  std::vector<unsigned char> bytes_;
};

/// Mostly normal values of size `spread`; in float types also NaN, infinities, zeros, halves and extremes.
template <typename T>
void fill(Matrix<T>& m, const FeatureView& shape, unsigned seed, float spread = 60.0F) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kMax = std::numeric_limits<float>::max();
  constexpr std::array kAwkward{0.0F,
                                -0.0F,
                                0.5F,
                                -0.5F,
                                1.5F,
                                2.5F,
                                127.5F,
                                -128.5F,
                                126.5F,
                                1e-42F,
                                -1e-42F,
                                kInf,
                                -kInf,
                                kMax,
                                -kMax,
                                65520.F,
                                std::numeric_limits<float>::quiet_NaN()};
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, spread);
  for (std::int64_t r = 0; r < shape.rows; ++r) {
    for (std::int64_t c = 0; c < shape.channels; ++c) {
      if constexpr (std::is_same_v<T, std::int8_t>) {
        m.at(r, c) = static_cast<std::int8_t>(random() & 0xFFU);
      } else {
        const float v = random() % 4 == 0 ? kAwkward[random() % kAwkward.size()] : normal(random);
        if constexpr (std::is_same_v<T, Half>) {
          m.at(r, c) = to_half(v);
        } else {
          m.at(r, c) = v;
        }
      }
    }
  }
}

/// Contexts that force each CPU row of a table that runs here, beside its name.
template <typename Kernel>
std::vector<std::string> runnable_rows(std::span<const Kernel> table) {
  const Context context({.threads = 1});
  std::vector<std::string> names;
  for (const Kernel& row : table) {
    if (row.isa >= Isa::kSm80) continue;
    if (context.supports(row.isa)) {
      names.emplace_back(row.name);
    } else {
      GTEST_LOG_(INFO) << "not run: " << row.name << ", this machine lacks " << to_string(row.isa);
    }
  }
  return names;
}

inline Context forced(const std::string& name, std::int32_t threads = 1) {
  return Context({.threads = threads, .kernels = {.force = name}});
}

}  // namespace voxgemm::test
