// Progress bar on standard error, only when that is a terminal.
#pragma once

#include <string>

namespace voxgemm::tools {

/// Clears itself when destroyed, so that it never mixes with results.
class ProgressBar {
 public:
  explicit ProgressBar(std::string label);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  /// `done` from 0 to 1; cheap to call often.
  void update(double done);

 private:
  std::string label_;
  bool terminal_;
  int shown_ = -1;  // percent on the screen
};

}  // namespace voxgemm::tools
