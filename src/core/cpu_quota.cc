#include "core/cpu_quota.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>

namespace voxgemm {
namespace {

/// Empty when there is no such file.
std::string first_line(const std::filesystem::path& file) {
  std::string line;
  std::ifstream in(file);
  std::getline(in, line);
  return line;
}

/// Removes and returns what stands before the first `separator`, or all.
std::string_view take_until(std::string_view& text, char separator) {
  const std::size_t at = std::min(text.find(separator), text.size());
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return taken;
}

/// A whole positive number. "max" and -1 mean no limit, and so does whatever else is none.
std::optional<std::int64_t> positive(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r')) text.remove_suffix(1);
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end || value <= 0) return std::nullopt;
  return value;
}

/// The smallest of the quotas that it is shown.
class SmallestQuota {
 public:
  /// The group's own folder and those above it, up to the mount: each limits all below it. Folders that are
  /// not there limit nothing: in a container /proc may give the group's path on the host, while the mount
  /// begins at the container's own group.
  void walk(const std::filesystem::path& mount, std::string_view group) {
    std::filesystem::path folder = mount;
    look_at(folder);
    while (!group.empty()) {
      const std::string_view name = take_until(group, '/');
      if (name == "..") return;  // the group is outside what is mounted here
      if (name.empty()) continue;
      folder /= name;
      look_at(folder);
    }
  }

  [[nodiscard]] std::optional<std::int32_t> cpus() const noexcept { return cpus_; }

 private:
  /// A folder has the files of v2 or those of v1, or none.
  void look_at(const std::filesystem::path& folder) {
    const std::string max = first_line(folder / "cpu.max");
    std::string_view period = max;
    const std::string_view quota = take_until(period, ' ');
    limit(quota, period);
    limit(first_line(folder / "cpu.cfs_quota_us"), first_line(folder / "cpu.cfs_period_us"));
  }

  void limit(std::string_view quota_text, std::string_view period_text) {
    const std::optional<std::int64_t> quota = positive(quota_text);
    const std::optional<std::int64_t> period = positive(period_text);
    if (!quota || !period) return;
    // Half a CPU more is worth a thread: rounded down, that half would never be used.
    const std::int64_t cpus = *quota / *period + (*quota % *period != 0 ? 1 : 0);
    constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
    cpus_ = static_cast<std::int32_t>(std::min(cpus, static_cast<std::int64_t>(cpus_.value_or(kMost))));
  }

  std::optional<std::int32_t> cpus_;
};

bool has_cpu(std::string_view controllers) {
  while (!controllers.empty()) {
    if (take_until(controllers, ',') == "cpu") return true;
  }
  return false;
}

}  // namespace

std::optional<std::int32_t> cpu_quota(const std::filesystem::path& root) {
  const std::filesystem::path mounts = root / "sys/fs/cgroup";
  SmallestQuota smallest;
  // The roots count without /proc/self/cgroup too: in a container they are its own group.
  for (const char* mount : {"", "unified", "cpu", "cpu,cpuacct"}) smallest.walk(mounts / mount, {});
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    std::string_view rest = line;  // number:controllers:path, no controllers for v2
    const std::string_view number = take_until(rest, ':');
    const std::string_view controllers = take_until(rest, ':');
    if (!rest.starts_with('/')) continue;
    if (number == "0" && controllers.empty()) {
      smallest.walk(mounts, rest);
      smallest.walk(mounts / "unified", rest);  // beside v1 mounts
    } else if (has_cpu(controllers)) {
      smallest.walk(mounts / "cpu", rest);
      smallest.walk(mounts / controllers, rest);
    }
  }
  return smallest.cpus();
}

}  // namespace voxgemm
