// Arrays written out on the command line.
#include "tools/stepdown-run/WrittenArray.h"

#include "include/stepdown/Element.h"
#include "runtime/Sampler/Philox.h"
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>

using namespace stepdown;
using namespace stepdown::run;

namespace {

WrittenArray parsed(const std::string &text, uint64_t seed = 0, uint64_t argument = 0) {
  Result<WrittenArray> array = parseWrittenArray(text, seed, argument);
  EXPECT_TRUE(array) << text << ": " << (array ? "" : array.error().text());
  return array ? *array : WrittenArray{};
}

/// The elements of `text` as numbers of type T.
template <typename T> std::vector<T> elements(const std::string &text, uint64_t seed = 0, uint64_t argument = 0) {
  const WrittenArray array = parsed(text, seed, argument);
  std::vector<T> values(array.bytes.size() / sizeof(T));
  std::memcpy(values.data(), array.bytes.data(), values.size() * sizeof(T));
  return values;
}

/// The refusal of `text` has `code` and holds `words`.
void refused(const std::string &text, const std::string &words, ErrorCode code = ErrorCode::Usage) {
  ASSERT_TRUE(isWrittenArray(text)) << text;
  Result<WrittenArray> array = parseWrittenArray(text, 0, 0);
  ASSERT_FALSE(array) << text;
  EXPECT_EQ(array.error().code, code) << text;
  EXPECT_NE(array.error().text().find(words), std::string::npos) << array.error().text();
}

using Dims = std::vector<int64_t>;

} // namespace

TEST(WrittenArray, IsToldFromTheNameOfAFile) {
  for (const char *text : {"f32[2]=1,2", "f32=1.5", "f32[]=1", "f32 [2, 3]=1", "random:f32[3]", "random:", "q7[2]=1",
                           "f32[2]", "f32[2=1", "x=1.npy"})
    EXPECT_TRUE(isWrittenArray(text)) << text;
  for (const char *text :
       {"a.npy", "f32.npy", "./f32=1.npy", "dir/f32[2]=1", "f32", "x[1].npy", "", "=", "[2]=1", "a b=1"})
    EXPECT_FALSE(isWrittenArray(text)) << text;
}

TEST(WrittenArray, HasTypeSizesAndElementsInOrder) {
  const WrittenArray array = parsed("f32[2,3]=1,2.5,-3,4e1,0x1p-2,6");
  EXPECT_EQ(array.element, uint32_t(STEPDOWN_F32));
  EXPECT_EQ(array.dims, (Dims{2, 3}));
  EXPECT_EQ(elements<float>("f32[2,3]=1,2.5,-3,4e1,0x1p-2,6"), (std::vector<float>{1, 2.5f, -3, 40, 0.25f, 6}));
  EXPECT_EQ(elements<float>("f32 [2, 3]= 1, 2 ,3,4,5,6"), (std::vector<float>{1, 2, 3, 4, 5, 6}));
}

TEST(WrittenArray, OfNoSizesIsAScalar) {
  EXPECT_EQ(parsed("f64=1.5").dims, Dims{});
  EXPECT_EQ(elements<double>("f64=0.1"), std::vector<double>{0.1});
  EXPECT_EQ(elements<double>("f64[]=0.1"), std::vector<double>{0.1});
  EXPECT_EQ(parsed("f64[1]=0.1").dims, Dims{1});
}

TEST(WrittenArray, MayBeEmpty) {
  EXPECT_EQ(parsed("f32[0]=").dims, Dims{0});
  EXPECT_EQ(parsed("random:f32[5,0,999999999999999999,999999999999999999]").bytes.size(), 0u);
}

TEST(WrittenArray, TakesIntegersOfEitherSign) {
  EXPECT_EQ(elements<int8_t>("i8[4]=-128,127,255,+7"), (std::vector<int8_t>{-128, 127, -1, 7}));
  EXPECT_EQ(elements<int16_t>("i16[2]=-32768,65535"), (std::vector<int16_t>{-32768, -1}));
  EXPECT_EQ(elements<int32_t>("i32[2]=-2147483648,4294967295"), (std::vector<int32_t>{INT32_MIN, -1}));
  EXPECT_EQ(elements<int64_t>("i64[3]=-9223372036854775808,18446744073709551615,010"),
            (std::vector<int64_t>{INT64_MIN, -1, 10}));
  EXPECT_EQ(elements<int64_t>("index[2]=-9223372036854775808,9223372036854775807"),
            (std::vector<int64_t>{INT64_MIN, INT64_MAX}));
  EXPECT_EQ(elements<uint8_t>("i1[4]=true,false,1,0"), (std::vector<uint8_t>{1, 0, 1, 0}));
}

// Bits from IEEE 754's binary16: 2^-24 is the least, 65504 the largest, and what lies halfway to 65536 is out.
TEST(WrittenArray, RoundsHalvesOnceToTheNearestEven) {
  EXPECT_EQ(elements<uint16_t>("f16[7]=1,-2,65504,65519.99,5.9604644775390625e-08,2.98023223876953125e-08,-0"),
            (std::vector<uint16_t>{0x3c00, 0xc000, 0x7bff, 0x7bff, 0x0001, 0x0000, 0x8000}));
  EXPECT_EQ(elements<uint16_t>("f16[4]=6.103515625e-05,6.0975551605224609375e-05,inf,-inf"),
            (std::vector<uint16_t>{0x0400, 0x03ff, 0x7c00, 0xfc00}));
  EXPECT_EQ(elements<uint16_t>("f16=nan")[0] & 0x7c00, 0x7c00);
  // 1 + 2^-11 lies halfway between 1 and 1 + 2^-10; a little more than a double can tell from it goes up.
  EXPECT_EQ(elements<uint16_t>("f16[3]=1.00048828125,1.00048828125000000000000000001,1.0004882812499999999999999"),
            (std::vector<uint16_t>{0x3c00, 0x3c01, 0x3c00}));
  EXPECT_EQ(elements<uint16_t>("f16[2]=-1.00048828125000000000000000001,-1.00146484374999999999999999999"),
            (std::vector<uint16_t>{0xbc01, 0xbc01}));
}

TEST(WrittenArray, RoundsBfloatsOnceToTheNearestEven) {
  EXPECT_EQ(elements<uint16_t>("bf16[5]=1,-2,1.00390625,1.01171875,3.3895313892515355e38"),
            (std::vector<uint16_t>{0x3f80, 0xc000, 0x3f80, 0x3f82, 0x7f7f}));
  EXPECT_EQ(elements<uint16_t>("bf16[2]=1.00390625000000000000000000001,9.18354961579912115600575419704879436e-41"),
            (std::vector<uint16_t>{0x3f81, 0x0001}));
}

// Codes of OCP's 8-bit floating point specification: 448 and 57344 are the largest, 2^-9 and 2^-16 the least; ties to
// even.
TEST(WrittenArray, RoundsEightsOnceToTheNearestEven) {
  EXPECT_EQ(elements<uint8_t>("f8E4M3FN[9]=1,-2,448,464,0.001953125,0.0009765625,0.000977,-0,1.0625000000000000000001"),
            (std::vector<uint8_t>{0x38, 0xc0, 0x7e, 0x7e, 0x01, 0x00, 0x01, 0x80, 0x39}));
  EXPECT_EQ(elements<uint8_t>("f8E4M3FN[2]=nan,-nan"), (std::vector<uint8_t>{0x7f, 0xff}));
  EXPECT_EQ(elements<uint8_t>("f8E5M2[8]=1,-2,57344,61439,1.52587890625e-05,inf,-inf,1.125"),
            (std::vector<uint8_t>{0x3c, 0xc0, 0x7b, 0x7b, 0x01, 0x7c, 0xfc, 0x3c}));
  EXPECT_EQ(elements<uint8_t>("f8E5M2=nan")[0], 0x7e);
}

TEST(WrittenArray, DrawsFromSeedArgumentAndPlace) {
  const auto values = elements<double>("random:f64[3,5]", 7, 1);
  ASSERT_EQ(values.size(), 15u);
  for (uint64_t i = 0; i < values.size(); ++i) {
    const auto random = philox(7, 1, i);
    const uint64_t word = uint64_t(random[0]) << 32 | random[1];
    EXPECT_EQ(values[i], std::ldexp(double(word >> 11), -52) - 1);
  }
  EXPECT_EQ(values, elements<double>("random:f64[3,5]", 7, 1));
  EXPECT_NE(values, elements<double>("random:f64[3,5]", 8, 1));
  EXPECT_NE(values, elements<double>("random:f64[3,5]", 7, 0));
  EXPECT_EQ(parsed("random:f32").dims, Dims{});
}

TEST(WrittenArray, DrawsWithinItsRangeAndReachesBothEnds) {
  const auto reals = elements<float>("random:f32[10007]");
  double sum = 0, squares = 0;
  for (float x : reals) {
    ASSERT_LE(std::fabs(x), 1);
    sum += x;
    squares += double(x) * x;
  }
  // The mean of n uniform numbers lies within five of its standard deviations, sqrt(1 / 3n), of 0; squares average 1/3.
  EXPECT_LT(std::fabs(sum / 10007), 5 * std::sqrt(1 / 3.0 / 10007));
  EXPECT_LT(std::fabs(squares / 10007 - 1 / 3.0), 5 * std::sqrt(4 / 45.0 / 10007));
  const auto bytes = elements<int8_t>("random:i8[10007]");
  EXPECT_EQ(*std::min_element(bytes.begin(), bytes.end()), -100);
  EXPECT_EQ(*std::max_element(bytes.begin(), bytes.end()), 100);
  const auto indices = elements<int64_t>("random:index[10007]");
  EXPECT_EQ(*std::min_element(indices.begin(), indices.end()), 0);
  EXPECT_EQ(*std::max_element(indices.begin(), indices.end()), 100);
  const auto bits = elements<uint8_t>("random:i1[10007]");
  size_t set = 0;
  for (uint8_t bit : bits) {
    ASSERT_LE(bit, 1);
    set += bit;
  }
  EXPECT_LT(std::fabs(set / 10007.0 - 0.5), 5 * std::sqrt(0.25 / 10007));
}

TEST(WrittenArray, RefusesWhatItDoesNotSay) {
  refused("f33[2]=1,2",
          "expects one of f32, f16, bf16, f64, i1, i8, i16, i32, i64, index, f8E4M3FN, f8E5M2, but got \"f33\"");
  refused("a=b.npy", "a file of such a name is ./a=b.npy");
  refused("random:", "but got \"\"");
  refused("random:f32[2", "expects sizes in brackets, but got \"[2\"");
  refused("random:f32[2]x", "expects sizes in brackets, but got \"[2]x\"");
  refused("f32[?]=1", "expects whole numbers below 10^18 as sizes, but got \"?\"");
  refused("f32[-1]=", "but got \"-1\"");
  refused("f32[2,]=1,2", "but got \"\"");
  refused("f32[1000000000000000000]=1", "but got \"1000000000000000000\"");
  refused("f32[1,1,1,1,1,1,1,1,1]=1", "expects at most 8 sizes, but got 9");
  refused("f32[2]", "expects = and values behind the type");
  refused("f32[2=1", "expects sizes in brackets, but got \"[2\"");
  refused("f32[2]]=1", "but got \"2]\"");
  refused("f32[2]=1", "expects 2 values, but got 1");
  refused("f32[2]=1,2,3", "expects 2 values, but got 3");
  refused("f32=", "expects 1 values, but got 0");
  refused("f32[2]=1,", "expects a number that f32 holds as value 1, but got \"\"");
  refused("f32[2]=1,x", "expects a number that f32 holds as value 1, but got \"x\"");
  refused("f32=1 2", "but got \"1 2\"");
  refused("f32=1e39", "expects a number that f32 holds");
  refused("f64=1e309", "expects a number that f64 holds");
  refused("f16=65520", "expects a number that f16 holds");
  refused("bf16=3.4e38", "expects a number that bf16 holds");
  refused("f8E4M3FN=465", "expects a number that f8E4M3FN holds");
  refused("f8E4M3FN=inf", "expects a number that f8E4M3FN holds");
  refused("f8E5M2=61440", "expects a number that f8E5M2 holds");
  refused("i8=256", "expects a whole number from -128 to 255 as value 0, but got \"256\"");
  refused("i8=-129", "but got \"-129\"");
  refused("i32=1.5", "but got \"1.5\"");
  refused("i64=18446744073709551616", "but got \"18446744073709551616\"");
  refused("i64=-9223372036854775809", "but got \"-9223372036854775809\"");
  refused("index=9223372036854775808", "but got \"9223372036854775808\"");
  refused("i1=2", "expects true, false, 1 or 0 as value 0, but got \"2\"");
  refused("i1=-1", "but got \"-1\"");
}

TEST(WrittenArray, RefusesWhatFitsNoMemory) {
  refused("random:f32[1000000,1000000000]", "expects an array that fits into memory", ErrorCode::OutOfMemory);
  refused("random:i8[999999999999999999,999999999999999999,999999999999999999,999999999999999999]",
          "expects an array that fits into memory", ErrorCode::OutOfMemory);
}
