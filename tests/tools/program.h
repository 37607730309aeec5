// Runs the program as a shell would, and reads what it wrote.
#pragma once

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/io/array.h"

namespace voxgemm::tools::test {

struct Outcome {
  int code = -1;    // -1: it did not end by itself
  std::string out;  // standard output and standard error
};

inline Outcome voxgemm(const std::string& arguments) {
  const std::string command = std::string(VOXGEMM_PROGRAM) + " " + arguments + " 2>&1";
  std::FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  Outcome outcome;
  std::array<char, 4096> block{};
  while (const std::size_t got = std::fread(block.data(), 1, block.size(), pipe))
    outcome.out.append(block.data(), got);
  const int status = pclose(pipe);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

inline nlohmann::json read_json(const std::filesystem::path& file) {
  const std::vector<std::byte> bytes = read_file(file);
  return nlohmann::json::parse(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

}  // namespace voxgemm::tools::test
