// Tells a workspace that was prepared for one object from any other memory.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "voxgemm/context.h"

namespace voxgemm {

/// The first bytes of every workspace that has to be prepared hold a stamp: whoever uses the memory next,
/// with whatever layout, begins there and destroys it. A stamp is of one object and one address, since
/// prepared memory may hold pointers into itself. Memory that was never prepared passes by chance once in
/// 2^64.
class WorkspaceStamp {
 public:
  static constexpr std::size_t kBytes = 256;  ///< of workspace; what follows stays aligned

  /// `owner`: the object that plans the workspace, alive as long as the stamp is compared. The time tells it
  /// from one that lay there before.
  explicit WorkspaceStamp(const void* owner) noexcept
      : own_(mixed(mixed(reinterpret_cast<std::uintptr_t>(owner)) ^
                   static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()))) {
  }

  /// What the workspace holds once prepared.
  [[nodiscard]] std::uint64_t of(Workspace workspace) const noexcept {
    return mixed(own_ ^ reinterpret_cast<std::uintptr_t>(workspace.data()));
  }

 private:
  /// A bijection in which every bit of the argument counts (the finisher of MurmurHash3).
  static constexpr std::uint64_t mixed(std::uint64_t x) noexcept {
    x = (x ^ (x >> 33)) * 0xFF51AFD7ED558CCDULL;
    x = (x ^ (x >> 33)) * 0xC4CEB9FE1A85EC53ULL;
    return x ^ (x >> 33);
  }

  std::uint64_t own_;
};

}  // namespace voxgemm
