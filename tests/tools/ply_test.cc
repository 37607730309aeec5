// Proves: .ply files in ASCII and in both byte orders give the same points, whatever other elements, lists
// and properties lie between; malformed ones give an error that names the element, the instance and the
// fault.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
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
using ::testing::EndsWith;
using ::testing::HasSubstr;

/// Writes values as a .ply of one encoding does.
class Writer {
 public:
  explicit Writer(std::string encoding) : encoding_(std::move(encoding)) {}

  template <typename T>
  Writer& add(T value) {
    if (encoding_ == "ascii") {
      text_ += (in_row_ ? " " : "") + std::to_string(value);
      in_row_ = true;
      return *this;
    }
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    if (encoding_ == "binary_big_endian") std::reverse(bytes, bytes + sizeof(T));
    text_.append(bytes, sizeof(T));
    return *this;
  }
  Writer& end_row() {
    if (encoding_ == "ascii") text_ += "\n";
    in_row_ = false;
    return *this;
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string encoding_;
  std::string text_;
  bool in_row_ = false;
};

constexpr const char* kEncodings[] = {"ascii", "binary_little_endian", "binary_big_endian"};

std::string whole_file(const std::string& encoding) {
  Writer data(encoding);
  for (int i = 0; i < 2; ++i) {  // lists before and between the points' values
    data.add(std::uint8_t{2}).add(std::int32_t{7}).add(std::int32_t{8}).add(0.5F).end_row();
  }
  for (const float x : {1.5F, -2.25F}) {
    data.add(double{x}).add(std::uint16_t{3}).add(1.0F).add(2.0F).add(3.0F).add(x + 1.0F);
    data.add(std::uint8_t{200}).add(x * 2.0F).add(std::int16_t{-5}).end_row();
  }
  data.add(std::uint32_t{0}).end_row();
  return "ply\nformat " + encoding + " 1.0\ncomment made by hand\nobj_info none\n" +
         "element camera 2\nproperty list uchar int frames\nproperty float focus\n" +
         "element vertex 2\nproperty double x\nproperty list ushort float near\nproperty float32 Y\n" +
         "property uchar scalar_Intensity\nproperty float z\nproperty int16 red\n" +
         "element face 1\nproperty list uint int vertex_indices\nend_header\n" + data.text();
}

TEST(PlyFile, EveryEncodingGivesTheSamePoints) {
  const TemporaryFolder folder;
  for (const char* encoding : kEncodings) {
    const PointCloud cloud = read_points(folder.file("a.ply", whole_file(encoding)), {});
    EXPECT_EQ(cloud.columns, "xyiz") << encoding;
    EXPECT_THAT(cloud.values, ElementsAre(1.5F, 2.5F, 200, 3, -2.25F, -1.25F, 200, -4.5F)) << encoding;
    EXPECT_THAT(cloud.notes, ElementsAre("i is field 'scalar_Intensity'")) << encoding;
    EXPECT_FALSE(cloud.assumed);
  }
}

TEST(PlyFile, EveryTypeIsRead) {
  const TemporaryFolder folder;
  for (const char* encoding : kEncodings) {
    const auto value = [&](const char* type, auto stored) {
      Writer data(encoding);
      data.add(1.0F).add(2.0F).add(3.0F).add(stored).end_row();
      const std::string header = std::string("ply\nformat ") + encoding +
                                 " 1.0\nelement vertex 1\nproperty float x\nproperty float y\n"
                                 "property float z\nproperty " +
                                 type + " i\nend_header\n";
      return read_points(folder.file("a.ply", header + data.text()), {}).values.at(3);
    };
    for (const char* type : {"char", "int8"}) EXPECT_EQ(value(type, std::int8_t{-100}), -100.0F) << type;
    for (const char* type : {"uchar", "uint8"}) EXPECT_EQ(value(type, std::uint8_t{200}), 200.0F) << type;
    for (const char* type : {"short", "int16"}) EXPECT_EQ(value(type, std::int16_t{-999}), -999.0F) << type;
    for (const char* type : {"ushort", "uint16"}) {
      EXPECT_EQ(value(type, std::uint16_t{65535}), 65535.0F) << type;
    }
    for (const char* type : {"int", "int32"}) EXPECT_EQ(value(type, std::int32_t{-70000}), -70000.0F) << type;
    for (const char* type : {"uint", "uint32"}) {
      EXPECT_EQ(value(type, std::uint32_t{4294967295U}), 4294967296.0F) << type;
    }
    for (const char* type : {"float", "float32"}) EXPECT_EQ(value(type, 0.25F), 0.25F) << type;
    for (const char* type : {"double", "float64"}) EXPECT_EQ(value(type, -0.125), -0.125F) << type;
  }
}

TEST(PlyFile, TextAsOthersWriteIt) {
  const TemporaryFolder folder;
  const std::string header =
      "ply\r\nformat ascii 1.0\r\nelement vertex 2\r\nproperty float X\r\nproperty float Y\r\n"
      "property float Z\r\nproperty uint t\r\nend_header\r\n";
  const PointCloud cloud =
      read_points(folder.file("a.PLY", header + "+1.5\t2 3e0 50000000\r\n\r\n -4 5  6 0 \r\n\n"), {});
  EXPECT_EQ(cloud.columns, "xyzt");
  EXPECT_THAT(cloud.values, ElementsAre(1.5F, 2, 3, 0.05F, -4, 5, 6, 0));
}

TEST(PlyFile, FilesWithoutPointsAreRead) {
  const TemporaryFolder folder;
  const std::string header =
      "ply\nformat ascii 1.0\nelement nothing 2000000000\nelement vertex 0\nproperty float x\n"
      "property float y\nproperty float z\nend_header\n";
  EXPECT_EQ(read_points(folder.file("a.ply", header), {}).num_points(), 0);
}

TEST(PlyFile, MalformedFilesNameTheirFault) {
  const TemporaryFolder folder;
  const auto fault = [&](const std::string& bytes) {
    const auto file = folder.file("bad.ply", bytes);
    return error_of([&] { read_points(file, {}); });
  };
  const auto replaced = [](std::string text, const std::string& from, const std::string& to) {
    return text.replace(text.find(from), from.size(), to);
  };
  const std::string ascii = whole_file("ascii");
  const std::string binary = whole_file("binary_little_endian");
  EXPECT_THAT(fault(""), HasSubstr("not a .ply file (the first line is not 'ply')"));
  EXPECT_THAT(fault("plyx\n"), HasSubstr("the first line is not 'ply'"));
  EXPECT_THAT(fault("ply\nformat ascii 1.0\n"), HasSubstr("no 'end_header'"));
  EXPECT_THAT(fault(replaced(ascii, "format ascii 1.0\n", "")), HasSubstr("ply header: no 'format'"));
  EXPECT_THAT(fault(replaced(ascii, "ascii", "utf8")), HasSubstr("format 'utf8': ascii, binary_little"));
  EXPECT_THAT(fault(replaced(ascii, "1.0", "2.0")), HasSubstr("the format is not 1.0"));
  EXPECT_THAT(fault(replaced(ascii, "element vertex 2", "element vertex two")), HasSubstr("has no count"));
  EXPECT_THAT(fault(replaced(ascii, "element vertex 2", "element vertex -2")), HasSubstr("has no count"));
  EXPECT_THAT(fault(replaced(ascii, "element vertex 2", "element vertex 99999999999")), HasSubstr("absurd"));
  EXPECT_THAT(fault(replaced(ascii, "element face", "element vertex")), HasSubstr("two elements 'vertex'"));
  EXPECT_THAT(fault(replaced(ascii, "element vertex", "element points")), HasSubstr("no element 'vertex'"));
  EXPECT_THAT(fault(replaced(ascii, "Y\n", "w\n")), HasSubstr("no field 'y'"));
  EXPECT_THAT(fault(replaced(ascii, "double x", "half x")), HasSubstr("'x': type 'half' is not known"));
  EXPECT_THAT(fault(replaced(ascii, "list uchar", "list float")), HasSubstr("length of a list is no float"));
  EXPECT_THAT(fault(replaced(ascii, "property double x", "property x")), HasSubstr("a type and a name"));
  EXPECT_THAT(fault(replaced(ascii, "obj_info", "object")), HasSubstr("'object' is not known"));
  EXPECT_THAT(fault("ply\nformat ascii 1.0\nproperty float x\nend_header\n"),
              HasSubstr("follows its element"));

  EXPECT_THAT(fault(ascii.substr(0, ascii.size() - 2)), HasSubstr("face 0 of 1: truncated"));
  EXPECT_THAT(fault(replaced(ascii, "2 7 8", "3 7 8")), HasSubstr("camera 0 of 2: only 4 values in the row"));
  EXPECT_THAT(fault(replaced(ascii, "2 7 8", "1 7 8")),
              HasSubstr("camera 0 of 2: 4 values in the row, 3 in the properties"));
  EXPECT_THAT(fault(replaced(ascii, "2 7 8", "-2 7 8")), HasSubstr("camera 0 of 2: a list of -2 values"));
  EXPECT_THAT(fault(replaced(ascii, "1.500000", "one")), HasSubstr("vertex 0 of 2: 'one' is no number"));
  EXPECT_THAT(fault(ascii + "5\n"), HasSubstr("surplus data: 2 bytes after the elements"));
  EXPECT_THAT(fault(binary.substr(0, binary.size() - 1)), HasSubstr("face 0 of 1: truncated"));
  EXPECT_THAT(fault(binary + "x"), HasSubstr("surplus data: 1 bytes"));
  EXPECT_EQ(fault(binary + std::string(100, '\0')), "");
  EXPECT_EQ(fault(ascii + "\n \n"), "");
  EXPECT_THAT(fault(replaced(binary, "element vertex 2", "element vertex 2000000000")),
              HasSubstr(" of 2000000000: truncated"));
  const auto columns = folder.file("c.ply", ascii);
  EXPECT_THAT(error_of([&] { read_points(columns, {.columns = "xyz"}); }),
              EndsWith("names its columns itself"));
}

TEST(PlyFile, DamageNeverCrashes) {
  const TemporaryFolder folder;
  int failures = 0;
  for (const char* encoding : kEncodings) {
    const std::string whole = whole_file(encoding);
    const bool text = encoding == std::string("ascii");  // a last number may lose digits
    for (std::size_t length = 0; length < whole.size() - (text ? 1 : 0); ++length) {
      const auto file = folder.file("part.ply", whole.substr(0, length));
      EXPECT_THROW(read_points(file, {}), Error) << encoding << " " << length;
    }
    Random random(5);
    for (int i = 0; i < 1000; ++i) {
      std::string broken = whole;
      for (int flips = 0; flips < 3; ++flips)
        broken[random.next() % broken.size()] = static_cast<char>(random.next());
      const auto file = folder.file("flip.ply", broken);
      failures += error_of([&] { read_points(file, {}); }).empty() ? 0 : 1;
    }
  }
  EXPECT_GT(failures, 100);
}

}  // namespace
}  // namespace voxgemm::tools
