// What one block of every storage type holds: bytes, elements, and how they decode. The one place that the block type's
// verifier, the reference evaluator, unpacking code and repacking all use. Source: ggml's block layouts.
//
// Every quantised type is one scheme: a block of `elements` values is cut into groups of `group` values; a value is
//     (d * scale[g]) * (code - offset)  +  minimum,   minimum = 0, m, or -(dmin * min[g])
// where code is an unsigned integer of `bits` bits, or, for the table types, table[code] in place of code - offset.
// Types that keep several codes as one number, or digits of base 3, are of this scheme once their codes are apart: a
// packed weight has the codes, 2 to 4 bits each.
// float32 arithmetic, rounding after each operation in the order written.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace stepdown {

/// Storage types, numbered as GGUF numbers them.
enum class Storage : uint32_t {
  F32 = 0,
  F16 = 1,
  Q4_0 = 2,
  Q4_1 = 3,
  Q5_0 = 6,
  Q5_1 = 7,
  Q8_0 = 8,
  Q2_K = 10,
  Q3_K = 11,
  Q4_K = 12,
  Q5_K = 13,
  Q6_K = 14,
  IQ2_XXS = 16,
  IQ2_XS = 17,
  IQ3_XXS = 18,
  IQ1_S = 19,
  IQ4_NL = 20,
  IQ3_S = 21,
  IQ2_S = 22,
  IQ4_XS = 23,
  IQ1_M = 29,
  BF16 = 30,
  TQ1_0 = 34,
  TQ2_0 = 35,
  MXFP4 = 39,
  NVFP4 = 40,
  Q1_0 = 41,
  Q2_0 = 42
};

struct BlockFormat {
  Storage storage;
  const char *name;    ///< GGUF's spelling in lower case, as in !transformer.block<q4_1>
  int elements;        ///< values per block: 1, or 32 to 256, a power of two
  int bytes;           ///< bytes per block
  int group;           ///< values that share one scale: 1, 16 or 32
  int bits;            ///< bits of a code; 0 for float types
  int offset;          ///< subtracted from the code; 0 for table types
  const int8_t *table; ///< 16 values that replace the code, or null (mxfp4: doubled values, d is halved)
  bool groupScales;    ///< a scale per group beside d: an integer, but see `floatScales`
  enum Minimum { None, Plain, Grouped } minimum; ///< none, + m, or - dmin * min[g]
  /// d is a float32: what the file has, halved some times, which binary16 might not hold (nvfp4: 1, or what the file
  /// has for all of the tensor).
  bool wide = false;
  bool floatScales = false; ///< scales are 4 bits of exponent over 3 of mantissa (nvfp4); see scaleOf()
  bool isQuantised() const { return bits != 0; }
  int groups() const { return elements / group; }
};

/// The format of `storage`, or null when it is none of ours.
const BlockFormat *blockFormat(Storage storage);
/// The format called `name` ("q4_1"), or null.
const BlockFormat *blockFormat(const char *name, size_t length);
/// All names, with commas between them.
std::string blockFormatNames();
/// GGUF's name of any type id it has ever known ("IQ2_XXS"), or null; for messages about types we lack.
const char *ggufTypeName(uint32_t id);

/// The fields of one quantised block, unpacked: what repacking for a target starts from.
struct BlockFields {
  float d;              ///< scale of the block, exact (wide formats: already halved; nvfp4: 1)
  float m;              ///< minimum of the block: m (Plain) or dmin (Grouped), else 0
  uint16_t dBits;       ///< d as the file's binary16 (mxfp4: the e8m0 byte)
  uint16_t mBits;       ///< m or dmin as the file's binary16
  int8_t scales[16];    ///< scale per group as it is packed; 1 where the format has none
  uint8_t minimums[16]; ///< integer minimum per group; 0 where the format has none
  uint8_t codes[256];   ///< unsigned codes in element order (q8_0: value + 128, offset 128)
};

/// The number that a packed scale of a group is.
float scaleOf(const BlockFormat &format, int8_t scale);

/// Unpacks the block at `bytes`. Only for quantised formats.
void readFields(const BlockFormat &format, const uint8_t *bytes, BlockFields &fields);

/// Decodes `blocks` consecutive blocks to float32, bit-exactly as the format defines: out [blocks * elements].
void decode(const BlockFormat &format, const uint8_t *bytes, size_t blocks, float *out);

float f16ToF32(uint16_t bits);
/// Round to nearest even; overflow to infinity.
uint16_t f32ToF16(float value);

} // namespace stepdown
