// Words and numbers of text files.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace voxgemm::tools {

/// Takes the first line off `text`, without its line feed.
std::string_view take_line(std::string_view& text);

/// What blanks, tabs and carriage returns part.
std::vector<std::string_view> words_of(std::string_view line);

/// The whole word as a number, "+1.5", "1e-3", "nan" and "inf" too.
std::optional<double> decimal(std::string_view word);

}  // namespace voxgemm::tools
