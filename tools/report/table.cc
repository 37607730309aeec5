#include "tools/report/table.h"

#include <algorithm>
#include <string>

namespace voxgemm::tools {
namespace {

/// Characters shown: UTF-8 continuation bytes take no width.
std::size_t shown(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

}  // namespace

std::string Table::text() const {
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) widths.push_back(shown(column.title));
  for (const auto& cells : rows_) {
    for (std::size_t c = 0; c < cells.size() && c < widths.size(); ++c)
      widths[c] = std::max(widths[c], shown(cells[c]));
  }
  std::string out;
  const auto line = [&](const auto& cell_of) {
    std::string text;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const std::string cell = cell_of(c);
      const std::string pad(widths[c] - shown(cell), ' ');
      text += columns_[c].align == Align::kRight ? pad + cell : cell + pad;
      text += "  ";
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  };
  const auto rule_line = [&] { line([&](std::size_t c) { return std::string(widths[c], '-'); }); };
  line([&](std::size_t c) { return columns_[c].title; });
  rule_line();
  for (const auto& cells : rows_) {
    if (cells.empty()) {
      rule_line();
    } else {
      line([&](std::size_t c) { return c < cells.size() ? cells[c] : std::string(); });
    }
  }
  return out;
}

std::string grouped(long long value) {
  const std::string digits = std::to_string(value);
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0 && digits[i - 1] != '-') out += ',';
    out += digits[i];
  }
  return out;
}

}  // namespace voxgemm::tools
