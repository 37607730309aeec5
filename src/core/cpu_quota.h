// How much CPU time the cgroups of this process grant, as a number of threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace voxgemm {

/// CPUs that the process may keep busy, rounded up and at least 1: the smallest quota from its own cgroup to
/// the root, v1 and v2. Nothing when no quota can be read. `root` holds proc/self/cgroup and sys/fs/cgroup.
std::optional<std::int32_t> cpu_quota(const std::filesystem::path& root = "/");

}  // namespace voxgemm
