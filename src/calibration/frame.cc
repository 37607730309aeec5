#include <cmath>
#include <utility>

#include "calibration/host_value.h"
#include "core/check.h"
#include "voxgemm/calibration.h"

namespace voxgemm {

Frame Frame::from_view(Context& context, const SparseTensorView& voxels) {
  const FeatureView& features = voxels.features;
  check(features.dtype == DType::kFloat32 || features.dtype == DType::kFloat16 ||
            features.dtype == DType::kInt8,
        ErrorCode::kDType, "frame: features are {}, must be float32, float16 or int8",
        to_string(features.dtype));
  check(features.dtype != DType::kInt8 || std::isfinite(features.scale), ErrorCode::kInvalidArgument,
        "frame: the features' scale is {}, must be finite", features.scale);
  check(voxels.device_num_voxels == nullptr || context.device().kind == DeviceKind::kCuda,
        ErrorCode::kInvalidArgument,
        "frame: the voxels are counted on a CUDA device, the context is of the CPU");
  validate_shape(voxels);
  SparseTensorView counted = voxels;
  counted.num_voxels = count_rows(context, voxels);
  counted.device_num_voxels = nullptr;
  validate_shape(counted);
  Frame frame;
  frame.num_voxels = counted.num_voxels;
  frame.indices.resize(static_cast<std::size_t>(frame.num_voxels) *
                       static_cast<std::size_t>(1 + voxels.spatial_shape.ndim));
  copy_to_host(context, frame.indices.data(), voxels.indices, frame.indices.size() * sizeof(std::int32_t));
  frame.features = std::move(read_rows(context, features, frame.num_voxels).real);
  return frame;
}

}  // namespace voxgemm
