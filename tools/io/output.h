// Files that the program writes. All of them go through write_file(): a file that is there keeps its old
// content until the new one is complete.
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>

namespace voxgemm::tools {

/// Writes the whole file. A regular file, old or new, is written beside (".voxgemm-PID-N" in its folder) and
/// then renamed, so that it is complete or as it was; links are followed and the mode of an old file is kept.
/// What is no regular file (a pipe, a device) is written in place, as is a file in a folder that takes no new
/// ones; what standard output is goes there, in order with the text. Throws kIo naming the file and the
/// system's reason.
void write_file(const std::filesystem::path& file, const void* data, std::size_t bytes);

/// Throws kIo when write_file() could not work: an empty name, a folder, a file or folder that may not be
/// written, a folder that is missing. For asking before long work: it leaves nothing behind.
void check_writable(const std::filesystem::path& file);

/// Writes `document` indented, one line feed at its end. Bytes that are no UTF-8 (file names may hold them)
/// become U+FFFD. Throws as write_file().
void write_json(const std::filesystem::path& file, const nlohmann::json& document);

/// An option of the command line that names a file; an empty name: not given.
struct FileOption {
  std::string_view option;
  std::string file;
};

/// Before the work: every output can be written. Throws as check_writable(), and UsageError when an output is
/// the file of another output or of an input, which would be lost.
void check_outputs(std::span<const FileOption> outputs, std::span<const FileOption> inputs);

}  // namespace voxgemm::tools
