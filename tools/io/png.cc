#include "tools/io/png.h"

#include <png.h>

#include <cctype>
#include <cstddef>
#include <cstring>

#include "tools/io/array.h"
#include "tools/io/output.h"

namespace voxgemm::tools {
namespace {

/// Columns of each letter, left to right; bit 0 is the top dot.
struct Glyph {
  char letter;
  std::array<std::uint8_t, 5> columns;
};
constexpr std::array<Glyph, 47> kGlyphs{{
    {'0', {0x3E, 0x51, 0x49, 0x45, 0x3E}}, {'1', {0x00, 0x42, 0x7F, 0x40, 0x00}},
    {'2', {0x42, 0x61, 0x51, 0x49, 0x46}}, {'3', {0x21, 0x41, 0x45, 0x4B, 0x31}},
    {'4', {0x18, 0x14, 0x12, 0x7F, 0x10}}, {'5', {0x27, 0x45, 0x45, 0x45, 0x39}},
    {'6', {0x3C, 0x4A, 0x49, 0x49, 0x30}}, {'7', {0x01, 0x71, 0x09, 0x05, 0x03}},
    {'8', {0x36, 0x49, 0x49, 0x49, 0x36}}, {'9', {0x06, 0x49, 0x49, 0x29, 0x1E}},
    {'A', {0x7E, 0x11, 0x11, 0x11, 0x7E}}, {'B', {0x7F, 0x49, 0x49, 0x49, 0x36}},
    {'C', {0x3E, 0x41, 0x41, 0x41, 0x22}}, {'D', {0x7F, 0x41, 0x41, 0x22, 0x1C}},
    {'E', {0x7F, 0x49, 0x49, 0x49, 0x41}}, {'F', {0x7F, 0x09, 0x09, 0x09, 0x01}},
    {'G', {0x3E, 0x41, 0x49, 0x49, 0x7A}}, {'H', {0x7F, 0x08, 0x08, 0x08, 0x7F}},
    {'I', {0x00, 0x41, 0x7F, 0x41, 0x00}}, {'J', {0x20, 0x40, 0x41, 0x3F, 0x01}},
    {'K', {0x7F, 0x08, 0x14, 0x22, 0x41}}, {'L', {0x7F, 0x40, 0x40, 0x40, 0x40}},
    {'M', {0x7F, 0x02, 0x0C, 0x02, 0x7F}}, {'N', {0x7F, 0x04, 0x08, 0x10, 0x7F}},
    {'O', {0x3E, 0x41, 0x41, 0x41, 0x3E}}, {'P', {0x7F, 0x09, 0x09, 0x09, 0x06}},
    {'Q', {0x3E, 0x41, 0x51, 0x21, 0x5E}}, {'R', {0x7F, 0x09, 0x19, 0x29, 0x46}},
    {'S', {0x46, 0x49, 0x49, 0x49, 0x31}}, {'T', {0x01, 0x01, 0x7F, 0x01, 0x01}},
    {'U', {0x3F, 0x40, 0x40, 0x40, 0x3F}}, {'V', {0x1F, 0x20, 0x40, 0x20, 0x1F}},
    {'W', {0x3F, 0x40, 0x38, 0x40, 0x3F}}, {'X', {0x63, 0x14, 0x08, 0x14, 0x63}},
    {'Y', {0x07, 0x08, 0x70, 0x08, 0x07}}, {'Z', {0x61, 0x51, 0x49, 0x45, 0x43}},
    {'.', {0x00, 0x60, 0x60, 0x00, 0x00}}, {',', {0x00, 0x50, 0x30, 0x00, 0x00}},
    {':', {0x00, 0x36, 0x36, 0x00, 0x00}}, {'-', {0x08, 0x08, 0x08, 0x08, 0x08}},
    {'/', {0x20, 0x10, 0x08, 0x04, 0x02}}, {'%', {0x23, 0x13, 0x08, 0x64, 0x62}},
    {'(', {0x00, 0x1C, 0x22, 0x41, 0x00}}, {')', {0x00, 0x41, 0x22, 0x1C, 0x00}},
    {'+', {0x08, 0x08, 0x3E, 0x08, 0x08}}, {'=', {0x14, 0x14, 0x14, 0x14, 0x14}},
    {'_', {0x40, 0x40, 0x40, 0x40, 0x40}},
}};

}  // namespace

Image::Image(std::int32_t width, std::int32_t height, Rgb background)
    : width_(width),
      height_(height),
      pixels_(3 * static_cast<std::size_t>(width) * static_cast<std::size_t>(height)) {
  fill(0, 0, width, height, background);
}

void Image::set(std::int32_t x, std::int32_t y, Rgb colour) {
  if (x < 0 || y < 0 || x >= width_ || y >= height_) return;
  std::memcpy(&pixels_[3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) +
                            static_cast<std::size_t>(x))],
              colour.data(), 3);
}

Rgb Image::at(std::int32_t x, std::int32_t y) const {
  Rgb colour{};
  if (x < 0 || y < 0 || x >= width_ || y >= height_) return colour;
  std::memcpy(colour.data(),
              &pixels_[3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) +
                            static_cast<std::size_t>(x))],
              3);
  return colour;
}

void Image::fill(std::int32_t x, std::int32_t y, std::int32_t width, std::int32_t height, Rgb colour) {
  for (std::int32_t v = y; v < y + height; ++v) {
    for (std::int32_t u = x; u < x + width; ++u) set(u, v, colour);
  }
}

void Image::text(std::int32_t x, std::int32_t y, std::string_view words, Rgb colour, std::int32_t scale) {
  for (const char raw : words) {
    const char letter = static_cast<char>(std::toupper(static_cast<unsigned char>(raw)));
    for (const Glyph& glyph : kGlyphs) {
      if (glyph.letter != letter) continue;
      for (std::int32_t column = 0; column < 5; ++column) {
        for (std::int32_t dot = 0; dot < 7; ++dot) {
          if ((glyph.columns[static_cast<std::size_t>(column)] >> dot & 1) == 0) continue;
          fill(x + column * scale, y + dot * scale, scale, scale, colour);
        }
      }
    }
    x += 6 * scale;
  }
}

void Image::write_png(const std::filesystem::path& file) const {
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(width_);
  header.height = static_cast<png_uint_32>(height_);
  header.format = PNG_FORMAT_RGB;
  png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(header);
  std::vector<std::byte> encoded(bytes);
  if (png_image_write_to_memory(&header, encoded.data(), &bytes, 0, pixels_.data(), 0, nullptr) == 0) {
    fail_io(file, std::string("cannot be written: ") + header.message);
  }
  write_file(file, encoded.data(), bytes);
}

}  // namespace voxgemm::tools
