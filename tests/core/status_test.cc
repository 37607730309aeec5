// Proves: the text of a Status names the operand, the value and the limit, a coordinate's row as a row and a
// type by its name, and leaves out what was not said.
#include <gtest/gtest.h>

#include <string>

#include "voxgemm/error.h"

namespace voxgemm {
namespace {

std::string text(const Status& status) { return to_string(status); }

TEST(Status, TextNamesOperandValueAndLimit) {
  EXPECT_EQ(text({}), "ok");
  EXPECT_EQ(text({.code = ErrorCode::kShape, .value = 3, .limit = 4}), "shape: value 3, limit 4");
  EXPECT_EQ(text({.code = ErrorCode::kShape, .value = 3, .limit = 4, .what = "stride"}),
            "shape: stride: value 3, limit 4");
  EXPECT_EQ(text({.code = ErrorCode::kInvalidArgument, .what = "the input is null"}),
            "invalid argument: the input is null");
  EXPECT_EQ(text({.code = ErrorCode::kInvalidArgument}), "invalid argument: value 0");
}

TEST(Status, TextGivesALimitOfZeroBytes) {
  EXPECT_EQ(text({.code = ErrorCode::kCapacity, .value = 256, .what = "bytes"}),
            "capacity exceeded: bytes: value 256, limit 0");
}

TEST(Status, TextSpeaksOfRowsStepsAndTypes) {
  EXPECT_EQ(text({.code = ErrorCode::kDuplicate, .value = 7}), "duplicate coordinate: row 7");
  EXPECT_EQ(text({.code = ErrorCode::kOutOfRange, .step = 0, .value = 2, .limit = 3}),
            "coordinate out of range: row 2 of 3 (step 0)");
  EXPECT_EQ(text({.code = ErrorCode::kDType, .value = static_cast<std::int64_t>(DType::kFloat16)}),
            "dtype: float16");
  EXPECT_EQ(text({.code = ErrorCode::kCapacity, .step = 7, .value = 131072, .limit = 120000}),
            "capacity exceeded: value 131072, limit 120000 (step 7)");
}

}  // namespace
}  // namespace voxgemm
