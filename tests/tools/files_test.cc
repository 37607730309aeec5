// Proves: .bin, .npy and .tensor files survive a round trip or are read as documented, and every malformed
// file gives an error that names the file and the fault. .pcd has its own test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/test_data.h"
#include "tests/tools/temporary_folder.h"
#include "tools/io/adjust.h"
#include "tools/io/array.h"
#include "tools/io/points.h"
#include "voxgemm/error.h"

namespace voxgemm::tools {
namespace {

using test::error_of;
using test::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

std::string npy(const std::string& header, const std::string& data, char major = 1) {
  std::string out = "\x93NUMPY";
  out += major;
  out += '\0';
  out += static_cast<char>(header.size() & 0xFFU);
  out += static_cast<char>(header.size() >> 8U);
  if (major > 1) out += std::string(2, '\0');
  return out + header + data;
}

std::string npy_header(const std::string& descr, const std::string& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
}

TEST(NpyFile, RoundTripKeepsEveryByte) {
  const TemporaryFolder folder;
  for (const Element element : {Element::kI8, Element::kU8, Element::kI16, Element::kI32, Element::kI64,
                                Element::kF16, Element::kF32, Element::kF64}) {
    for (const std::vector<std::int64_t>& shape : {std::vector<std::int64_t>{0, 4}, {3}, {2, 3, 4}}) {
      Array array;
      array.element = element;
      array.shape = shape;
      array.bytes.resize(static_cast<std::size_t>(array.size()) * element_bytes(element));
      for (std::size_t i = 0; i < array.bytes.size(); ++i) array.bytes[i] = static_cast<std::byte>(i * 37);
      write_npy(folder / "a.npy", array);
      const Array back = read_array(folder / "a.npy");
      EXPECT_EQ(back.element, element);
      EXPECT_EQ(back.shape, shape);
      EXPECT_EQ(back.bytes, array.bytes);
    }
  }
}

TEST(NpyFile, ReadsHeadersOfOtherWriters) {
  const TemporaryFolder folder;
  const std::string data = bytes_of<std::int32_t>({1, -2, 3, 4});
  const auto file =
      folder.file("b.npy", npy("{\"shape\":(2,2),\"fortran_order\":False,\"descr\":\"<i4\"}", data, 2));
  EXPECT_THAT(read_npy(file).to_int32(file), ElementsAre(1, -2, 3, 4));
}

TEST(NpyFile, FortranOrderIsTransposed) {
  const TemporaryFolder folder;
  const auto read = [&](const std::string& shape, const std::vector<std::int32_t>& data) {
    const auto file = folder.file(
        "f.npy", npy("{'descr': '<i4', 'fortran_order': True, 'shape': " + shape + ", }\n", bytes_of(data)));
    return read_npy(file).to_int32(file);
  };
  EXPECT_THAT(read("(2, 3)", {1, 4, 2, 5, 3, 6}), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(read("(2, 2, 2)", {1, 5, 3, 7, 2, 6, 4, 8}), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_THAT(read("(3,)", {1, 2, 3}), ElementsAre(1, 2, 3));
  EXPECT_THAT(read("()", {9}), ElementsAre(9));
  EXPECT_THAT(read("(0, 3)", {}), ElementsAre());
}

TEST(NpyFile, MalformedFilesNameTheirFault) {
  const TemporaryFolder folder;
  const std::string eight(8, '\0');
  const auto fault = [&](const std::string& bytes) {
    const auto file = folder.file("bad.npy", bytes);
    return error_of([&] { read_npy(file); });
  };
  EXPECT_THAT(fault(""), HasSubstr("not a .npy file"));
  EXPECT_THAT(fault("\x93NUMPZ\x01 abcdef"), HasSubstr("not a .npy file"));
  EXPECT_THAT(fault(npy(npy_header("<f4", "(2,)"), eight).substr(0, 40)), HasSubstr("header is"));
  EXPECT_THAT(fault(npy(npy_header("<f4", "(3,)"), eight)),
              HasSubstr("truncated: shape [3] of 4-byte elements"));
  EXPECT_THAT(fault(npy(npy_header("<f4", "(1,)"), eight)), HasSubstr("surplus data"));
  EXPECT_THAT(fault(npy(npy_header("<f4", "(-2,)"), eight)), HasSubstr("negative"));
  EXPECT_THAT(fault(npy(npy_header("<f4", "(4611686018427387904, 4611686018427387904)"), eight)),
              HasSubstr("absurdly"));
  EXPECT_THAT(fault(npy(npy_header("<f4", "(99999999999999999999,)"), eight)),
              HasSubstr("unreadable 'shape'"));
  EXPECT_THAT(fault(npy(npy_header("<f4", "(2"), eight)), HasSubstr("npy header: unreadable"));
  EXPECT_THAT(fault(npy(npy_header(">f4", "(2,)"), eight)), HasSubstr("big-endian"));
  EXPECT_THAT(fault(npy(npy_header("<c8", "(1,)"), eight)), HasSubstr("'<c8' is not supported"));
  EXPECT_THAT(fault(npy(npy_header("|O", "(1,)"), eight)), HasSubstr("|O"));
  EXPECT_THAT(fault(npy("{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,), }", eight)),
              HasSubstr("unreadable 'fortran_order'"));
  EXPECT_THAT(fault(npy("{'descr': '<f4'}", eight)), HasSubstr("lacks"));
  EXPECT_THAT(fault(npy("{'descr':", eight)), HasSubstr("npy header: unreadable"));
  EXPECT_THAT(fault(npy("{'descr': '<f4', 'fortran_order': False, 'shape': 2}", eight)),
              HasSubstr("unreadable 'shape'"));
  EXPECT_THAT(fault(npy(npy_header("<f4", "(2,)"), eight, 9)), HasSubstr("npy format 9"));
}

TEST(NpyFile, EveryPrefixFailsCleanly) {
  const TemporaryFolder folder;
  const std::string whole = npy(npy_header("<f4", "(2,)"), std::string(8, '\0'));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const auto file = folder.file("part.npy", whole.substr(0, length));
    EXPECT_THROW(read_npy(file), Error) << length;
  }
}

std::string structured(const std::string& descr, const std::string& shape, const std::string& data,
                       const std::string& fortran = "False") {
  return npy("{'descr': " + descr + ", 'fortran_order': " + fortran + ", 'shape': " + shape + "}\n", data);
}

TEST(NpyFile, StructuredPointsNameTheirColumns) {
  const TemporaryFolder folder;
  const auto row = [](float x, double y, float z, std::uint8_t intensity, std::uint16_t ring) {
    return bytes_of<float>({x}) + "\1\2\3" + bytes_of<double>({y}) + bytes_of<float>({z}) + "text" +
           bytes_of<std::uint8_t>({intensity}) + std::string(2, '\7') + bytes_of<std::uint16_t>({ring});
  };
  const std::string descr =
      "[('x', '<f4'), ('shape', '|u1', (3,)), ('y', '<f8'), (('metres: up', 'Z'), '<f4'), ('t', '|S4'), "
      "('intensity', 'u1'), ('', '|V2'), ('ring', '<u2')]";
  const std::string rows = row(1, 2, 3, 200, 7) + row(4, 5, 6, 8, 31);
  for (const char* shape : {"(2,)", "(2, 1)", "(1, 2L)"}) {
    const PointCloud cloud = read_points(folder.file("s.npy", structured(descr, shape, rows)), {});
    EXPECT_EQ(cloud.columns, "xyzir");
    EXPECT_THAT(cloud.values, ElementsAre(1, 2, 3, 200, 7, 4, 5, 6, 8, 31)) << shape;
  }
  const PointCloud turned =
      read_points(folder.file("f.npy", structured(descr, "(2, 2)", rows + rows, "True")), {});
  EXPECT_EQ(turned.num_points(), 4);
  EXPECT_EQ(turned.values[5], 1);  // stored third
  const auto file = folder.file("s.npy", structured(descr, "(2,)", rows));
  EXPECT_THAT(error_of([&] { read_points(file, {.columns = "xyz"}); }),
              HasSubstr("names its columns itself"));
  EXPECT_THAT(error_of([&] { read_npy(file); }), HasSubstr("structured npy data"));
}

TEST(NpyFile, StructuredPointsThatAreWrongNameTheirFault) {
  const TemporaryFolder folder;
  const auto fault = [&](const std::string& descr, const std::string& data) {
    const auto file = folder.file("bad.npy", structured(descr, "(1,)", data));
    return error_of([&] { read_points(file, {}); });
  };
  const std::string xy = "[('x', '<f4'), ('y', '<f4'), ";
  const std::string eight(8, '\0');
  EXPECT_THAT(fault("[('x', '<f4'), ('y', '<f4')]", eight), HasSubstr("no field 'z'"));
  EXPECT_THAT(fault(xy + "('z', '>f4')]", eight), HasSubstr("big-endian"));
  EXPECT_THAT(fault(xy + "('z', '<f4', (3,))]", eight + eight + "abcd"), HasSubstr("no field 'z'"));
  EXPECT_THAT(fault(xy + "('z', '<c8')]", eight), HasSubstr("'<c8' is not supported"));
  EXPECT_THAT(fault(xy + "('z', [('a', '<f4')])]", eight), HasSubstr("'z' is structured itself"));
  EXPECT_THAT(fault(xy + "('z', '<f4')]", eight), HasSubstr("truncated: shape [1] of 12-byte"));
  EXPECT_THAT(fault(xy + "('z', '|V99999999999')]", eight), HasSubstr("not supported"));
  EXPECT_THAT(fault(xy + "('z', '<f4', (999999999, 999999999))]", eight), HasSubstr("unreadable 'descr'"));
  for (const char* descr : {"[('x', '<f4'), 'y']", "[('x',)]", "[(1, '<f4')]", "{}", "7"}) {
    EXPECT_THAT(fault(descr, eight), ::testing::AnyOf(HasSubstr("'descr'"), HasSubstr("no field 'x'")))
        << descr;
  }
}

TEST(TensorFile, ReadsTheThreeTypes) {
  const TemporaryFolder folder;
  const auto file =
      folder.file("a.tensor", bytes_of<std::uint32_t>({0x33FF1101U, 2, 1, 2, 2, 7, 8, 9, 0xFFFFFFFFU}));
  const Array array = read_array(file);
  EXPECT_THAT(array.shape, ElementsAre(2, 2));
  EXPECT_THAT(array.to_int32(file), ElementsAre(7, 8, 9, -1));
  const auto half = folder.file("h.tensor", bytes_of<std::uint32_t>({0x33FF1101U, 1, 2, 2, 0xC0003C00U}));
  EXPECT_THAT(read_array(half).to_float(), ElementsAre(1.0F, -2.0F));
  EXPECT_THAT(error_of([&] { (void)read_array(half).to_int32(half); }), HasSubstr("integers expected"));
}

TEST(TensorFile, MalformedFilesNameTheirFault) {
  const TemporaryFolder folder;
  const auto fault = [&](const std::vector<std::uint32_t>& words) {
    const auto file = folder.file("bad.tensor", bytes_of(words));
    return error_of([&] { read_tensor(file); });
  };
  EXPECT_THAT(fault({}), HasSubstr("truncated in the .tensor header"));
  EXPECT_THAT(fault({0x12345678U, 1, 3, 1, 0}), HasSubstr("not a .tensor file"));
  EXPECT_THAT(fault({0x33FF1101U, 0, 3}), HasSubstr("0 dimensions"));
  EXPECT_THAT(fault({0x33FF1101U, 0xFFFFFFFFU, 3, 1}), HasSubstr("4294967295 dimensions"));
  EXPECT_THAT(fault({0x33FF1101U, 1, 77, 1, 0}), HasSubstr("type code 77"));
  EXPECT_THAT(fault({0x33FF1101U, 2, 3, 2}), HasSubstr("truncated"));
  EXPECT_THAT(fault({0x33FF1101U, 1, 3, 5, 0}), HasSubstr("truncated: shape [5]"));
  EXPECT_THAT(fault({0x33FF1101U, 1, 3, 0xFFFFFFFFU, 0}), HasSubstr("negative"));
  EXPECT_THAT(fault({0x33FF1101U, 4, 3, 0x7FFFFFFFU, 0x7FFFFFFFU, 0x7FFFFFFFU, 0x7FFFFFFFU}),
              HasSubstr("absurdly"));
}

TEST(PointsFile, BinaryRoundTripInBothTypes) {
  const TemporaryFolder folder;
  PointCloud cloud;
  cloud.columns = "xyzi";
  cloud.values = {1.0F, -2.5F, 0.25F, 100.0F, 7.0F, 8.0F, -9.0F, 0.0F};
  for (const char* dtype : {"f32", "f16"}) {
    write_points(folder / "a.bin", cloud, dtype);
    EXPECT_EQ(std::filesystem::file_size(folder / "a.bin"), dtype == std::string("f32") ? 32U : 16U);
    const PointCloud back = read_points(folder / "a.bin", {.columns = "xyzi", .dtype = dtype});
    EXPECT_EQ(back.values, cloud.values) << dtype;
    write_points(folder / "a.npy", cloud, dtype);
    EXPECT_EQ(read_points(folder / "a.npy", {}).values, cloud.values) << dtype;
  }
}

TEST(PointsFile, ExtensionsMayBeUpperCase) {
  const TemporaryFolder folder;
  PointCloud cloud;
  cloud.columns = "xyz";
  cloud.values = {1.0F, -2.5F, 0.25F};
  for (const char* name : {"a.BIN", "a.Npy"}) {
    write_points(folder / name, cloud, "f32");
    EXPECT_EQ(read_points(folder / name, {.columns = "xyz"}).values, cloud.values) << name;
  }
  EXPECT_EQ(read_array(folder / "a.Npy").to_float(), cloud.values);
  const auto tensor = folder.file("a.TENSOR", bytes_of<std::uint32_t>({0x33FF1101U, 1, 1, 1, 7}));
  EXPECT_THAT(read_array(tensor).to_int32(tensor), ElementsAre(7));
  const auto pcd =
      folder.file("a.PCD",
                  "FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 1\nHEIGHT 1\nPOINTS 1\n"
                  "DATA ascii\n1 -2.5 0.25\n");
  EXPECT_EQ(read_points(pcd, {}).values, cloud.values);
}

TEST(PointsFile, TheFormatCountsMoreThanTheExtension) {
  const TemporaryFolder folder;
  const auto file = folder.file("a.npy", bytes_of<float>({1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(read_points(file, {.columns = "xyz", .format = "bin"}).num_points(), 2);
  const PointCloud usual = read_points(file, {.format = "bin", .usual = "xyz___"});
  EXPECT_TRUE(usual.assumed);
  EXPECT_THAT(usual.values, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(usual.notes, ElementsAre("columns are xyz___, as usual"));
  EXPECT_THAT(error_of([&] { read_points(file, {.format = "pcd"}); }), HasSubstr("not a .pcd file"));
  EXPECT_THAT(error_of([&] { read_points(file, {.format = "las"}); }),
              HasSubstr("--format las: points are read from bin, npy, pcd, ply"));
  EXPECT_THAT(error_of([&] { read_points("-", {}); }), HasSubstr("say with --format"));
}

TEST(PointsFile, NotFiniteValuesAreKeptForTheVoxeliserToCount) {
  const TemporaryFolder folder;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto file = folder.file("nan.bin", bytes_of<float>({nan, 1, 2, 3, 4}));
  const PointCloud cloud = read_points(file, {});
  EXPECT_EQ(cloud.num_points(), 1);
  EXPECT_TRUE(std::isnan(cloud.values[0]));
}

TEST(PointsFile, WrongFilesAndOptionsNameTheirFault) {
  const TemporaryFolder folder;
  const auto file = folder.file("a.bin", std::string(21, 'x'));
  const auto fault = [&](const std::filesystem::path& path, const PointsFormat& format) {
    return error_of([&] { read_points(path, format); });
  };
  EXPECT_THAT(fault(file, {}), HasSubstr("21 bytes are no whole number of 20-byte rows"));
  EXPECT_THAT(fault(folder / "none.bin", {}), HasSubstr("no such file"));
  EXPECT_THAT(fault(folder / "", {}), HasSubstr("unknown extension"));
  EXPECT_THAT(fault(folder.file("a.las", "x"), {}), HasSubstr("'.las'"));
  EXPECT_THAT(fault(file, {.columns = "xyq"}), HasSubstr("'q' is none of"));
  EXPECT_THAT(fault(file, {.columns = "xyzz"}), HasSubstr("'z' occurs twice"));
  EXPECT_THAT(fault(file, {.columns = "xyi"}), HasSubstr("lacks 'z'"));
  EXPECT_THAT(fault(file, {.columns = "", .dtype = "f8"}), HasSubstr("f32 or f16"));
  Array wide;
  wide.shape = {1, 7};
  wide.bytes.resize(28);
  write_npy(folder / "wide.npy", wide);
  EXPECT_THAT(fault(folder / "wide.npy", {}), HasSubstr("say what they are with --columns"));
  EXPECT_THAT(fault(folder / "wide.npy", {.columns = "xyzi"}), HasSubstr("names 4 columns, the file has 7"));
  EXPECT_EQ(read_points(folder / "wide.npy", {.columns = "xyz____"}).num_points(), 1);
}

TEST(PointsFile, RowsOfAnotherLengthGetAHint) {
  const TemporaryFolder folder;
  const auto fault = [&](std::size_t bytes, const PointsFormat& format) {
    const auto file = folder.file("a.bin", std::string(bytes, '\0'));
    return error_of([&] { read_points(file, format); });
  };
  EXPECT_THAT(fault(16, {.columns = "xyzit"}), ::testing::EndsWith("; --columns that fit: xyzi"));
  EXPECT_THAT(fault(48, {.columns = "xyzit"}), ::testing::EndsWith("; --columns that fit: xyzi, xyz"));
  EXPECT_THAT(fault(20, {.columns = "xyzi"}), ::testing::EndsWith("; --columns that fit: xyzit"));
  EXPECT_THAT(fault(24, {.columns = "xyzit", .dtype = "f16"}),
              ::testing::EndsWith("; --columns that fit: xyzi, xyz"));
  EXPECT_THAT(fault(17, {.columns = "xyzit"}), ::testing::EndsWith("or the file is truncated"));
}

TEST(PointsFile, ColumnTHoldsAgesOrIsRefused) {
  PointCloud cloud;  // xyzit
  cloud.values = {1, 2, 3, 0, -10, 1, 2, 3, 0, 9.5F};
  const auto fault = [&] { return error_of([&] { check_ages("a.bin", cloud); }); };
  EXPECT_EQ(fault(), "");
  for (const float age : {10.5F, -11.0F, 1e8F}) {
    cloud.values[9] = age;
    EXPECT_THAT(fault(), HasSubstr("a.bin: column 't' holds no ages in seconds: "));
    EXPECT_THAT(fault(), HasSubstr("at point 1, limit 10; say with --columns")) << age;
  }
  cloud.values[4] = std::numeric_limits<float>::quiet_NaN();  // dropped by the voxeliser
  cloud.values[9] = 0.5F;
  EXPECT_EQ(fault(), "");
  cloud.values[9] = 7.0F;
  EXPECT_THAT(fault(), HasSubstr("whole numbers up to 7, as of rings"));
  cloud.values[4] = 0.5F;
  EXPECT_EQ(fault(), "");
  cloud.values = {1, 2, 3, 0, 1, 1, 2, 3, 0, 0};  // two sweeps, a second apart
  EXPECT_EQ(fault(), "");
  cloud.columns = "xyzir";
  cloud.values[4] = 31;
  EXPECT_EQ(fault(), "");
}

// 5 rows of x, y, z, i read as 4 rows of x, y, z, i, t: every value is small, and no age is too large.
TEST(PointsFile, AssumedColumnsWithoutIntensitiesAreRefused) {
  const TemporaryFolder folder;
  std::vector<float> rows;
  for (int i = 0; i < 5; ++i) rows.insert(rows.end(), {1.5F, -0.5F, 0.25F, 0.75F});
  const auto file = folder.file("room.bin", bytes_of(rows));
  const PointCloud wrong = read_points(file, {});
  EXPECT_EQ(wrong.num_points(), 4);
  EXPECT_EQ(error_of([&] { check_ages("room.bin", wrong); }), "");
  EXPECT_THAT(error_of([&] { check_assumed("room.bin", wrong); }),
              HasSubstr("room.bin: column 'i' holds no intensities: -0.5 at point 2; the columns were taken "
                        "for xyzit: say with --columns"));
  PointCloud told = read_points(file, {.columns = "xyzit"});  // whoever says so is believed
  EXPECT_EQ(error_of([&] { check_assumed("room.bin", told); }), "");
  EXPECT_EQ(error_of([&] { check_assumed("", select_columns(wrong, "xyz")); }), "");
  EXPECT_NE(error_of([&] { check_assumed("", select_columns(wrong, "xyzi")); }), "");
  Array array;
  array.shape = {2, 4};
  array.bytes.resize(32);
  write_npy(folder / "a.npy", array);
  const PointCloud npy = read_points(folder / "a.npy", {});
  EXPECT_TRUE(npy.assumed);
  EXPECT_THAT(npy.notes, ElementsAre("columns are xyzi, by their number"));
  EXPECT_EQ(error_of([&] { check_assumed("a.npy", npy); }), "");
  EXPECT_FALSE(read_points(folder / "a.npy", {.columns = "xyzi"}).assumed);
}

TEST(PointsFile, SelectColumnsReordersAndFillsWithZeros) {
  PointCloud cloud;
  cloud.columns = "zxyt";
  cloud.values = {3, 1, 2, 0.5F};
  cloud.notes = {"a"};
  const PointCloud chosen = select_columns(cloud, "xyzit");
  EXPECT_THAT(chosen.values, ElementsAre(1, 2, 3, 0, 0.5F));
  EXPECT_THAT(chosen.notes, ElementsAre("a", "i is not there: zeros"));
}

TEST(PointsFile, IntensityIsDividedByWhatIsSaidOrByItsRange) {
  const auto scaled = [](std::vector<float> intensities, float scale) {
    PointCloud cloud;
    cloud.columns = "xyzi";
    for (const float i : intensities) cloud.values.insert(cloud.values.end(), {9, 9, 9, i});
    const float greatest = scale_intensity(cloud, scale);
    std::vector<float> out{greatest};
    for (std::size_t i = 3; i < cloud.values.size(); i += 4) out.push_back(cloud.values[i]);
    EXPECT_EQ(cloud.values[0], 9.0F);
    EXPECT_EQ(cloud.notes.size(), out.back() == intensities.back() ? 0U : 1U);
    return out;
  };
  EXPECT_THAT(scaled({0.5F, 1.5F}, 0), ElementsAre(1.5F, 0.5F, 1.5F));
  EXPECT_THAT(scaled({0.5F, 1.75F}, 0), ElementsAre(1.75F / 255.0F, 0.5F / 255.0F, 1.75F / 255.0F));
  EXPECT_THAT(scaled({510.0F, 255.0F}, 0), ElementsAre(2.0F, 2.0F, 1.0F));
  EXPECT_THAT(scaled({510.0F, 255.0F}, 1), ElementsAre(510.0F, 510.0F, 255.0F));
  EXPECT_THAT(scaled({0.5F, 0.25F}, 0.5F), ElementsAre(1.0F, 1.0F, 0.5F));
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_THAT(scaled({inf, 1.0F}, 0), ElementsAre(1.0F, inf, 1.0F));
  PointCloud none;
  none.columns = "xyz";
  none.values = {1, 2, 300};
  EXPECT_EQ(scale_intensity(none, 2), 0.0F);
  EXPECT_THAT(none.values, ElementsAre(1, 2, 300));
}

TEST(PointsFile, NearPointsAreDropped) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  PointCloud cloud;
  cloud.columns = "zixy";
  cloud.values = {0, 1, 0,    0,    0, 2, 0.3F, 0.4F, 0, 3, 3, 4, -5,   4, 0, 0,
                  0, 5, 0.3F, 0.2F, 0, 6, nan,  0,    0, 7, 0, 0, 0.5F, 8, 0, 0};
  EXPECT_EQ(points_at_origin(cloud), 2);
  PointCloud all = cloud;
  EXPECT_EQ(drop_near(all, 0.0F), 0);
  EXPECT_EQ(all.num_points(), 8);
  EXPECT_EQ(drop_near(cloud, 0.5F), 3);
  std::vector<float> left;
  for (std::size_t i = 1; i < cloud.values.size(); i += 4) left.push_back(cloud.values[i]);
  EXPECT_THAT(left, ElementsAre(2, 3, 4, 6, 8));
  EXPECT_EQ(points_at_origin(cloud), 0);
  EXPECT_EQ(drop_near(cloud, 100.0F), 4);
  EXPECT_EQ(cloud.num_points(), 1);  // not finite
}

TEST(PointsFile, RealScansHaveTheStatedNumberOfPoints) {
  const std::filesystem::path data = voxgemm::test::test_data();
  if (data.empty()) GTEST_SKIP() << "no test data (VOXGEMM_TEST_DATA)";
  EXPECT_EQ(read_points(data / "kitti_hdl64/kitti_object_train_000001.bin", {.columns = "xyzi"}).num_points(),
            120268);
  EXPECT_EQ(read_points(data / "nuscenes_hdl32/nuscenes_10sweeps_ff9eff43.f16.bin",
                        {.columns = "xyzit", .dtype = "f16"})
                .num_points(),
            271156);
  EXPECT_EQ(read_points(data / "spconv_testdata/benchmark_pc_xyz_f32.npy", {}).num_points(), 198130);
  EXPECT_EQ(read_array(data / "nvidia_centerpoint/in_features.f16.tensor").shape_text(), "[79745, 5]");
}

}  // namespace
}  // namespace voxgemm::tools
