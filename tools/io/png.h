// PNG output, 8-bit RGB.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

namespace voxgemm::tools {

using Rgb = std::array<std::uint8_t, 3>;

/// Image in memory; row 0 is the top.
class Image {
 public:
  Image(std::int32_t width, std::int32_t height, Rgb background);
  [[nodiscard]] std::int32_t width() const { return width_; }
  [[nodiscard]] std::int32_t height() const { return height_; }
  /// Pixels outside the image are ignored.
  void set(std::int32_t x, std::int32_t y, Rgb colour);
  [[nodiscard]] Rgb at(std::int32_t x, std::int32_t y) const;
  void fill(std::int32_t x, std::int32_t y, std::int32_t width, std::int32_t height, Rgb colour);
  /// 5 x 7 dot letters, `scale` pixels a dot; digits, letters (shown as capitals) and . , : - / % ( ) + =.
  void text(std::int32_t x, std::int32_t y, std::string_view words, Rgb colour, std::int32_t scale = 2);
  /// Throws kIo naming the file.
  void write_png(const std::filesystem::path& file) const;

 private:
  std::int32_t width_;
  std::int32_t height_;
  std::vector<std::uint8_t> pixels_;
};

}  // namespace voxgemm::tools
