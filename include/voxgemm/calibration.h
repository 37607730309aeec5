// What frames tell of a network: scales and capacities before an engine is built, and how far int8 is from
// float32.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "voxgemm/context.h"
#include "voxgemm/network.h"

namespace voxgemm {

/// One frame in host memory for calibration, recording and comparison; the sizes must agree with num_voxels
/// (kShape). Recorded capacities do not limit these frames.
struct VOXGEMM_API Frame {
  std::vector<std::int32_t> indices;  ///< [n][1+ndim]
  std::vector<float> features;        ///< [n][channels]
  std::int32_t num_voxels = 0;

  /// Copies what a SparseTensor, a Voxelizer or an engine's input views, from the context's device behind
  /// what its stream has been given: float32 as it is, float16 widened, int8 times its scale. Throws kDType,
  /// kShape, kInvalidArgument (a count beyond the capacity, null pointers), kDevice. Coordinates are checked
  /// where the frame is used.
  static Frame from_view(Context& context, const SparseTensorView& voxels);
};

/// Min-max calibration: runs the float32 network over the frames; per value, real rows only,
///   scale = max(max|x| / 127, 2^-63), or 0 when every x is 0 or there is none (see ScaleTable).
/// in_scale * w_scale of two such scales is a normal float32. Values too small for their scale
/// (below 1.4e-17) become few steps or 0, and a warning in the context's log names them. Values that one
/// fused layer produces have one scale. Throws kInvalidArgument naming a layer that makes a value that is not
/// finite, and for no frames.
VOXGEMM_API ScaleTable calibrate_min_max(Context& context, const Network& network,
                                         std::span<const Frame> frames);
/// Records the site counts of the frames, times `headroom`, rounded up.
VOXGEMM_API CapacityTable record_capacities(Context& context, const Network& network,
                                            std::span<const Frame> frames, float headroom = 1.25F);

/// How far int8 is from float32 at one value, over the real rows of one frame.
struct LayerSqnr {
  std::string name;            ///< value name
  std::string kind;            ///< kind of the step that made it
  double sqnr_db = 0.0;        ///< 10 * log10(sum x^2 / sum (x - scale * q)^2); infinite when equal
  double amax = 0.0;           ///< max |x| of the float32 pass
  double max_error = 0.0;      ///< max |x - scale * q|
  std::int64_t saturated = 0;  ///< int8 values at -128 or 127
  std::int64_t elements = 0;
  std::vector<double> channel_sqnr_db;  ///< sqnr_db of each channel alone; 0 where int8 keeps nothing of it
};
struct SqnrReport {
  std::vector<LayerSqnr> layers;  ///< in step order, the last is the network's last sparse value
};
/// Runs `frame` in float32 and in int8 and compares every sparse value.
VOXGEMM_API SqnrReport compare_precisions(Context& context, const Network& network, const ScaleTable& scales,
                                          const Frame& frame);

}  // namespace voxgemm
