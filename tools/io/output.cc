#include "tools/io/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "tools/io/array.h"
#include "tools/usage_error.h"

namespace voxgemm::tools {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 40;  // as many as the kernel follows

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using FileHandle = std::unique_ptr<std::FILE, CloseFile>;

[[noreturn]] void fail_writing(const fs::path& file, std::string_view reason) {
  fail_io(file, fmt::format("cannot be written: {}", reason));
}

/// How the bytes come to the file.
enum class Way { kBesideAndRename, kInPlace, kStandardOutput };

struct Target {
  Way way = Way::kBesideAndRename;
  fs::path file;     // with links followed
  bool old = false;  // the file is there
  mode_t mode = 0;   // of the old file
};

bool is_standard_output(const struct stat& info) {
  struct stat out {};
  return ::fstat(STDOUT_FILENO, &out) == 0 && out.st_dev == info.st_dev && out.st_ino == info.st_ino;
}

/// The file that links, the last of which may lead to nothing yet, stand for.
fs::path follow_links(fs::path file) {
  std::error_code code;
  for (int i = 0; i < kMostLinks && fs::is_symlink(fs::symlink_status(file, code)); ++i) {
    file = file.parent_path() / fs::read_symlink(file, code);
  }
  return file;
}

Target target_of(const fs::path& file) {
  if (file.empty()) fail_writing(file, "the name is empty");
  struct stat info {};
  if (::stat(file.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) fail_writing(file, "is a folder, not a file");
    if (is_standard_output(info)) return {Way::kStandardOutput, file, true, 0};
    if (::access(file.c_str(), W_OK) != 0) fail_writing(file, std::strerror(errno));
    if (!S_ISREG(info.st_mode)) return {Way::kInPlace, file, true, 0};
    return {Way::kBesideAndRename, follow_links(file), true, info.st_mode & 07777U};
  }
  if (errno != ENOENT && errno != ENOTDIR) fail_writing(file, std::strerror(errno));
  Target target{Way::kBesideAndRename, follow_links(file), false, 0};
  if (!target.file.has_filename()) fail_writing(file, "is a folder, not a file");
  const fs::path folder = target.file.parent_path();
  std::error_code code;
  if (!folder.empty() && !fs::is_directory(folder, code)) fail_writing(file, "no such folder");
  return target;
}

/// A new, empty file in the folder of `file`. Null, with errno, when the folder takes none.
std::pair<FileHandle, fs::path> open_beside(const fs::path& file) {
  for (int i = 0;; ++i) {
    fs::path beside = file.parent_path() / fmt::format(".voxgemm-{}-{}", ::getpid(), i);
    const int descriptor = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0) return {FileHandle(::fdopen(descriptor, "wb")), std::move(beside)};
    if (errno != EEXIST) return {nullptr, fs::path()};
  }
}

/// Writes and closes; false, with errno, when a byte is lost.
bool write_all(FileHandle handle, const void* data, std::size_t bytes) {
  const bool written = bytes == 0 || std::fwrite(data, 1, bytes, handle.get()) == bytes;
  const int reason = errno;
  const bool closed = std::fclose(handle.release()) == 0;
  if (!written) errno = reason;
  return written && closed;
}

void write_in_place(const fs::path& file, const void* data, std::size_t bytes) {
  FileHandle handle(std::fopen(file.c_str(), "wb"));
  if (!handle) fail_writing(file, std::strerror(errno));
  if (!write_all(std::move(handle), data, bytes)) {
    fail_io(file, fmt::format("cannot be written completely: {}", std::strerror(errno)));
  }
}

/// False when the folder takes no new files or the file cannot be replaced: then only writing in place is
/// left.
bool write_beside(const fs::path& file, const Target& target, const void* data, std::size_t bytes) {
  auto [handle, beside] = open_beside(target.file);
  if (!handle) {
    if (target.old) return false;
    fail_writing(file, std::strerror(errno));
  }
  if (target.old) (void)::fchmod(::fileno(handle.get()), target.mode);
  if (!write_all(std::move(handle), data, bytes)) {
    const int reason = errno;
    ::unlink(beside.c_str());
    fail_io(file, fmt::format("cannot be written completely: {}", std::strerror(reason)));
  }
  if (::rename(beside.c_str(), target.file.c_str()) == 0) return true;
  const int reason = errno;
  ::unlink(beside.c_str());
  if (target.old) return false;
  fail_writing(file, std::strerror(reason));
}

bool same_file(const fs::path& a, const fs::path& b) {
  std::error_code code;
  if (fs::equivalent(a, b, code) && !code) return fs::is_regular_file(a, code);
  const auto whole = [&](const fs::path& file) { return fs::weakly_canonical(follow_links(file), code); };
  return !fs::exists(a, code) && !fs::exists(b, code) && whole(a) == whole(b);
}

}  // namespace

void write_file(const fs::path& file, const void* data, std::size_t bytes) {
  const Target target = target_of(file);
  if (target.way == Way::kStandardOutput) {
    if (std::fwrite(data, 1, bytes, stdout) == bytes && std::fflush(stdout) == 0) return;
    fail_io(file, fmt::format("cannot be written completely: {}", std::strerror(errno)));
  }
  if (target.way == Way::kBesideAndRename && write_beside(file, target, data, bytes)) return;
  write_in_place(file, data, bytes);
}

void check_writable(const fs::path& file) {
  const Target target = target_of(file);
  if (target.way != Way::kBesideAndRename) return;
  const auto [handle, beside] = open_beside(target.file);
  if (handle) {
    ::unlink(beside.c_str());
  } else if (!target.old) {
    fail_writing(file, std::strerror(errno));
  }
}

void write_json(const fs::path& file, const nlohmann::json& document) {
  const std::string text = document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  write_file(file, text.data(), text.size());
}

void check_outputs(std::span<const FileOption> outputs, std::span<const FileOption> inputs) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const FileOption& output = outputs[i];
    if (output.file.empty()) continue;
    const auto refuse_same = [&](std::span<const FileOption> others) {
      for (const FileOption& other : others) {
        if (other.file.empty() || !same_file(output.file, other.file)) continue;
        throw UsageError(
            fmt::format("{} and {} are the same file: {}", other.option, output.option, output.file));
      }
    };
    refuse_same(outputs.first(i));
    refuse_same(inputs);
    check_writable(output.file);
  }
}

}  // namespace voxgemm::tools
