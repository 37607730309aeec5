// Aligned text tables.
#pragma once

#include <string>
#include <vector>

namespace voxgemm::tools {

/// Cells are text; columns are as wide as their widest cell. Numbers stand right, words left.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kRight;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// Missing cells are empty; more cells than columns are an error of the caller.
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  /// A line between rows.
  void rule() { rows_.emplace_back(); }
  [[nodiscard]] std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// 1234567 -> "1,234,567"
std::string grouped(long long value);

}  // namespace voxgemm::tools
