// The conversions of voxgemm/operators.h between rows in different orders.
#pragma once

#include <cstdint>

#include "voxgemm/operators.h"

namespace voxgemm::ops {

/// Row r is read from row in[r] and written to row out[r]; null = r. Distinct, inside the operands: not
/// checked.
struct RowMap {
  const std::int32_t* in = nullptr;
  const std::int32_t* out = nullptr;
};

Status quantize(Context& context, const FeatureView& in, float scale, const FeatureSpan& out,
                const std::int32_t* device_rows, const RowMap& rows) noexcept;
Status dequantize(Context& context, const FeatureView& in, float scale, const FeatureSpan& out,
                  const std::int32_t* device_rows, const RowMap& rows) noexcept;
Status convert(Context& context, const FeatureView& in, const FeatureSpan& out,
               const std::int32_t* device_rows, const RowMap& rows) noexcept;

}  // namespace voxgemm::ops
