// Proves: a check that passes formats nothing and allocates nothing, however long its text would be; one that
// fails throws the code and the whole text; a text that was made before the check does not compile.
#include "core/check.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/counted_new.h"

namespace {

/// Counts how often it is formatted.
struct Tattler {
  int id = 0;
};
int formatted = 0;

}  // namespace

template <>
struct fmt::formatter<Tattler> : fmt::formatter<int> {
  template <typename FormatContext>
  auto format(const Tattler& tattler, FormatContext& context) const {
    ++formatted;
    return fmt::formatter<int>::format(tattler.id, context);
  }
};

namespace voxgemm {
namespace {

template <typename Text>
concept CanBeTextOfACheck = requires(Text text) {
  check(true, ErrorCode::kShape, text);
};

static_assert(CanBeTextOfACheck<const char*>);
static_assert(CanBeTextOfACheck<std::string_view>);
static_assert(!CanBeTextOfACheck<std::string>, "check(ok, code, fmt::format(...)) formats every time");
static_assert(!CanBeTextOfACheck<const std::string&>);

template <typename Fn>
std::pair<ErrorCode, std::string> error_of(Fn&& fn) {
  try {
    fn();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {ErrorCode::kOk, ""};
}

TEST(Check, PassingFormatsAndAllocatesNothing) {
  formatted = 0;
  const std::string layer = "a name that is too long for the small-string buffer";
  const Dims shape{41, 1440, 1440};
  const long made = test::allocations_of([&] {
    for (int i = 0; i < 1000; ++i) {
      check(i < 1000, ErrorCode::kShape, "value {} of {} is {}, must be finite", i, shape, Tattler{i});
      check_layer(i < 1000, ErrorCode::kShape, layer, "value {} of {}: {}", i, shape, Tattler{i});
      check(i < 1000, ErrorCode::kShape, "a text without values that is long enough to need memory");
    }
  });
  EXPECT_EQ(formatted, 0);
  EXPECT_EQ(made, 0);
}

TEST(Check, TheCountersCount) {
#if !VOXGEMM_COUNTS_NEW
  GTEST_SKIP() << "operator new belongs to the sanitizer";
#endif
  formatted = 0;
  const long made = test::allocations_of([] {
    (void)error_of([] { check(false, ErrorCode::kShape, "the text of this error is {}", Tattler{7}); });
  });
  EXPECT_EQ(formatted, 1);
  EXPECT_GT(made, 0);
}

TEST(Check, FailingThrowsTheWholeText) {
  using Found = std::pair<ErrorCode, std::string>;
  const std::string layer = "conv1";
  EXPECT_EQ(error_of([] {
              check(false, ErrorCode::kShape, "{} of {}", Dims{2, 3}, 1.5F);
            }),
            Found(ErrorCode::kShape, "shape: [y 2, x 3] of 1.5"));
  EXPECT_EQ(error_of([&] { check_layer(false, ErrorCode::kDType, layer, "{:#x} is {}", 255, "bad"); }),
            Found(ErrorCode::kDType, "dtype: layer 'conv1': 0xff is bad"));
  EXPECT_EQ(error_of([&] { check_layer(false, ErrorCode::kDType, "{}", "is {}", "bad"); }),
            Found(ErrorCode::kDType, "dtype: layer '{}': is bad"))
      << "names are no formats";
  EXPECT_EQ(error_of([] { fail(ErrorCode::kIo, "file {}", 1); }),
            Found(ErrorCode::kIo, "input/output: file 1"));
  EXPECT_EQ(error_of([] { fail_layer(ErrorCode::kIo, "a", "file {}", 1); }),
            Found(ErrorCode::kIo, "input/output: layer 'a': file 1"));
  EXPECT_EQ(error_of([] { check(true, ErrorCode::kIo, "file {}", 1); }), Found(ErrorCode::kOk, ""));
}

}  // namespace
}  // namespace voxgemm
