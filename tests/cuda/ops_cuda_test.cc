// Proves: every operator gives on CUDA the bits that it gives on the CPU, for every element type that it
// takes (float16 against the scalar rows), odd channel counts, padded strides, and a row count that lies on
// the device; rows and columns that an operator does not own stay untouched; the dense scatter writes its
// whole output.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "tests/cuda/cuda_support.h"
#include "voxgemm/operators.h"

namespace voxgemm {
namespace {

using test::CudaTest;
using Bytes = std::vector<std::byte>;

struct Matrix {
  DType dtype = DType::kInt8;
  std::int32_t rows = 0;
  std::int32_t channels = 0;
  std::int64_t stride = 0;
  Bytes bytes;

  [[nodiscard]] FeatureView view(const void* data) const {
    return {data, dtype, rows, channels, stride, 1.0F};
  }
  [[nodiscard]] FeatureSpan span(void* data) const { return {data, dtype, rows, channels, stride, 1.0F}; }
};

// Ordinary values, ties, and the awkward ones.
float draw(std::mt19937& rng) {
  static constexpr float kSpecial[] = {0.0F,
                                       -0.0F,
                                       0.5F,
                                       1.5F,
                                       -2.5F,
                                       127.5F,
                                       -128.5F,
                                       1e30F,
                                       std::numeric_limits<float>::infinity(),
                                       -std::numeric_limits<float>::infinity(),
                                       std::numeric_limits<float>::quiet_NaN(),
                                       6e-8F,
                                       65519.0F};
  if (rng() % 16 == 0) return kSpecial[rng() % std::size(kSpecial)];
  return static_cast<float>(static_cast<std::int32_t>(rng() % 4001) - 2000) * 0.0625F;
}

Matrix random_matrix(std::mt19937& rng, DType dtype, std::int32_t rows, std::int32_t channels,
                     std::int64_t stride) {
  Matrix m{dtype, rows, channels, stride, {}};
  const auto count = static_cast<std::size_t>(rows) * static_cast<std::size_t>(stride);
  m.bytes.resize(count * size_of(dtype) + 1);
  for (std::size_t i = 0; i < count; ++i) {
    if (dtype == DType::kInt8) {
      m.bytes[i] = static_cast<std::byte>(rng());
    } else {
      test::put_float(dtype, draw(rng), m.bytes, i);
    }
  }
  return m;
}

/// Runs `op` on the CPU with all rows and on CUDA with the count on the device and a larger host bound, both
/// over the same initial bytes; the outputs must agree, all of them.
class BothDevices {
 public:
  BothDevices()
      : cpu_(ContextOptions{.threads = 1, .kernels = {.max_isa = Isa::kScalar}}),
        gpu_(test::cuda_context()) {}

  template <typename Op>
  void expect_same(const std::vector<Matrix>& inputs, const Matrix& initial, Op&& op) {
    Matrix host = initial;
    std::vector<FeatureView> views;
    for (const Matrix& m : inputs) views.push_back(m.view(m.bytes.data()));
    const Status a = op(cpu_, views, host.span(host.bytes.data()), static_cast<const std::int32_t*>(nullptr));
    ASSERT_TRUE(a.ok()) << to_string(a);
    std::vector<Buffer> buffers;
    views.clear();
    for (const Matrix& m : inputs) {
      buffers.push_back(test::upload(gpu_, m.bytes, m.bytes.size() + 65536));
      views.push_back(m.view(buffers.back().data()));
      views.back().rows += 8;  // an upper bound; the count below is the truth
    }
    Buffer out = test::upload(gpu_, initial.bytes, initial.bytes.size() + 65536);
    FeatureSpan span = initial.span(out.data());
    span.rows += 8;
    Buffer count = test::upload(gpu_, std::vector<std::int32_t>{inputs[0].rows});
    const Status b = op(gpu_, views, span, count.as<const std::int32_t>());
    ASSERT_TRUE(b.ok()) << to_string(b);
    ASSERT_TRUE(gpu_.synchronize().ok());
    const Bytes device = test::download(gpu_, out.data(), initial.bytes.size());
    expect_bits(host, device);
  }

  Context& cpu() { return cpu_; }
  Context& gpu() { return gpu_; }

  // Bit for bit; a NaN equals any NaN, because processors make different ones.
  static void expect_bits(const Matrix& host, const Bytes& device) {
    if (host.bytes == device) return;
    const std::size_t size = size_of(host.dtype);
    for (std::size_t i = 0; i < host.bytes.size() / size; ++i) {
      const std::byte* a = host.bytes.data() + i * size;
      const std::byte* b = device.data() + i * size;
      const bool same = std::memcmp(a, b, size) == 0 || (is_nan(host.dtype, a) && is_nan(host.dtype, b));
      ASSERT_TRUE(same) << "row " << i / static_cast<std::size_t>(host.stride) << " column "
                        << i % static_cast<std::size_t>(host.stride);
    }
  }

  static bool is_nan(DType dtype, const std::byte* element) {
    if (dtype == DType::kInt8) return false;
    float value = 0.0F;
    Half half;
    if (dtype == DType::kFloat32) {
      std::memcpy(&value, element, sizeof value);
    } else {
      std::memcpy(&half, element, sizeof half);
      value = to_float(half);
    }
    return std::isnan(value);
  }

 private:
  Context cpu_;
  Context gpu_;
};

struct Extent {
  std::int32_t rows;
  std::int32_t channels;
  std::int64_t in_stride;
  std::int64_t out_stride;
};
constexpr Extent kExtents[] = {{1, 1, 1, 1},        {7, 5, 5, 16},       {1000, 16, 16, 16}, {513, 3, 4, 7},
                               {64, 128, 128, 128}, {33, 257, 260, 300}, {0, 8, 8, 8}};
constexpr DType kTypes[] = {DType::kInt8, DType::kFloat32, DType::kFloat16};
constexpr DType kFloats[] = {DType::kFloat32, DType::kFloat16};

using OpsCuda = CudaTest;

/// A unary operator from matrices of type `from` to `to`, padded as the extent says.
template <typename Op>
void expect_same_unary(BothDevices& both, std::mt19937& rng, const Extent& e, DType from, DType to, Op op) {
  const Matrix in = random_matrix(rng, from, e.rows, e.channels, e.in_stride);
  both.expect_same({in}, random_matrix(rng, to, e.rows, e.channels, e.out_stride),
                   [&](Context& c, const auto& views, const FeatureSpan& out, const std::int32_t* n) {
                     return op(c, views[0], out, n);
                   });
}

TEST_F(OpsCuda, QuantizeFamilyEqualsCpu) {
  BothDevices both;
  std::mt19937 rng(1);
  constexpr DType q = DType::kInt8;
  for (const Extent& e : kExtents) {
    for (const DType f : kFloats) {
      expect_same_unary(both, rng, e, f, q, [](Context& c, const auto& in, const auto& out, const auto* n) {
        return quantize(c, in, 0.37F, out, n);
      });
      expect_same_unary(both, rng, e, q, f, [](Context& c, const auto& in, const auto& out, const auto* n) {
        return dequantize(c, in, 0.013F, out, n);
      });
    }
    expect_same_unary(both, rng, e, q, q, [](Context& c, const auto& in, const auto& out, const auto* n) {
      return requantize(c, in, 0.5F, 0.3F, out, n);
    });
    for (const DType from : kTypes) {
      for (const DType to : kTypes) {
        if (from != to && (from == q || to == q)) continue;
        expect_same_unary(both, rng, e, from, to,
                          [](Context& c, const auto& in, const auto& out, const auto* n) {
                            return convert(c, in, out, n);
                          });
      }
    }
  }
}

TEST_F(OpsCuda, ElementwiseEqualsCpu) {
  BothDevices both;
  std::mt19937 rng(2);
  for (const Extent& e : kExtents) {
    for (const DType type : kTypes) {
      const Matrix a = random_matrix(rng, type, e.rows, e.channels, e.in_stride);
      const Matrix b = random_matrix(rng, type, e.rows, e.channels, e.out_stride);
      for (const Activation activation : {Activation::kNone, Activation::kReLU}) {
        both.expect_same({a, b}, random_matrix(rng, type, e.rows, e.channels, e.out_stride),
                         [&](Context& c, const auto& in, const FeatureSpan& out, const std::int32_t* n) {
                           return add(c, in[0], in[1], 0.7F, 1.3F, activation, out, n);
                         });
      }
      both.expect_same({a}, random_matrix(rng, type, e.rows, e.channels, e.out_stride),
                       [](Context& c, const auto& in, const FeatureSpan& out, const std::int32_t* n) {
                         return relu(c, in[0], out, n);
                       });
    }
  }
}

TEST_F(OpsCuda, ConcatEqualsCpu) {
  BothDevices both;
  std::mt19937 rng(3);
  for (const DType type : kTypes) {
    const Matrix a = random_matrix(rng, type, 200, 5, 8);
    const Matrix b = random_matrix(rng, type, 200, 16, 16);
    const Matrix c = random_matrix(rng, type, 200, 1, 3);
    both.expect_same({a, b, c}, random_matrix(rng, type, 200, 22, 24),
                     [](Context& ctx, const auto& in, const FeatureSpan& out, const std::int32_t* n) {
                       return concat(ctx, in, out, n);
                     });
  }
}

TEST_F(OpsCuda, PoolingEqualsCpu) {
  BothDevices both;
  std::mt19937 rng(4);
  constexpr std::int32_t kv = 27;
  constexpr std::int32_t n_in = 300;
  for (const Extent& e : kExtents) {
    if (e.rows == 0) continue;
    std::vector<std::int32_t> table(static_cast<std::size_t>(kv) * static_cast<std::size_t>(e.rows + 8));
    for (std::size_t i = 0; i < table.size(); ++i) {
      const bool empty_row = i % static_cast<std::size_t>(e.rows + 8) == 3;
      table[i] = empty_row || rng() % 3 != 0 ? -1 : static_cast<std::int32_t>(rng() % n_in);
    }
    Buffer device_table = test::upload(both.gpu(), table);
    for (const DType type : kTypes) {
      Matrix in = random_matrix(rng, type, n_in, e.channels, e.in_stride);
      for (int mode = 0; mode < 3; ++mode) {
        const PoolOptions options{mode == 0 ? PoolKind::kAverage : PoolKind::kMax, mode == 2};
        both.expect_same({in}, random_matrix(rng, type, e.rows, e.channels, e.out_stride),
                         [&](Context& c, const auto& views, const FeatureSpan& out, const std::int32_t* n) {
                           IndicePairsView pairs;
                           pairs.kv = kv;
                           pairs.n_in = n_in;
                           pairs.num_out = e.rows;
                           pairs.pair_stride = e.rows + 8;
                           pairs.pair_fwd = n == nullptr ? table.data() : device_table.as<std::int32_t>();
                           return pool(c, pairs, views[0], options, out);
                         });
      }
    }
  }
}

std::vector<std::int32_t> random_indices(std::mt19937& rng, const Dims& shape, std::int32_t batch,
                                         std::int32_t rows) {
  std::vector<std::int64_t> cells(static_cast<std::size_t>(shape.product() * batch));
  for (std::size_t i = 0; i < cells.size(); ++i) cells[i] = static_cast<std::int64_t>(i);
  std::shuffle(cells.begin(), cells.end(), rng);
  std::vector<std::int32_t> indices;
  for (std::int32_t r = 0; r < rows; ++r) {
    std::int64_t rest = cells[static_cast<std::size_t>(r)];
    std::vector<std::int32_t> site(static_cast<std::size_t>(1 + shape.ndim));
    for (int a = shape.ndim - 1; a >= 0; --a) {
      site[static_cast<std::size_t>(1 + a)] = static_cast<std::int32_t>(rest % shape[a]);
      rest /= shape[a];
    }
    site[0] = static_cast<std::int32_t>(rest);
    indices.insert(indices.end(), site.begin(), site.end());
  }
  return indices;
}

SparseTensorView sparse(const Dims& shape, std::int32_t batch, const std::int32_t* indices,
                        const FeatureView& features, const std::int32_t* count) {
  SparseTensorView view;
  view.indices = indices;
  view.features = features;
  view.spatial_shape = shape;
  view.batch_size = batch;
  view.capacity = features.rows;
  view.num_voxels = features.rows;
  view.device_num_voxels = count;
  return view;
}

TEST_F(OpsCuda, GlobalPoolEqualsCpu) {
  BothDevices both;
  std::mt19937 rng(5);
  const Dims shape{6, 20, 20};
  for (const std::int32_t rows : {0, 1, 700, 1500}) {
    const std::vector<std::int32_t> indices = random_indices(rng, shape, 3, rows);
    Buffer device_indices = test::upload(both.gpu(), indices, indices.size() + 64);
    for (const DType type : kTypes) {
      for (const PoolKind kind : {PoolKind::kMax, PoolKind::kAverage}) {
        const Matrix in = random_matrix(rng, type, rows, 37, 40);
        both.expect_same({in}, random_matrix(rng, type, 3, 37, 37),
                         [&](Context& c, const auto& views, FeatureSpan out, const std::int32_t* n) {
                           out.rows = 3;
                           const std::int32_t* at =
                               n == nullptr ? indices.data() : device_indices.as<std::int32_t>();
                           return global_pool(c, sparse(shape, 3, at, views[0], n), kind, out);
                         });
      }
    }
  }
}

TEST_F(OpsCuda, ScatterDenseEqualsCpu) {
  BothDevices both;
  std::mt19937 rng(6);
  for (const Dims& shape : {Dims{40}, Dims{12, 30}, Dims{2, 25, 33}, Dims{2, 3, 9, 8}}) {
    for (const std::int32_t channels : {1, 17, 64}) {
      for (const DType type : kTypes) {
        for (const DenseLayout layout : {DenseLayout::kNCHW, DenseLayout::kNHWC, DenseLayout::kNCHWFoldLast,
                                         DenseLayout::kNHWCFoldLast}) {
          const auto rows = static_cast<std::int32_t>(shape.product());
          const std::vector<std::int32_t> indices = random_indices(rng, shape, 2, rows);
          Buffer device_indices = test::upload(both.gpu(), indices, indices.size() + 64);
          const Matrix in = random_matrix(rng, type, rows, channels, channels + 3);
          const auto elements = static_cast<std::int32_t>(dense_elements(shape, 2, channels));
          both.expect_same({in}, random_matrix(rng, type, elements, 1, 1),
                           [&](Context& c, const auto& views, const FeatureSpan& out, const std::int32_t* n) {
                             const std::int32_t* at =
                                 n == nullptr ? indices.data() : device_indices.as<std::int32_t>();
                             return scatter_dense(c, sparse(shape, 2, at, views[0], n), layout, out.data);
                           });
        }
      }
    }
  }
}

}  // namespace
}  // namespace voxgemm
