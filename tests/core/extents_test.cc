// Proves: axes have one name everywhere, the last one is x, and shapes are refused in words that name the
// axis or the shape, the value and the limit.
#include "core/extents.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "voxgemm/error.h"

namespace voxgemm {
namespace {

template <typename Call>
std::string fault(Call call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kShape);
    return error.what();
  }
  return "";
}

TEST(Extents, AxesAreNamedFromTheLast) {
  const std::string names = "wzyx";
  for (int ndim = 1; ndim <= kMaxDims; ++ndim) {
    for (int a = 0; a < ndim; ++a) {
      const std::string name(1, names[static_cast<std::size_t>(kMaxDims - ndim + a)]);
      EXPECT_EQ(axis_name(ndim, a), name);
      EXPECT_EQ(extent_operand(ndim, a), "extent of axis " + name + " of spatial_shape");
    }
    EXPECT_STREQ(axis_name(ndim, ndim), "?");
    EXPECT_STREQ(axis_name(ndim, -1), "?");
  }
  EXPECT_STREQ(axis_name(5, 0), "?");
  EXPECT_EQ(axes_text({7}), "[x 7]");
  EXPECT_EQ(axes_text({8, 16}), "[y 8, x 16]");
  EXPECT_EQ(axes_text({8, 16, 24}), "[z 8, y 16, x 24]");
  EXPECT_EQ(axes_text({2, 8, 16, 24}), "[w 2, z 8, y 16, x 24]");
  EXPECT_EQ(axes_text({}), "[]");
}

TEST(Extents, RefusalsNameAxisValueAndLimit) {
  EXPECT_EQ(fault([] { check_extents({8, 16, 24}, 1); }), "");
  EXPECT_EQ(fault([] { check_extents({}, 1); }), "shape: 0 spatial axes, allowed 1 to 4");
  EXPECT_EQ(fault([] { check_extents({8}, 0); }), "shape: batch_size is 0, at least 1");
  EXPECT_EQ(fault([] {
              check_extents({8, 0, 24}, 1);
            }),
            "shape: the extent of axis y is 0 in [z 8, y 0, x 24], at least 1");
  EXPECT_EQ(fault([] {
              check_extents({-3, 8, 8, 24}, 1);
            }),
            "shape: the extent of axis w is -3 in [w -3, z 8, y 8, x 24], at least 1");
  EXPECT_EQ(fault([] { check_extents({1 << 30, 1 << 30, 4}, 1); }), "");  // 2^62
  EXPECT_EQ(fault([] {
              check_extents({1 << 30, 1 << 30, 4}, 2);
            }),
            "shape: batch 2 of [z 1073741824, y 1073741824, x 4] makes 9.223e+18 cells, limit " +
                std::to_string(std::numeric_limits<std::int64_t>::max()));
  EXPECT_EQ(fault([] { check_elements({1 << 30, 1 << 20}, 1, 1 << 12); }), "");
  EXPECT_NE(fault([] {
              check_elements({1 << 30, 1 << 20}, 2, 1 << 13);
            }).find("elements of 8192 channels"),
            std::string::npos);
}

}  // namespace
}  // namespace voxgemm
