// Proves: the CPU quota is the smallest from the process's own cgroup to the root, in v1, v2 and both at
// once, rounded up; files that are missing or garbled limit nothing.
#include "core/cpu_quota.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <limits>
#include <string>

namespace voxgemm {
namespace {

namespace fs = std::filesystem;

/// A root folder of one test, with the files that it plants.
class CpuQuota : public testing::Test {
 protected:
  CpuQuota() {
    std::string name = (fs::temp_directory_path() / "voxgemm_cpu_quota_XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) root_ = name;
  }
  ~CpuQuota() override {
    std::error_code ignored;
    if (!root_.empty()) fs::remove_all(root_, ignored);
  }
  void SetUp() override { ASSERT_FALSE(root_.empty()) << "no temporary folder"; }

  void plant(const std::string& file, const std::string& text) {
    const fs::path path = root_ / file;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  void plant_group(const std::string& lines) { plant("proc/self/cgroup", lines); }
  void plant_v2(const std::string& folder, const std::string& text) {
    plant("sys/fs/cgroup/" + folder + "/cpu.max", text);
  }
  void plant_v1(const std::string& folder, const std::string& quota, const std::string& period = "100000\n") {
    plant("sys/fs/cgroup/" + folder + "/cpu.cfs_quota_us", quota);
    plant("sys/fs/cgroup/" + folder + "/cpu.cfs_period_us", period);
  }
  /// 0 when nothing limits.
  [[nodiscard]] std::int32_t quota() const { return cpu_quota(root_).value_or(0); }

 private:
  fs::path root_;
};

TEST_F(CpuQuota, NoFilesLimitNothing) {
  EXPECT_EQ(quota(), 0);
  plant_group("0::/app\n");
  EXPECT_EQ(quota(), 0);
}

TEST_F(CpuQuota, V2RoundsUp) {
  plant_group("0::/app\n");
  const struct {
    const char* text;
    std::int32_t cpus;
  } cases[] = {{"200000 100000\n", 2}, {"200001 100000\n", 3}, {"150000 100000\n", 2},
               {"1000 100000\n", 1},   {"30000 10000", 3},     {"max 100000\n", 0}};
  for (const auto& c : cases) {
    plant_v2("app", c.text);
    EXPECT_EQ(quota(), c.cpus) << c.text;
  }
}

TEST_F(CpuQuota, V2TakesTheSmallestUpToTheRoot) {
  plant_group("0::/pod/box/app\n");
  plant_v2("pod/box/app", "max 100000\n");
  plant_v2("pod/box", "800000 100000\n");
  EXPECT_EQ(quota(), 8);
  plant_v2("pod", "300000 100000\n");
  EXPECT_EQ(quota(), 3);
  plant_v2("", "50000 50000\n");
  EXPECT_EQ(quota(), 1);
}

TEST_F(CpuQuota, OtherGroupsDoNotCount) {
  plant_group("0::/pod/app\n");
  plant_v2("pod", "400000 100000\n");
  plant_v2("pod/other", "100000 100000\n");
  plant_v2("pod/app/below", "100000 100000\n");
  EXPECT_EQ(quota(), 4);
}

TEST_F(CpuQuota, V1RoundsUp) {
  plant_group("5:memory:/app\n4:cpu:/app\n");
  plant_v1("cpu", "-1\n");
  EXPECT_EQ(quota(), 0);
  plant_v1("cpu/app", "250000\n");
  EXPECT_EQ(quota(), 3);
  plant_v1("cpu/app", "-1\n");
  EXPECT_EQ(quota(), 0);
  plant_v1("cpu/app", "10000\n", "50000\n");
  EXPECT_EQ(quota(), 1);
}

TEST_F(CpuQuota, V1InAFolderNamedAfterItsControllers) {
  plant_group("4:cpuacct,cpu:/pod/app\n3:cpuset:/elsewhere\n");
  plant_v1("cpuacct,cpu/pod/app", "600000\n");
  plant_v1("cpuset/elsewhere", "100000\n");
  EXPECT_EQ(quota(), 6);
  plant_v1("cpuacct,cpu/pod", "500000\n");
  EXPECT_EQ(quota(), 5);
}

TEST_F(CpuQuota, HybridTakesTheSmallerOfBoth) {
  plant_group("4:cpu,cpuacct:/app\n1:name=systemd:/app\n0::/slice/app\n");
  plant_v1("cpu,cpuacct/app", "700000\n");
  EXPECT_EQ(quota(), 7);
  plant_v2("unified/slice", "200000 100000\n");
  EXPECT_EQ(quota(), 2);
  plant_v1("cpu,cpuacct/app", "100000\n");
  EXPECT_EQ(quota(), 1);
}

// Without a cgroup namespace /proc has the path on the host, and the mount is the container's group.
TEST_F(CpuQuota, ContainerWithThePathOfTheHost) {
  plant_group("4:cpu,cpuacct:/docker/0123\n");
  plant_v1("cpu,cpuacct", "200000\n");
  EXPECT_EQ(quota(), 2);
}

TEST_F(CpuQuota, RootsCountWithoutProc) {
  plant_v2("", "300000 100000\n");
  EXPECT_EQ(quota(), 3);
  plant_v1("cpu", "200000\n");
  EXPECT_EQ(quota(), 2);
}

TEST_F(CpuQuota, PathsDoNotLeaveTheMount) {
  plant_group("0::/../../app\n");
  plant("sys/app/cpu.max", "100000 100000\n");
  plant("app/cpu.max", "100000 100000\n");
  plant_v2("app", "100000 100000\n");
  EXPECT_EQ(quota(), 0);
}

TEST_F(CpuQuota, GarbageLimitsNothing) {
  plant_group("0::/app\n2:cpu:/app\n");
  for (const char* text : {"", "\n", " ", "max", "100000", "100000\n", "100000 ", "100000 0\n", "100000 -5\n",
                           "0 100000\n", "-1 100000\n", "1e5 100000\n", "100000 100000x\n", "two cpus\n",
                           "100000 100000 100000\n", "99999999999999999999999 100000\n"}) {
    plant_v2("app", text);
    EXPECT_EQ(quota(), 0) << '"' << text << '"';
  }
  for (const char* text : {"", "\n", "0", "-100000", "max", "1x", "0x10", "99999999999999999999999"}) {
    plant_v1("cpu/app", text);
    EXPECT_EQ(quota(), 0) << '"' << text << '"';
    plant_v1("cpu/app", "100000\n", text);
    EXPECT_EQ(quota(), 0) << '"' << text << '"';
  }
  plant_v2("", "400000 100000\n");
  EXPECT_EQ(quota(), 4);  // and does not hide what is whole
}

TEST_F(CpuQuota, GarbledGroupsLeaveTheRest) {
  plant_group("\n:\n::\n0:\n0::\n0::app\n4:cpu\n4:cpu:\nx\n:::::/\n0::/a:b\n");
  plant_v2("app", "100000 100000\n");
  EXPECT_EQ(quota(), 0);
  plant_v2("a:b", "200000 100000\n");
  EXPECT_EQ(quota(), 2);
}

TEST_F(CpuQuota, HugeQuotasFit) {
  plant_group("0::/app\n");
  plant_v2("app", "9223372036854775807 1\n");
  EXPECT_EQ(quota(), std::numeric_limits<std::int32_t>::max());
  plant_v2("app", "9223372036854775807 9223372036854775807\n");
  EXPECT_EQ(quota(), 1);
}

TEST(CpuQuotaOfThisMachine, IsAtLeastOne) { EXPECT_GE(cpu_quota().value_or(1), 1); }

}  // namespace
}  // namespace voxgemm
