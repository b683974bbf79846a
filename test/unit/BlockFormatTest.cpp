// Decoding of every storage type: against blocks decoded by another implementation, against ggml's vectors where they
// are at hand, and against values worked out by hand.
#include "lib/Checkpoint/BlockFormat.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <string>
#include <vector>

using namespace stepdown;

namespace {

const char *const allNames[] = {"f32",    "f16",   "bf16",  "q4_0",    "q4_1",  "q5_0",    "q5_1",
                                "q8_0",   "q2_k",  "q3_k",  "q4_k",    "q5_k",  "q6_k",    "iq4_nl",
                                "iq4_xs", "mxfp4", "nvfp4", "iq3_xxs", "iq3_s", "iq2_xxs", "iq2_xs",
                                "iq2_s",  "iq1_s", "iq1_m", "tq1_0",   "tq2_0", "q2_0",    "q1_0"};

std::vector<uint8_t> readBytes(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

const BlockFormat &formatNamed(const std::string &name) {
  const BlockFormat *format = blockFormat(name.c_str(), name.size());
  EXPECT_NE(format, nullptr) << name;
  return *format;
}

/// Decodes `bytes` and compares every value bit for bit with `expected`, little-endian float32.
void expectBits(const std::string &name, const std::vector<uint8_t> &bytes, const std::vector<uint8_t> &expected) {
  const BlockFormat &format = formatNamed(name);
  ASSERT_FALSE(bytes.empty()) << name;
  size_t blocks = bytes.size() / format.bytes;
  ASSERT_EQ(blocks * format.bytes, bytes.size()) << name;
  std::vector<float> values(blocks * format.elements);
  ASSERT_EQ(values.size() * 4, expected.size()) << name;
  decode(format, bytes.data(), blocks, values.data());
  for (size_t i = 0; i < values.size(); ++i) {
    uint32_t got, want;
    std::memcpy(&got, &values[i], 4);
    std::memcpy(&want, &expected[4 * i], 4);
    ASSERT_EQ(got, want) << name << " value " << i;
  }
}

float decodeOne(const std::string &name, std::vector<uint8_t> bytes, int element) {
  const BlockFormat &format = formatNamed(name);
  EXPECT_EQ(bytes.size(), static_cast<size_t>(format.bytes));
  std::vector<float> values(format.elements);
  decode(format, bytes.data(), 1, values.data());
  return values[element];
}

TEST(BlockFormat, DecodesRecordedBlocks) {
  for (const char *name : allNames) {
    if (!formatNamed(name).isQuantised())
      continue;
    std::string stem = std::string(STEPDOWN_SOURCE_DIR "/test/data/blocks/") + name;
    expectBits(name, readBytes(stem + ".bin"), readBytes(stem + ".f32"));
  }
}

TEST(BlockFormat, ConformsToQuantVectors) {
  const char *set = std::getenv("STEPDOWN_VECTORS");
  std::string folder = std::string(set ? set : STEPDOWN_SOURCE_DIR "/../shared/vectors") + "/quant/";
  int found = 0;
  for (const char *name : allNames) {
    std::string file = name; // the vectors spell q4_K
    if (file.size() > 2 && file.substr(file.size() - 2) == "_k")
      file.back() = 'K';
    std::vector<uint8_t> bytes = readBytes(folder + file + ".bin");
    if (bytes.empty())
      continue;
    ++found;
    expectBits(name, bytes, readBytes(folder + file + ".f32"));
  }
  if (!found)
    GTEST_SKIP() << "no quant vectors in " << folder << " (set STEPDOWN_VECTORS)";
}

TEST(BlockFormat, TableIsConsistent) {
  for (const char *name : allNames) {
    const BlockFormat &format = formatNamed(name);
    EXPECT_EQ(blockFormat(format.storage), &format);
    std::string spelled = ggufTypeName(static_cast<uint32_t>(format.storage));
    for (char &c : spelled)
      c = static_cast<char>(std::tolower(c));
    EXPECT_EQ(spelled, name);
    EXPECT_EQ(format.elements % format.group, 0);
    if (!format.isQuantised())
      continue;
    // Codes alone must fit the block, and what is left is scales: at most 4.5 bytes per group of 16 or 32. Types whose
    // blocks have fewer bits become codes of as many as tell their values apart.
    const bool isGrid = std::strncmp(name, "iq1", 3) == 0 || std::strncmp(name, "iq2", 3) == 0 ||
                        std::strncmp(name, "iq3", 3) == 0 || std::strcmp(name, "tq1_0") == 0;
    EXPECT_EQ(format.elements * format.bits / 8 > format.bytes, isGrid) << name;
  }
}

TEST(BlockFormat, NamesForeignTypes) {
  EXPECT_STREQ(ggufTypeName(16), "IQ2_XXS");
  EXPECT_STREQ(ggufTypeName(28), "F64");
  EXPECT_STREQ(ggufTypeName(35), "TQ2_0");
  EXPECT_STREQ(ggufTypeName(42), "Q2_0");
  for (uint32_t removed : {4u, 5u, 31u, 32u, 33u, 36u, 37u, 38u, 43u, 0xffffffffu})
    EXPECT_EQ(ggufTypeName(removed), nullptr) << removed;
  EXPECT_EQ(blockFormat(static_cast<Storage>(28)), nullptr);
  EXPECT_EQ(blockFormat("q4_2", 4), nullptr);
  EXPECT_EQ(blockFormat("q4_", 3), nullptr);
}

TEST(BlockFormat, Q4_0IsNibbleLessEightTimesScale) {
  std::vector<uint8_t> block(18, 0);
  block[1] = 0x40; // d = 2
  block[2] = 0xf3; // elements 0 and 16
  EXPECT_EQ(decodeOne("q4_0", block, 0), 2.0f * (3 - 8));
  EXPECT_EQ(decodeOne("q4_0", block, 16), 2.0f * (15 - 8));
}

TEST(BlockFormat, NegativeZeroSurvives) {
  std::vector<uint8_t> block(18, 0x88);
  block[0] = 0, block[1] = 0xc0; // d = -2, every value -2 * 0
  EXPECT_TRUE(std::signbit(decodeOne("q4_0", block, 5)));
}

TEST(BlockFormat, Mxfp4ScalesAreExactAtBothEnds) {
  std::vector<uint8_t> block(17, 0x77); // every code 7: 6
  block[0] = 0;
  EXPECT_EQ(decodeOne("mxfp4", block, 0), std::ldexp(6.0f, -127)); // subnormal
  block[0] = 254;
  block[1] = 0x11; // code 1: 0.5
  EXPECT_EQ(decodeOne("mxfp4", block, 0), std::ldexp(0.5f, 127));
  block[0] = 255;
  EXPECT_EQ(decodeOne("mxfp4", block, 0), std::ldexp(0.5f, 128)); // built from 2^127, never infinite
  block[1] = 0x88;
  EXPECT_FALSE(std::signbit(decodeOne("mxfp4", block, 0))); // code 8 is +0
}

TEST(BlockFormat, Nvfp4ScalesAreE4M3WithoutASign) {
  std::vector<uint8_t> block(36, 0x22); // every code 2: 1
  block[0] = 0x38, block[1] = 0x01, block[2] = 0x7e, block[3] = 0x7f;
  EXPECT_EQ(decodeOne("nvfp4", block, 0), 1.0f);
  EXPECT_EQ(decodeOne("nvfp4", block, 16), std::ldexp(1.0f, -9)); // subnormal
  EXPECT_EQ(decodeOne("nvfp4", block, 32), 448.0f);
  EXPECT_EQ(decodeOne("nvfp4", block, 48), 0.0f); // NaN of E4M3, which ggml says is 0
  block[0] = 0xb8, block[1] = 0x80, block[2] = 0xff;
  EXPECT_EQ(decodeOne("nvfp4", block, 0), 1.0f);
  EXPECT_EQ(decodeOne("nvfp4", block, 16), 0.0f);
  EXPECT_EQ(decodeOne("nvfp4", block, 32), 480.0f);
}

TEST(BlockFormat, GridsGiveWhatTheirNumbersSay) {
  std::vector<uint8_t> block(66, 0); // point 0 of the grid: eight times the least magnitude
  block[1] = 0x3c;                   // d = 1
  block[2 + 4 + 3] = 0x10;           // scale code 1 of the first 32: 3 / 8
  block[2 + 4] = 0x01;               // signs 1, and the eighth by parity
  EXPECT_EQ(decodeOne("iq2_xxs", block, 0), -8 * 3 / 8.0f);
  EXPECT_EQ(decodeOne("iq2_xxs", block, 1), 8 * 3 / 8.0f);
  EXPECT_EQ(decodeOne("iq2_xxs", block, 7), -8 * 3 / 8.0f);
  EXPECT_EQ(decodeOne("iq2_xxs", block, 32), 1.0f);
}

TEST(BlockFormat, TernaryDigitsAreFractions) {
  std::vector<uint8_t> block(54, 0);
  block[53] = 0x40;                      // d = 2
  block[0] = (2 * 81 * 256 + 242) / 243; // digits 2 0 0 0 0 of base 3, as 81 twos of 243 in 256
  EXPECT_EQ(decodeOne("tq1_0", block, 0), 2.0f * (2 - 1));
  EXPECT_EQ(decodeOne("tq1_0", block, 32), 2.0f * (0 - 1)); // the next digit of the same byte
}

TEST(BlockFormat, FieldsAreTheValuesBeforeArithmetic) {
  std::vector<uint8_t> block(34, 0);
  block[1] = 0x3c; // d = 1
  block[2] = 0x80; // -128
  block[3] = 0x7f;
  BlockFields fields;
  const BlockFormat &q8 = formatNamed("q8_0");
  readFields(q8, block.data(), fields);
  EXPECT_EQ(fields.dBits, 0x3c00);
  EXPECT_EQ(fields.d, 1.0f);
  EXPECT_EQ(fields.codes[0] - q8.offset, -128);
  EXPECT_EQ(fields.codes[1] - q8.offset, 127);
  EXPECT_EQ(fields.scales[0], 1);
  EXPECT_EQ(fields.minimums[0], 0);

  std::vector<uint8_t> mx(17, 0);
  mx[0] = 127;
  readFields(formatNamed("mxfp4"), mx.data(), fields);
  EXPECT_EQ(fields.dBits, 127);
  EXPECT_EQ(fields.d, 0.5f); // halved, because the table is doubled
}

TEST(BlockFormat, InfiniteScalesDecodeWithoutTrapping) {
  std::vector<uint8_t> block(18, 0xff);
  block[0] = 0, block[1] = 0x7c; // d = infinity
  EXPECT_TRUE(std::isinf(decodeOne("q4_0", block, 0)));
  block[0] = 1; // NaN
  EXPECT_TRUE(std::isnan(decodeOne("q4_0", block, 0)));
}

TEST(HalfPrecision, EveryHalfSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    float value = f16ToF32(static_cast<uint16_t>(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE((bits & 0x7c00) == 0x7c00 && (bits & 0x3ff)) << bits;
      EXPECT_TRUE(std::isnan(f16ToF32(f32ToF16(value))));
      continue;
    }
    ASSERT_EQ(f32ToF16(value), bits);
    // The value by definition: (-1)^s * 2^(e-25) * (1024 + m), subnormals 2^-24 * m.
    int e = bits >> 10 & 31, m = bits & 0x3ff;
    if (e != 31)
      ASSERT_EQ(std::fabs(value), std::ldexp(static_cast<float>(e ? 1024 + m : m), e ? e - 25 : -24));
  }
}

TEST(HalfPrecision, RoundsToNearestEven) {
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    float low = f16ToF32(static_cast<uint16_t>(bits)), high = f16ToF32(static_cast<uint16_t>(bits + 1));
    float middle = low + (high - low) / 2; // exact in float
    ASSERT_EQ(f32ToF16(middle), bits % 2 ? bits + 1 : bits) << bits;
    ASSERT_EQ(f32ToF16(std::nextafter(middle, 0.0f)), bits) << bits;
    ASSERT_EQ(f32ToF16(std::nextafter(middle, 1e30f)), bits + 1) << bits;
    ASSERT_EQ(f32ToF16(-middle), f32ToF16(middle) | 0x8000) << bits;
  }
  EXPECT_EQ(f32ToF16(65519.996f), 0x7bff);
  EXPECT_EQ(f32ToF16(65520.0f), 0x7c00);
  EXPECT_EQ(f32ToF16(1e30f), 0x7c00);
  EXPECT_EQ(f32ToF16(-INFINITY), 0xfc00);
}

} // namespace
