// Proves that tables of names merge by the larger entry, keep "never seen" and refuse what is no entry.
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>

#include "voxgemm/error.h"
#include "voxgemm/network.h"

namespace voxgemm {
namespace {

using Scales = std::map<std::string, float>;
using Rows = std::map<std::string, std::int32_t>;

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "accepted";
}

TEST(MergeScales, LargerWinsAndUnseenIsKept) {
  ScaleTable table{
      {{"both", 0.5F}, {"seen here", 0.25F}, {"seen there", 0.0F}, {"nowhere", 0.0F}, {"mine", 3.0F}}};
  table.merge(
      {{{"both", 0.75F}, {"seen here", 0.0F}, {"seen there", 1e-30F}, {"nowhere", 0.0F}, {"theirs", 0.0F}}});
  EXPECT_EQ(table.scale, (Scales{{"both", 0.75F},
                                 {"seen here", 0.25F},
                                 {"seen there", 1e-30F},
                                 {"nowhere", 0.0F},
                                 {"mine", 3.0F},
                                 {"theirs", 0.0F}}));
  table.merge(table);
  EXPECT_EQ(table.scale.at("both"), 0.75F);
}

// A NaN would win or lose by the order of the operands.
TEST(MergeScales, RefusesWhatIsNoScaleAndChangesNothing) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -1.0F, 1e-40F,
                          std::numeric_limits<float>::infinity(), 1e37F}) {
    ScaleTable table{{{"a", 0.5F}}};
    const std::string said = refusal([&] { table.merge({{{"a", 1.0F}, {"b", bad}, {"c", 2.0F}}}); });
    EXPECT_NE(said.find("value 'b': scale "), std::string::npos) << said;
    EXPECT_EQ(table.scale, (Scales{{"a", 0.5F}})) << bad;
    ScaleTable holds_it{{{"b", bad}}};
    EXPECT_NE(refusal([&] { holds_it.merge(table); }).find("value 'b': scale "), std::string::npos) << bad;
  }
}

TEST(MergeCapacities, LargerWins) {
  CapacityTable table{{{"in", 10}, {"down", 7}}};
  table.merge({{{"in", 3}, {"down", 9}, {"other", 1}}});
  EXPECT_EQ(table.rows, (Rows{{"in", 10}, {"down", 9}, {"other", 1}}));
  EXPECT_EQ(refusal([&] {
              table.merge({{{"down", 100}, {"in", 0}}});
            }),
            "invalid argument: layer 'in': capacity is 0, at least 1");
  EXPECT_EQ(table.rows.at("down"), 9);
}

}  // namespace
}  // namespace voxgemm
