// Proves: ASCII, binary and compressed .pcd files give the same points, whatever the field order and types;
// damaged ones give an error, never a crash (every prefix and many byte flips are tried).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "tests/tools/temporary_folder.h"
#include "tools/io/points.h"
#include "tools/sim/random.h"
#include "voxgemm/error.h"

namespace voxgemm::tools {
namespace {

using test::error_of;
using test::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string header(const std::string& data, int points = 2) {
  return "# .PCD v0.7\nVERSION 0.7\nFIELDS intensity x y z ring\nSIZE 1 4 4 8 2\nTYPE U F F F U\nCOUNT 1 1 1 "
         "1 1\n"
         "WIDTH " +
         std::to_string(points) + "\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS " + std::to_string(points) +
         "\nDATA " + data + "\n";
}

template <typename T>
std::string raw(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

std::string point(int intensity, float x, float y, double z, int ring) {
  return raw(static_cast<std::uint8_t>(intensity)) + raw(x) + raw(y) + raw(z) +
         raw(static_cast<std::uint16_t>(ring));
}

std::string binary_file() {
  return header("binary") + point(200, 1.5F, -2.0F, 0.25, 7) + point(3, 4.0F, 5.0F, -6.0, 31);
}

/// The two points of binary_file(), field after field, as LZF literals of at most 32 bytes.
std::string compressed_file() {
  const std::string plain = raw(std::uint8_t{200}) + raw(std::uint8_t{3}) + raw(1.5F) + raw(4.0F) +
                            raw(-2.0F) + raw(5.0F) + raw(0.25) + raw(-6.0) + raw(std::uint16_t{7}) +
                            raw(std::uint16_t{31});
  std::string packed;
  for (std::size_t at = 0; at < plain.size(); at += 32) {
    const std::string part = plain.substr(at, 32);
    packed += static_cast<char>(part.size() - 1);
    packed += part;
  }
  return header("binary_compressed") + raw(static_cast<std::uint32_t>(packed.size())) +
         raw(static_cast<std::uint32_t>(plain.size())) + packed;
}

TEST(PcdFile, AsciiBinaryAndCompressedAgree) {
  const TemporaryFolder folder;
  const auto expect_points = [](const PointCloud& cloud) {
    EXPECT_EQ(cloud.columns, "ixyzr");
    EXPECT_THAT(cloud.values, ElementsAre(200, 1.5F, -2.0F, 0.25F, 7, 3, 4, 5, -6, 31));
  };
  expect_points(read_pcd(folder.file("a.pcd", header("ascii") + "200 1.5 -2 0.25 7\n3 4 5 -6.0e0 31\n")));
  expect_points(read_pcd(folder.file("b.pcd", binary_file())));
  expect_points(read_pcd(folder.file("c.pcd", compressed_file())));
}

TEST(PcdFile, BackReferencesRepeatBytes) {
  const TemporaryFolder folder;
  const std::string head =
      "FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 10\nHEIGHT 1\nDATA binary_compressed\n";
  // 4 literal bytes, then 116 more by references 4 back: 7 << 5 means 9 + next byte.
  const std::string packed = std::string(1, '\x03') + raw(2.0F) + std::string("\xE0\x6B\x03", 3);
  const auto file = folder.file(
      "r.pcd", head + raw(static_cast<std::uint32_t>(packed.size())) + raw(std::uint32_t{120}) + packed);
  const PointCloud cloud = read_pcd(file);
  EXPECT_EQ(cloud.num_points(), 10);
  EXPECT_THAT(cloud.values, ::testing::Each(2.0F));
}

TEST(PcdFile, NanPointsAreKept) {
  const TemporaryFolder folder;
  const PointCloud cloud = read_pcd(folder.file("n.pcd", header("ascii", 1) + "1 nan nan nan 0\n"));
  EXPECT_EQ(cloud.num_points(), 1);
}

TEST(PcdFile, AsciiRowsMayHaveBlanksAndBlankLines) {
  const TemporaryFolder folder;
  const auto file = folder.file("b.pcd", header("ascii") + "1 2\t3  4 5 \r\n\n 6 7 8 9 10\r\n \n\n");
  EXPECT_THAT(read_pcd(file).values, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
}

TEST(PcdFile, PlusSignsAndUpperCaseNamesAreRead) {
  const TemporaryFolder folder;
  const auto file = folder.file("u.pcd",
                                "FIELDS X Y Z Intensity\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 1 1 1 1\nWIDTH 1\n"
                                "HEIGHT 1\nPOINTS 1\nDATA ascii\n+1.5 +2e+0 -.25 +0\n");
  const PointCloud cloud = read_pcd(file);
  EXPECT_EQ(cloud.columns, "xyzi");
  EXPECT_THAT(cloud.values, ElementsAre(1.5F, 2.0F, -0.25F, 0.0F));
  for (const std::string word : {"+", "+-1", "++1", "-+1"}) {
    const auto bad = folder.file("bad.pcd", header("ascii", 1) + "1 " + word + " 3 4 5\n");
    EXPECT_THAT(error_of([&] { read_pcd(bad); }), HasSubstr("is no number")) << word;
  }
}

TEST(PcdFile, ZeroBytesMayFollowThePoints) {
  const TemporaryFolder folder;
  for (const std::string& whole : {binary_file(), compressed_file()}) {
    EXPECT_EQ(read_pcd(folder.file("z.pcd", whole + std::string(4000, '\0'))).num_points(), 2);
    const auto longer = folder.file("l.pcd", whole + std::string(7, '\0') + "x");
    EXPECT_THAT(error_of([&] { read_pcd(longer); }), HasSubstr("surplus data: 8 bytes after the 2 points"));
  }
}

TEST(PcdFile, TheMostUsualNameGivesTheColumn) {
  const TemporaryFolder folder;
  const auto file = folder.file("u.pcd",
                                "FIELDS reflectivity z x intensity y\nSIZE 4 4 4 4 4\nTYPE F F F F F\n"
                                "COUNT 1 1 1 1 1\nWIDTH 1\nHEIGHT 1\nPOINTS 1\nDATA ascii\n1 2 3 4 5\n");
  const PointCloud cloud = read_pcd(file);
  EXPECT_EQ(cloud.columns, "zxiy");
  EXPECT_THAT(cloud.values, ElementsAre(2, 3, 4, 5));
}

TEST(PcdFile, MalformedFilesNameTheirFault) {
  const TemporaryFolder folder;
  const auto fault = [&](const std::string& bytes) {
    const auto file = folder.file("bad.pcd", bytes);
    return error_of([&] { read_pcd(file); });
  };
  const auto replaced = [](std::string text, const std::string& from, const std::string& to) {
    return text.replace(text.find(from), from.size(), to);
  };
  EXPECT_THAT(fault("hello"), HasSubstr("not a .pcd file"));
  EXPECT_THAT(fault(header("ascii") + "1 2 3 4 5\n1 2"),
              HasSubstr("point 1 of 2: 2 values in the row, 5 in the fields"));
  EXPECT_THAT(fault(header("ascii") + "1 2 3 4 5\n"), HasSubstr("truncated: 1 rows for 2 points"));
  EXPECT_THAT(fault(header("ascii") + "1 2 3 4 5 6\n1 2 3 4\n"), HasSubstr("point 0 of 2: 6 values"));
  EXPECT_THAT(fault(header("ascii", 1) + "1 2 3 4 5\n\n6 7\n"), HasSubstr("surplus data after the 1 points"));
  EXPECT_THAT(fault(replaced(binary_file(), "WIDTH 2", "WIDTH 40")),
              HasSubstr("WIDTH 40 x HEIGHT 1 is not POINTS 2"));
  EXPECT_THAT(fault(header("ascii") + "1 2 3 4 5\n1 2 three 4 5"), HasSubstr("'three' is no number"));
  EXPECT_THAT(fault(binary_file().substr(0, binary_file().size() - 1)),
              HasSubstr("truncated: 2 points of 19 bytes"));
  EXPECT_THAT(fault(replaced(binary_file(), "POINTS 2", "POINTS 999999999999")), HasSubstr("absurd"));
  EXPECT_THAT(fault(replaced(binary_file(), "POINTS 2", "POINTS two")), HasSubstr("no whole number"));
  EXPECT_THAT(fault(replaced(binary_file(), "SIZE 1 4", "SIZE 1 3")), HasSubstr("type F3 is not known"));
  EXPECT_THAT(fault(replaced(binary_file(), "x y z ring", "x y w ring")), HasSubstr("no field 'z'"));
  EXPECT_THAT(fault(replaced(binary_file(), "TYPE U F F F U", "TYPE U F F")),
              HasSubstr("TYPE has 3 values for 5"));
  EXPECT_THAT(fault(header("zip")), HasSubstr("DATA zip"));
  EXPECT_THAT(fault(header("ascii", 1) + "1 2 3 4 5\n"), "");
  EXPECT_THAT(fault(header("ascii twice")), HasSubstr("DATA has 2 values, not 1"));
  EXPECT_THAT(fault(replaced(binary_file(), "WIDTH 2", "WIDTH 2 2")), HasSubstr("WIDTH has 2 values"));
}

TEST(PcdFile, DamageNeverCrashes) {
  const TemporaryFolder folder;
  int failures = 0;
  for (const std::string& whole : {binary_file(), compressed_file()}) {
    for (std::size_t length = 0; length < whole.size(); ++length) {
      const auto file = folder.file("part.pcd", whole.substr(0, length));
      EXPECT_THROW(read_pcd(file), Error) << length;
    }
    Random random(5);
    for (int i = 0; i < 2000; ++i) {
      std::string broken = whole;
      for (int flips = 0; flips < 3; ++flips)
        broken[random.next() % broken.size()] = static_cast<char>(random.next());
      const auto file = folder.file("flip.pcd", broken);
      failures += error_of([&] { read_pcd(file); }).empty() ? 0 : 1;
    }
  }
  EXPECT_GT(failures, 100);
}

}  // namespace
}  // namespace voxgemm::tools
