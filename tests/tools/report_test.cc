// Proves: messages are one printable line, tables align, numbers are grouped, pictures are valid PNG files
// with the colours asked for, ranges of columns are those of their finite values.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <png.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "tests/tools/temporary_folder.h"
#include "tools/io/png.h"
#include "tools/report/columns.h"
#include "tools/report/layers.h"
#include "tools/report/message.h"
#include "tools/report/picture.h"
#include "tools/report/table.h"
#include "voxgemm/error.h"

namespace voxgemm::tools {
namespace {

using test::TemporaryFolder;

TEST(Table, AlignsWordsLeftAndNumbersRight) {
  Table table({{"layer", Table::Align::kLeft}, {"rows"}});
  table.row({"a", "12"});
  table.rule();
  table.row({"longer"});
  EXPECT_EQ(table.text(), "layer   rows\n------  ----\na         12\n------  ----\nlonger\n");
}

TEST(Table, CountsLettersNotBytes) {
  Table table({{"µs"}, {"b"}});
  table.row({"7", "8"});
  EXPECT_EQ(table.text(), "µs  b\n--  -\n 7  8\n");
}

TEST(Message, IsOnePrintableLine) {
  EXPECT_EQ(printable("plain: 'x' \\n"), "plain: 'x' \\n");
  EXPECT_EQ(printable("a\nb\r\tc"), "a\\nb\\r\\tc");
  EXPECT_EQ(printable(std::string("\0\x1b[31m\x7f", 7)), "\\x00\\x1B[31m\\x7F");
  EXPECT_EQ(printable("µs 点 \xF0\x9F\x98\x80"), "µs 点 \xF0\x9F\x98\x80");
  EXPECT_EQ(printable("\xC2\x85|\xE2\x80\xA8|\xE2\x80\xAE"), "\\xC2\\x85|\\xE2\\x80\\xA8|\\xE2\\x80\\xAE");
  // No UTF-8: Latin-1, a cut character, overlong forms, a surrogate, beyond the last character.
  for (const char* bytes :
       {"\xE9", "\xE2\x80", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80"}) {
    const std::string out = printable(bytes);
    EXPECT_EQ(out.size(), 4 * std::string(bytes).size()) << out;
    EXPECT_EQ(out.substr(0, 2), "\\x");
  }
}

TEST(Message, IsCutInTheMiddle) {
  EXPECT_EQ(printable(std::string(16, 'a'), 16), std::string(16, 'a'));
  EXPECT_EQ(printable("abcdefghijklmnopq", 16), "abcdef ... mnopq");
  EXPECT_EQ(printable("µµµµµµghijkl点点点点点", 16), "µµµµµµ ... 点点点点点");
  EXPECT_EQ(printable("abcdef\n\n\nghijmnopq", 16), "abcdef ... mnopq");
}

TEST(Table, GroupsThousands) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(-1234567), "-1,234,567");
  EXPECT_EQ(grouped(-123), "-123");
}

TEST(Layers, IssuedMacsRoundChannelsUp) {
  LayerRow row;
  row.pairs = 10;
  row.c_in = 5;
  row.c_out = 20;
  row.useful_macs = 1000;
  const auto issued = [&](const char* kernel) {
    row.kernel = kernel;
    return issued_macs(row);
  };
  EXPECT_EQ(issued("avx512vnni_6x64x4_u8"), 10 * 8 * 32);
  EXPECT_EQ(issued("avx2_4x16x2"), 10 * 6 * 32);
  EXPECT_EQ(issued("avx512_f32_6x64x1"), 10 * 5 * 32);
  EXPECT_EQ(issued("scalar_f32"), 1000);
  EXPECT_EQ(issued("amx_32x32x64"), 0);
  EXPECT_EQ(issued("sm80_64x64x64"), 0);
  EXPECT_EQ(issued("avx2"), 0);
}

std::vector<std::uint8_t> decode(const std::filesystem::path& file, png_image& header) {
  header = {};
  header.version = PNG_IMAGE_VERSION;
  EXPECT_NE(png_image_begin_read_from_file(&header, file.c_str()), 0) << header.message;
  header.format = PNG_FORMAT_RGB;
  std::vector<std::uint8_t> pixels(PNG_IMAGE_SIZE(header));
  EXPECT_NE(png_image_finish_read(&header, nullptr, pixels.data(), 0, nullptr), 0) << header.message;
  return pixels;
}

TEST(Image, WritesWhatWasDrawn) {
  const TemporaryFolder folder;
  Image image(5, 3, {1, 2, 3});
  image.set(4, 2, {200, 100, 50});
  image.set(9, 9, {9, 9, 9});  // outside: ignored
  image.set(-1, 0, {9, 9, 9});
  image.write_png(folder / "a.png");
  png_image header;
  const std::vector<std::uint8_t> pixels = decode(folder / "a.png", header);
  EXPECT_EQ(header.width, 5U);
  EXPECT_EQ(header.height, 3U);
  EXPECT_EQ((std::vector<std::uint8_t>(pixels.begin(), pixels.begin() + 3)),
            (std::vector<std::uint8_t>{1, 2, 3}));
  EXPECT_EQ((std::vector<std::uint8_t>(pixels.end() - 3, pixels.end())),
            (std::vector<std::uint8_t>{200, 100, 50}));
  EXPECT_THROW(image.write_png(folder / "no/such/folder.png"), Error);
}

TEST(Picture, PointsAndVoxelsStandSideBySide) {
  PictureOptions options;
  options.grid.min_xyz = {-10, -10, -3};
  options.grid.max_xyz = {10, 10, 1};
  options.grid.voxel_size_xyz = {0.5F, 0.5F, 0.5F};
  options.panel = 200;
  PointCloud cloud;
  cloud.columns = "xyz";
  cloud.values = {5.01F, 5.01F, -1.0F, 500.0F, 0.0F, 0.0F};
  const std::vector<std::int32_t> voxel{0, 4, 30, 30};  // z,y,x: centre (5.25, 5.25, -0.75)
  const Image one = draw_birds_eye(cloud, {}, options);
  const Image two = draw_birds_eye(cloud, voxel, options);
  EXPECT_EQ(two.width() - one.width(), 200 + 14);
  // 10 pixels a metre; x = 5.01 lies 49.9 pixels below the top edge, y = 5.01 as far from the left edge.
  EXPECT_EQ(one.at(14 + 49, 34 + 49), height_colour((-1.0F + 2.6F) / 5.0F));
  EXPECT_EQ(two.at(14 + 214 + 46, 34 + 46), height_colour((-0.75F + 2.6F) / 5.0F));
}

TEST(Columns, RangesTellOfFiniteValues) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const std::vector<std::string> names{"x", "i", "t"};
  const std::vector<float> values{-53.9876F, 255.0F, kInf, 53.9F, 0.0F, -kInf, 1.0F, std::nanf(""), kInf};
  const std::vector<ColumnRange> ranges = column_ranges(names, values);
  EXPECT_EQ(ranges_text(ranges), "x -53.99 to 53.9, i 0 to 255 (1 not finite), t none finite");
  const nlohmann::json json = ranges_json(ranges);
  EXPECT_EQ(json[1], (nlohmann::json{{"name", "i"}, {"min", 0.0}, {"max", 255.0}, {"not_finite", 1}}));
  EXPECT_TRUE(json[2]["min"].is_null());
  EXPECT_EQ(json[2]["not_finite"], 3);
  EXPECT_EQ(ranges_text(column_ranges({names.data(), 1}, std::vector<float>{-0.0F, -0.0F})), "x 0 to 0");
  EXPECT_EQ(ranges_text(column_ranges(names, {})), "x none finite, i none finite, t none finite");
}

TEST(Columns, TextOfManyChannelsIsCut) {
  const std::vector<std::string> names(20, "c");
  std::vector<double> decibels(20, 1.25);
  decibels[0] = std::numeric_limits<double>::infinity();
  const std::string text = channels_text(names, decibels);
  EXPECT_THAT(text, ::testing::StartsWith("c exact, c 1.2, c 1.2"));
  EXPECT_THAT(text, ::testing::EndsWith("c 1.2 and 4 more"));
  EXPECT_EQ(column_ranges(names, std::vector<float>(40, 1.0F)).size(), 20U);
}

}  // namespace
}  // namespace voxgemm::tools
