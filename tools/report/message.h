// Messages: what the program says about files and options, on one line that a terminal can show.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "voxgemm/context.h"

namespace voxgemm::tools {

/// Most characters of a message, "voxgemm: " included.
constexpr std::size_t kMessageCharacters = 300;

/// `text` as one printable line. Names of files and values of options may hold any bytes: control characters
/// (C0, DEL, C1, line and paragraph separators, marks that change the direction of writing) and bytes that
/// are no UTF-8 become \n, \r, \t or \xNN. Of more than `limit` characters the middle becomes " ... ": files
/// are named at the start, reasons at the end. limit >= 16.
std::string printable(std::string_view text, std::size_t limit = std::string::npos);

/// Prints "voxgemm: TEXT" to standard error, printable and at most kMessageCharacters long.
void print_message(std::string_view text);

/// Prints what the library warns of as "warning: TEXT", each text once: several engines of one network have
/// the same to say. Copies know of each other; one thread at a time.
LogSink warnings_once();

}  // namespace voxgemm::tools
