// Proves: simulated frames load a backbone as real ones do. Voxels and mean neighbours per stage of ten
// simulated streets lie in bands around real nuScenes frames (10 sweeps: N1 74,000 to 135,000 in 80 % of the
// validation split; 1 sweep: about 17,500), and the real frames themselves, when there, lie in the same
// bands.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/test_data.h"
#include "tools/session/stages.h"

namespace voxgemm::tools {
namespace {

struct Band {
  const char* stage;
  double n_low, n_high;              // rows, as a fraction of the rows of stage 1
  double density_low, density_high;  // pairs per row
};

// Around frames A and C (10 sweeps) and B and n015 (1 sweep).
const std::vector<Band> kTenSweeps{{"stage 1", 1.0, 1.0, 5.5, 8.0},
                                   {"stage 2", 0.80, 1.25, 12.0, 16.0},
                                   {"stage 3", 0.30, 0.60, 14.0, 17.0},
                                   {"stage 4", 0.10, 0.24, 14.5, 17.5},
                                   {"out", 0.07, 0.20, 1.3, 2.0}};
const std::vector<Band> kOneSweep{{"stage 1", 1.0, 1.0, 2.8, 6.5},
                                  {"stage 2", 1.3, 2.0, 9.0, 12.5},
                                  {"stage 3", 0.85, 1.35, 11.5, 14.5},
                                  {"stage 4", 0.38, 0.72, 13.0, 15.5},
                                  {"out", 0.30, 0.62, 1.2, 2.0}};

void expect_within(const std::vector<Stage>& stages, const std::vector<Band>& bands, double n_low,
                   double n_high, const std::string& what) {
  const double n1 = stages[0].n_out;
  EXPECT_GE(n1, n_low) << what;
  EXPECT_LE(n1, n_high) << what;
  for (const Band& band : bands) {
    for (const Stage& stage : stages) {
      if (stage.name != band.stage) continue;
      EXPECT_GE(stage.n_out / n1, band.n_low) << what << ' ' << stage.name;
      EXPECT_LE(stage.n_out / n1, band.n_high) << what << ' ' << stage.name;
      EXPECT_GE(stage.density(), band.density_low) << what << ' ' << stage.name;
      EXPECT_LE(stage.density(), band.density_high) << what << ' ' << stage.name;
    }
  }
}

std::vector<Stage> stages_of(const WorkOptions& work) {
  Context context;
  const InputFrame frame = load_frame(context, work);
  return backbone_stages(context, frame.frame, work.spatial_shape(), 1);
}

TEST(StreetStatistics, TenSweepsLoadABackboneAsRealOnesDo) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    WorkOptions work;
    work.simulate.seed = seed;
    expect_within(stages_of(work), kTenSweeps, 60000, 136000, "seed " + std::to_string(seed));
  }
}

TEST(StreetStatistics, OneSweepLoadsABackboneAsRealOnesDo) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    WorkOptions work;
    work.simulate.seed = seed;
    work.simulate.sweeps = 1;
    expect_within(stages_of(work), kOneSweep, 12500, 24000, "seed " + std::to_string(seed));
  }
}

TEST(StreetStatistics, RealFramesLieInTheSameBands) {
  const std::filesystem::path data = test::test_data();
  if (data.empty()) GTEST_SKIP() << "no test data (VOXGEMM_TEST_DATA)";
  WorkOptions ten;
  ten.points = (data / "nuscenes_hdl32/nuscenes_10sweeps_ff9eff43.f16.bin").string();
  ten.columns = "xyzit";
  ten.dtype = "f16";
  const std::vector<Stage> stages = stages_of(ten);
  EXPECT_EQ(stages[0].n_out, 105086);
  expect_within(stages, kTenSweeps, 60000, 136000, "frame C");
  WorkOptions one;
  one.points = (data / "nuscenes_hdl32/nuscenes_n015_1532402927647951.bin").string();
  one.columns = "xyzir";
  expect_within(stages_of(one), kOneSweep, 12500, 24000, "n015");
}

TEST(StreetStatistics, StagesReproduceThePublishedCounts) {
  const std::filesystem::path data = test::test_data();
  if (data.empty()) GTEST_SKIP() << "no test data (VOXGEMM_TEST_DATA)";
  WorkOptions work;
  work.indices = (data / "nvidia_centerpoint/in_indices_bzyx.i32.tensor").string();
  work.features = (data / "nvidia_centerpoint/in_features.f16.tensor").string();
  const std::vector<Stage> stages = stages_of(work);
  const std::vector<std::pair<std::int32_t, std::int64_t>> published{
      {79745, 591581}, {69276, 265739}, {69276, 969672}, {29723, 233074},
      {29723, 483025}, {10335, 98648},  {10335, 172003}, {7658, 13673}};
  ASSERT_EQ(stages.size(), published.size());
  for (std::size_t i = 0; i < stages.size(); ++i) {
    EXPECT_EQ(stages[i].n_out, published[i].first) << stages[i].name;
    EXPECT_EQ(stages[i].pairs, published[i].second) << stages[i].name;
  }
}

}  // namespace
}  // namespace voxgemm::tools
