// Proves: ASCII, binary and compressed .pcd files give the same points, whatever the field order and types;
// damaged ones give an error, never a crash (every prefix and many byte flips are tried).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
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

PointCloud read_pcd(const std::filesystem::path& file) { return read_points(file, {}); }

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

/// Points at (1, 2, 3) with one more field.
PointCloud with_field(const std::string& name, const std::string& type_and_size,
                      const std::vector<std::string>& values, bool ascii = true) {
  const TemporaryFolder folder;
  std::string text = "FIELDS x y z " + name + "\nSIZE 4 4 4 " + type_and_size[1] + "\nTYPE F F F " +
                     type_and_size[0] + "\nCOUNT 1 1 1 1\nWIDTH " + std::to_string(values.size()) +
                     "\nHEIGHT 1\nDATA " + (ascii ? "ascii\n" : "binary\n");
  for (const std::string& value : values) {
    text += ascii ? "1 2 3 " + value + "\n" : raw(1.0F) + raw(2.0F) + raw(3.0F) + value;
  }
  return read_pcd(folder.file("f.pcd", text));
}

TEST(PcdFile, TimesBecomeSeconds) {
  const auto ages = [](const PointCloud& cloud) {
    EXPECT_EQ(cloud.columns, "xyzt");
    EXPECT_EQ(cloud.age_fault, "");
    EXPECT_EQ(cloud.notes.size(), 1U);
    std::vector<float> values;
    for (std::size_t i = 3; i < cloud.values.size(); i += 4) values.push_back(cloud.values[i]);
    return values;
  };
  EXPECT_THAT(ages(with_field("t", "U4", {"0", "50000000"})), ElementsAre(0, 0.05F));
  EXPECT_THAT(ages(with_field("t", "U4", {raw(std::uint32_t{50000000})}, false)), ElementsAre(0.05F));
  EXPECT_THAT(ages(with_field("offset_time", "I8", {"-25000000"})), ElementsAre(-0.025F));
  EXPECT_THAT(ages(with_field("t", "F4", {"0.5"})), ElementsAre(0.5F));
  EXPECT_THAT(ages(with_field("time", "F8", {"0.25"})), ElementsAre(0.25F));
  // Absolute (float64 steps by 256 ns there): seconds, microseconds and nanoseconds since 1970, seconds since
  // the sensor's start.
  EXPECT_THAT(ages(with_field("timestamp", "F8", {"1700000000.25", "1700000000.5", "nan"})),
              ElementsAre(0.25F, 0, ::testing::NanSensitiveFloatEq(std::nanf(""))));
  EXPECT_THAT(ages(with_field("timestamp", "U8", {"1700000000500000", "1700000000250000"})),
              ElementsAre(0, 0.25F));
  EXPECT_THAT(ages(with_field("Timestamp", "F8", {"1700000000500000000", "1700000000250000000"})),
              ElementsAre(0, ::testing::FloatNear(0.25F, 1e-6F)));
  EXPECT_THAT(ages(with_field("timestamp", "F4", {"1234.5", "1234.25"})), ElementsAre(0, 0.25F));
}

TEST(PcdFile, TimesOfAnUnknownUnitAreRefusedWhereTheyAreRead) {
  const auto fault = [](const PointCloud& cloud) {
    EXPECT_EQ(error_of([&] { check_ages("f", select_columns(cloud, "xyzi")); }), "");
    return error_of([&] { check_ages("f.pcd", select_columns(cloud, "xyzit")); });
  };
  EXPECT_THAT(fault(with_field("time", "U4", {"7"})),
              HasSubstr("f.pcd: column 't' (field 'time') holds no ages in seconds: the unit of uint32"));
  EXPECT_THAT(fault(with_field("timestamp", "U4", {"100", "50000000"})), HasSubstr("unit of 50000000"));
  EXPECT_THAT(fault(with_field("timestamp", "F8", {"1e30"})), HasSubstr("unit of 1e+30"));
  EXPECT_THAT(fault(with_field("timestamp", "F4", {"1700000000"})), HasSubstr("float32 cannot hold"));
  EXPECT_THAT(fault(with_field("time", "F8", {"1700000000.5"})), HasSubstr("at point 0, limit 10"));
  EXPECT_THAT(fault(with_field("t", "U8", {"0", "20000000000"})), HasSubstr("20 at point 1, limit 10"));
}

TEST(PcdFile, RedIsNoRing) {
  const TemporaryFolder folder;
  const auto columns = [&](const std::string& fields) {
    return read_pcd(folder.file("c.pcd", "FIELDS x y z " + fields +
                                             "\nSIZE 4 4 4 1 1 1\nTYPE F F F U U U\nCOUNT 1 1 1 1 1 1\n"
                                             "WIDTH 1\nHEIGHT 1\nDATA ascii\n1 2 3 4 5 6\n"))
        .columns;
  };
  EXPECT_EQ(columns("r g b"), "xyz");
  EXPECT_EQ(columns("R _ B"), "xyz");
  EXPECT_EQ(columns("r _ _"), "xyzr");
  EXPECT_EQ(columns("r g laser"), "xyzr");
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
