// The other operators of a backbone. All are noexcept hot-path calls over caller-owned rows; on CUDA they
// enqueue on the context's stream. Arithmetic is specified once and is bit-equal on every ISA and device.
// Status of all: kShape (rows, channels or strides that disagree; value and limit say which), kDType (value =
// the type), kInvalidArgument (null pointer, negative count, factor that is not finite, scale that is not
// positive, or subnormal), kUnsupported (the policy leaves no row). `out` may have more rows than the input;
// those are not touched.
#pragma once

#include <cstdint>
#include <span>

#include "voxgemm/context.h"
#include "voxgemm/epilogue.h"
#include "voxgemm/indice_pairs.h"
#include "voxgemm/sparse_tensor.h"
#include "voxgemm/types.h"

namespace voxgemm {

/// q = saturate_int8(round_half_even(x / scale)); NaN gives 0. float32 or float16 -> int8. Channels of
/// `out` beyond those of `in` (up to out.stride) are zeroed, so that a padded row is safe to multiply.
/// `device_rows` (CUDA): real row count, overrides in.rows.
VOXGEMM_API Status quantize(Context& context, const FeatureView& in, float scale, const FeatureSpan& out,
                            const std::int32_t* device_rows = nullptr) noexcept;
/// x = float(q) * scale. int8 -> float32 or float16.
VOXGEMM_API Status dequantize(Context& context, const FeatureView& in, float scale, const FeatureSpan& out,
                              const std::int32_t* device_rows = nullptr) noexcept;
/// y = saturate_int8(round_half_even(float(q) * (in_scale / out_scale))). int8 -> int8.
VOXGEMM_API Status requantize(Context& context, const FeatureView& in, float in_scale, float out_scale,
                              const FeatureSpan& out, const std::int32_t* device_rows = nullptr) noexcept;
/// Copies with conversion among float32 and float16 (round to nearest even), or same type.
VOXGEMM_API Status convert(Context& context, const FeatureView& in, const FeatureSpan& out,
                           const std::int32_t* device_rows = nullptr) noexcept;

/// t = fma(b_factor, b, a_factor * a), activation; int8: factors are a_scale/out_scale and
/// b_scale/out_scale, rounded and saturated once. float32: factors 1. kNone or kReLU (kUnsupported); out may
/// be a or b.
VOXGEMM_API Status add(Context& context, const FeatureView& a, const FeatureView& b, float a_factor,
                       float b_factor, Activation activation, const FeatureSpan& out,
                       const std::int32_t* device_rows = nullptr) noexcept;
/// max(x, 0) elementwise; in and out may alias.
VOXGEMM_API Status relu(Context& context, const FeatureView& in, const FeatureSpan& out,
                        const std::int32_t* device_rows = nullptr) noexcept;

enum class PoolKind : std::uint8_t { kMax, kAverage };
struct PoolOptions {
  PoolKind kind = PoolKind::kMax;
  bool zero_floor = false;  ///< kMax: start from 0 as spconv does, instead of the mathematical maximum
};
/// Pooling over indice pairs (pair table form). Max of the active inputs; average = (sum in offset order) /
/// number of active inputs (float32: one division; int8: exact int32 sum, round half to even, same scale).
/// A row without inputs gives 0. A float sum starts from +0, a maximum from its first input.
VOXGEMM_API Status pool(Context& context, const IndicePairsView& pairs, const FeatureView& in,
                        const PoolOptions& options, const FeatureSpan& out) noexcept;
/// out [batch_size][channels]: per batch entry max or average over its rows (0 when it has none). Float
/// averages are summed in row order in float64. Rows of a batch entry outside [0, batch_size) are passed
/// over.
VOXGEMM_API Status global_pool(Context& context, const SparseTensorView& in, PoolKind kind,
                               const FeatureSpan& out) noexcept;

/// out[i] = [inputs[0][i], inputs[1][i], ...]; all of one dtype and row count, channels add up.
VOXGEMM_API Status concat(Context& context, std::span<const FeatureView> inputs, const FeatureSpan& out,
                          const std::int32_t* device_rows = nullptr) noexcept;

/// Union add of two sparse tensors of one shape, batch and channel count: sites of either, ascending key,
/// t = a_factor*a (+ b_factor*b) as in add(), rounded and saturated when out_dtype is kInt8: factors are then
/// scales over `out_scale`, which becomes the result's scale. Host memory on the CPU, copied to the host and
/// back on CUDA. Throws kShape, kDType, kDuplicate, kOutOfRange, kInvalidArgument (factor that is not finite,
/// int8 out_scale that is not finite and at least 2^-126).
VOXGEMM_API SparseTensor sparse_add(Context& context, const SparseTensorView& a, const SparseTensorView& b,
                                    float a_factor = 1.0F, float b_factor = 1.0F,
                                    DType out_dtype = DType::kFloat32, float out_scale = 1.0F);

/// Two axes stay the plane of a dense array, any others fold into its channels: the outer ones, or the inner
/// ones for shapes that are given as x,y,z (BEVFusion's). With C channels and F cells of the folded axes,
/// f = their row-major index, channel = c*F + f.
enum class DenseLayout : std::uint8_t {
  kNCHW,          ///< [batch][C * Z][Y][X]: channel = c*Z + z (1-D, 2-D: no z; 4-D: the two outer axes fold)
  kNHWC,          ///< [batch][Y][X][C * Z], same channel order
  kNCHWFoldLast,  ///< axes x,y,z: [batch][C * Z][X][Y] (1-D, 2-D: as kNCHW; 4-D: the two inner axes fold)
  kNHWCFoldLast,  ///< axes x,y,z: [batch][X][Y][C * Z], same channel order
};
/// Scatters rows into a dense array that is zero elsewhere. `out` holds dense_elements() elements of the
/// features' dtype and is written completely. CPU: kOutOfRange names the first row that lies outside; the
/// others are written.
VOXGEMM_API Status scatter_dense(Context& context, const SparseTensorView& in, DenseLayout layout,
                                 void* out) noexcept;
/// batch * channels * product(spatial_shape). Throws kShape when that has no int64 or an extent is negative.
VOXGEMM_API std::int64_t dense_elements(const Dims& spatial_shape, std::int32_t batch_size,
                                        std::int32_t channels);

}  // namespace voxgemm
