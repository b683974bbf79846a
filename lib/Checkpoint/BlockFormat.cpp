// Block layouts of every storage type and their decoding. Layouts: ggml's block_* structs, as GGUF files hold them.
//
// Unpacking and arithmetic are apart: readFields knows where the bits lie, decode knows the one formula that all
// formats share, so repacking for a target and decoding can never disagree about a layout.
#include "lib/Checkpoint/BlockFormat.h"
#include "lib/Checkpoint/GridBlocks.h"

#include <cstring>

namespace stepdown {
namespace {

// Spacing of the non-linear four-bit types.
constexpr int8_t nonlinear[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
// E2M1 values doubled, so that they are integers; code 8 is +0.
constexpr int8_t e2m1Doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// Magnitudes of the grids (GridBlocks.cpp), then their negatives. Those of one bit and a half are eighths, an eighth
// more or less than -1, 0 and 1.
constexpr int8_t grid1[16] = {-7, 1, 9, 0, -9, -1, 7, 0};
constexpr int8_t grid2[16] = {8, 25, 43, 0, -8, -25, -43, 0};
constexpr int8_t grid3Xxs[16] = {4, 12, 20, 28, 36, 44, 52, 62, -4, -12, -20, -28, -36, -44, -52, -62};
constexpr int8_t grid3S[16] = {1, 3, 5, 7, 9, 11, 13, 15, -1, -3, -5, -7, -9, -11, -13, -15};
constexpr int8_t signs[16] = {-1, 1};

constexpr auto noMinimum = BlockFormat::None, plain = BlockFormat::Plain, grouped = BlockFormat::Grouped;

// storage, name, elements, bytes, group, bits, offset, table, group scales, minimum, wide, float scales
constexpr BlockFormat formats[] = {
    {Storage::F32, "f32", 1, 4, 1, 0, 0, nullptr, false, noMinimum},
    {Storage::F16, "f16", 1, 2, 1, 0, 0, nullptr, false, noMinimum},
    {Storage::BF16, "bf16", 1, 2, 1, 0, 0, nullptr, false, noMinimum},
    {Storage::Q4_0, "q4_0", 32, 18, 32, 4, 8, nullptr, false, noMinimum},
    {Storage::Q4_1, "q4_1", 32, 20, 32, 4, 0, nullptr, false, plain},
    {Storage::Q5_0, "q5_0", 32, 22, 32, 5, 16, nullptr, false, noMinimum},
    {Storage::Q5_1, "q5_1", 32, 24, 32, 5, 0, nullptr, false, plain},
    {Storage::Q8_0, "q8_0", 32, 34, 32, 8, 128, nullptr, false, noMinimum},
    {Storage::Q2_K, "q2_k", 256, 84, 16, 2, 0, nullptr, true, grouped},
    {Storage::Q3_K, "q3_k", 256, 110, 16, 3, 4, nullptr, true, noMinimum},
    {Storage::Q4_K, "q4_k", 256, 144, 32, 4, 0, nullptr, true, grouped},
    {Storage::Q5_K, "q5_k", 256, 176, 32, 5, 0, nullptr, true, grouped},
    {Storage::Q6_K, "q6_k", 256, 210, 16, 6, 32, nullptr, true, noMinimum},
    {Storage::IQ4_NL, "iq4_nl", 32, 18, 32, 4, 0, nonlinear, false, noMinimum},
    {Storage::IQ4_XS, "iq4_xs", 256, 136, 32, 4, 0, nonlinear, true, noMinimum},
    {Storage::MXFP4, "mxfp4", 32, 17, 32, 4, 0, e2m1Doubled, false, noMinimum, true},
    {Storage::NVFP4, "nvfp4", 64, 36, 16, 4, 0, e2m1Doubled, true, noMinimum, true, true},
    {Storage::IQ3_XXS, "iq3_xxs", 256, 98, 32, 4, 0, grid3Xxs, true, noMinimum, true},
    {Storage::IQ3_S, "iq3_s", 256, 110, 32, 4, 0, grid3S, true, noMinimum},
    {Storage::IQ2_XXS, "iq2_xxs", 256, 66, 32, 3, 0, grid2, true, noMinimum, true},
    {Storage::IQ2_XS, "iq2_xs", 256, 74, 16, 3, 0, grid2, true, noMinimum, true},
    {Storage::IQ2_S, "iq2_s", 256, 82, 16, 3, 0, grid2, true, noMinimum, true},
    {Storage::IQ1_S, "iq1_s", 256, 50, 32, 3, 0, grid1, true, noMinimum, true},
    {Storage::IQ1_M, "iq1_m", 256, 56, 16, 3, 0, grid1, true, noMinimum, true},
    {Storage::TQ1_0, "tq1_0", 256, 54, 32, 2, 1, nullptr, false, noMinimum},
    {Storage::TQ2_0, "tq2_0", 256, 66, 32, 2, 1, nullptr, false, noMinimum},
    {Storage::Q2_0, "q2_0", 64, 18, 32, 2, 1, nullptr, false, noMinimum},
    {Storage::Q1_0, "q1_0", 128, 18, 32, 1, 0, signs, false, noMinimum},
};

// Indexed by GGUF's type id; null for ids that were removed.
constexpr const char *typeNames[] = {
    "F32",   "F16",    "Q4_0",  "Q4_1",  nullptr, nullptr,   "Q5_0",   "Q5_1",    "Q8_0",  "Q8_1",   "Q2_K",
    "Q3_K",  "Q4_K",   "Q5_K",  "Q6_K",  "Q8_K",  "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S",
    "IQ2_S", "IQ4_XS", "I8",    "I16",   "I32",   "I64",     "F64",    "IQ1_M",   "BF16",  nullptr,  nullptr,
    nullptr, "TQ1_0",  "TQ2_0", nullptr, nullptr, nullptr,   "MXFP4",  "NVFP4",   "Q1_0",  "Q2_0"};

uint16_t u16(const uint8_t *bytes) { return static_cast<uint16_t>(bytes[0] | bytes[1] << 8); }
uint32_t u32(const uint8_t *bytes) { return u16(bytes) | static_cast<uint32_t>(u16(bytes + 2)) << 16; }

float fromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// Half of 2^(e - 127), subnormal results included. e = 255 gives 2^127, as ggml has it.
float e8m0Halved(uint8_t e) { return fromBits(e < 2 ? 0x00200000u << e : static_cast<uint32_t>(e - 1) << 23); }

void readScale(const uint8_t *bytes, BlockFields &f) {
  f.dBits = u16(bytes);
  f.d = f16ToF32(f.dBits);
}
void readMinimum(const uint8_t *bytes, BlockFields &f) {
  f.mBits = u16(bytes);
  f.m = f16ToF32(f.mBits);
}

// A compile reads every block of a model. So the loops below take runs of bytes, 16 or 32 that are shifted alike, which
// the compiler makes vectors of; one by one, with each code's place computed, they took six times as long.

/// Low nibbles are elements 0 to `count` - 1, high nibbles the next as many.
template <int count = 16> void readNibbles(const uint8_t *__restrict q, uint8_t *__restrict codes) {
  for (int j = 0; j < count; ++j) {
    codes[j] = q[j] & 15;
    codes[count + j] = q[j] >> 4;
  }
}

/// 128 elements of two bits: 32 bytes have those of elements l, l + 32, l + 64 and l + 96.
void readPairs(const uint8_t *__restrict q, uint8_t *__restrict codes) {
  for (int g = 0; g < 4; ++g)
    for (int l = 0; l < 32; ++l)
      codes[32 * g + l] = q[l] >> 2 * g & 3;
}

/// Adds to 32 codes bits [from, from + bits) of 32 bytes, as their bits from `to` on.
void addBits(const uint8_t *__restrict q, int from, int bits, int to, uint8_t *__restrict codes) {
  const int mask = (1 << bits) - 1;
  for (int l = 0; l < 32; ++l)
    codes[l] = static_cast<uint8_t>(codes[l] | (q[l] >> from & mask) << to);
}

void addFifthBits(uint32_t high, uint8_t *codes) {
  for (int i = 0; i < 32; ++i)
    codes[i] |= static_cast<uint8_t>((high >> i & 1) << 4);
}

void readQ2K(const uint8_t *b, BlockFields &f) {
  readScale(b + 80, f);
  readMinimum(b + 82, f);
  for (int s = 0; s < 16; ++s) {
    f.scales[s] = static_cast<int8_t>(b[s] & 15);
    f.minimums[s] = b[s] >> 4;
  }
  readPairs(b + 16, f.codes);
  readPairs(b + 48, f.codes + 128);
}

void readQ3K(const uint8_t *b, BlockFields &f) {
  readScale(b + 108, f);
  const uint8_t *packed = b + 96;
  for (int s = 0; s < 16; ++s) {
    int low = s < 8 ? packed[s] & 15 : packed[s - 8] >> 4;
    int high = packed[8 + s % 4] >> 2 * (s / 4) & 3;
    f.scales[s] = static_cast<int8_t>((low | high << 4) - 32);
  }
  // A set mask bit is code bit 2: the value is (low | bit << 2) - 4.
  readPairs(b + 32, f.codes);
  readPairs(b + 64, f.codes + 128);
  for (int g = 0; g < 8; ++g)
    addBits(b, g, 1, 2, f.codes + 32 * g);
}

/// The twelve bytes with eight 6-bit scales and eight 6-bit minimums of Q4_K and Q5_K.
void readScalesAndMinimums(const uint8_t *p, BlockFields &f) {
  for (int s = 0; s < 4; ++s) {
    f.scales[s] = static_cast<int8_t>(p[s] & 63);
    f.minimums[s] = p[s + 4] & 63;
    f.scales[s + 4] = static_cast<int8_t>((p[s + 8] & 15) | p[s] >> 6 << 4);
    f.minimums[s + 4] = static_cast<uint8_t>(p[s + 8] >> 4 | p[s + 4] >> 6 << 4);
  }
}

void readQ4K(const uint8_t *b, BlockFields &f) {
  readScale(b, f);
  readMinimum(b + 2, f);
  readScalesAndMinimums(b + 4, f);
  for (int i = 0; i < 4; ++i)
    readNibbles<32>(b + 16 + 32 * i, f.codes + 64 * i);
}

void readQ5K(const uint8_t *b, BlockFields &f) {
  readScale(b, f);
  readMinimum(b + 2, f);
  readScalesAndMinimums(b + 4, f);
  for (int i = 0; i < 4; ++i)
    readNibbles<32>(b + 48 + 32 * i, f.codes + 64 * i);
  for (int g = 0; g < 8; ++g)
    addBits(b + 16, g, 1, 4, f.codes + 32 * g);
}

void readQ6K(const uint8_t *b, BlockFields &f) {
  readScale(b + 208, f);
  std::memcpy(f.scales, b + 192, 16);
  for (int n = 0; n < 2; ++n) {
    readNibbles<64>(b + 64 * n, f.codes + 128 * n);
    for (int g = 0; g < 4; ++g)
      addBits(b + 128 + 32 * n, 2 * g, 2, 4, f.codes + 128 * n + 32 * g);
  }
}

void readIQ4XS(const uint8_t *b, BlockFields &f) {
  readScale(b, f);
  uint16_t high = u16(b + 2);
  for (int s = 0; s < 8; ++s) {
    int low = b[4 + s / 2] >> 4 * (s % 2) & 15;
    f.scales[s] = static_cast<int8_t>((low | (high >> 2 * s & 3) << 4) - 32);
    readNibbles(b + 8 + 16 * s, f.codes + 32 * s);
  }
}

/// `count` bytes of five digits of base 3 (four in the last of a block), as fractions: the highest is 3 x / 256.
void readDigits(const uint8_t *__restrict q, int count, int digits, uint8_t *__restrict codes) {
  for (int n = 0, power = 1; n < digits; ++n, power *= 3)
    for (int j = 0; j < count; ++j)
      codes[n * count + j] = static_cast<uint8_t>(static_cast<uint8_t>(q[j] * power) * 3 >> 8);
}

void readNVFP4(const uint8_t *b, BlockFields &f) {
  f.dBits = 0x3c00;
  f.d = 1;
  for (int g = 0; g < 4; ++g) {
    // The largest number without a sign is 0 in ggml, and with a sign, which is no part of the number, 480.
    f.scales[g] = static_cast<int8_t>(b[g] == 0x7f ? 0 : b[g] & 0x7f);
    readNibbles<8>(b + 4 + 8 * g, f.codes + 16 * g);
  }
}

} // namespace

float scaleOf(const BlockFormat &format, int8_t scale) {
  // The bits of a binary16 whose exponents are 8 larger; halved, since the table is doubled.
  return format.floatScales ? f16ToF32(static_cast<uint16_t>(scale << 7)) * 128 : static_cast<float>(scale);
}

const BlockFormat *blockFormat(Storage storage) {
  for (const BlockFormat &format : formats)
    if (format.storage == storage)
      return &format;
  return nullptr;
}

const BlockFormat *blockFormat(const char *name, size_t length) {
  for (const BlockFormat &format : formats)
    if (std::strlen(format.name) == length && std::memcmp(format.name, name, length) == 0)
      return &format;
  return nullptr;
}

std::string blockFormatNames() {
  std::string names;
  for (const BlockFormat &format : formats)
    names += (names.empty() ? "" : ", ") + std::string(format.name);
  return names;
}

const char *ggufTypeName(uint32_t id) { return id < sizeof typeNames / sizeof typeNames[0] ? typeNames[id] : nullptr; }

void readFields(const BlockFormat &format, const uint8_t *b, BlockFields &f) {
  f.m = 0;
  f.mBits = 0;
  std::memset(f.scales, 1, sizeof f.scales);
  std::memset(f.minimums, 0, sizeof f.minimums);
  switch (format.storage) {
  case Storage::Q4_0:
  case Storage::IQ4_NL:
    readScale(b, f);
    readNibbles(b + 2, f.codes);
    break;
  case Storage::Q4_1:
    readScale(b, f);
    readMinimum(b + 2, f);
    readNibbles(b + 4, f.codes);
    break;
  case Storage::Q5_0:
    readScale(b, f);
    readNibbles(b + 6, f.codes);
    addFifthBits(u32(b + 2), f.codes);
    break;
  case Storage::Q5_1:
    readScale(b, f);
    readMinimum(b + 2, f);
    readNibbles(b + 8, f.codes);
    addFifthBits(u32(b + 4), f.codes);
    break;
  case Storage::Q8_0:
    readScale(b, f);
    for (int i = 0; i < 32; ++i)
      f.codes[i] = b[2 + i] ^ 0x80; // signed value + 128
    break;
  case Storage::MXFP4:
    f.dBits = b[0];
    f.d = e8m0Halved(b[0]);
    readNibbles(b + 1, f.codes);
    break;
  case Storage::Q2_K:
    readQ2K(b, f);
    break;
  case Storage::Q3_K:
    readQ3K(b, f);
    break;
  case Storage::Q4_K:
    readQ4K(b, f);
    break;
  case Storage::Q5_K:
    readQ5K(b, f);
    break;
  case Storage::Q6_K:
    readQ6K(b, f);
    break;
  case Storage::IQ4_XS:
    readIQ4XS(b, f);
    break;
  case Storage::IQ1_S:
  case Storage::IQ1_M:
  case Storage::IQ2_XXS:
  case Storage::IQ2_XS:
  case Storage::IQ2_S:
  case Storage::IQ3_XXS:
  case Storage::IQ3_S:
    readGridFields(format.storage, b, f);
    break;
  case Storage::TQ1_0:
    readScale(b + 52, f);
    readDigits(b, 32, 5, f.codes);
    readDigits(b + 32, 16, 5, f.codes + 160);
    readDigits(b + 48, 4, 4, f.codes + 240);
    break;
  case Storage::TQ2_0:
    readScale(b + 64, f);
    readPairs(b, f.codes);
    readPairs(b + 32, f.codes + 128);
    break;
  case Storage::NVFP4:
    readNVFP4(b, f);
    break;
  case Storage::Q1_0:
    readScale(b, f);
    for (int i = 0; i < 128; ++i)
      f.codes[i] = b[2 + i / 8] >> i % 8 & 1;
    break;
  case Storage::Q2_0:
    readScale(b, f);
    for (int i = 0; i < 64; ++i)
      f.codes[i] = b[2 + i / 4] >> i % 4 * 2 & 3;
    break;
  case Storage::F32:
  case Storage::F16:
  case Storage::BF16:
    break; // no fields
  }
}

void decode(const BlockFormat &format, const uint8_t *bytes, size_t blocks, float *out) {
  if (format.storage == Storage::F32) {
    std::memcpy(out, bytes, blocks * sizeof(float));
    return;
  }
  if (format.storage == Storage::F16) {
    for (size_t i = 0; i < blocks; ++i)
      out[i] = f16ToF32(u16(bytes + 2 * i));
    return;
  }
  if (format.storage == Storage::BF16) {
    for (size_t i = 0; i < blocks; ++i)
      out[i] = fromBits(static_cast<uint32_t>(u16(bytes + 2 * i)) << 16);
    return;
  }
  BlockFields f;
  for (size_t block = 0; block < blocks; ++block, bytes += format.bytes, out += format.elements) {
    readFields(format, bytes, f);
    for (int g = 0; g < format.groups(); ++g) {
      float scale = f.d * scaleOf(format, f.scales[g]);
      float lowered = f.m * static_cast<float>(f.minimums[g]);
      for (int i = g * format.group; i < (g + 1) * format.group; ++i) {
        int code = format.table ? format.table[f.codes[i]] : f.codes[i] - format.offset;
        float value = scale * static_cast<float>(code);
        // No addition where there is no minimum: it would turn -0 into +0.
        if (format.minimum == BlockFormat::Plain)
          value = value + f.m;
        else if (format.minimum == BlockFormat::Grouped)
          value = value - lowered;
        out[i] = value;
      }
    }
  }
}

float f16ToF32(uint16_t bits) {
  uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  uint32_t exponent = bits >> 10 & 31, mantissa = bits & 0x3ff;
  if (exponent == 31)
    return fromBits(sign | 0x7f800000 | mantissa << 13);
  if (exponent != 0)
    return fromBits(sign | (exponent + 112) << 23 | mantissa << 13);
  float magnitude = static_cast<float>(mantissa) * 0x1p-24f; // exact: ten bits
  return sign ? -magnitude : magnitude;
}

uint16_t f32ToF16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) // NaN stays NaN, quiet
    return static_cast<uint16_t>(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
  if (magnitude >= 0x477ff000) // 65520 and above round to infinity
    return sign | 0x7c00;
  if (magnitude >= 0x38800000) { // normal: round the 13 bits that go, carrying into the exponent if need be
    uint32_t odd = magnitude >> 13 & 1;
    return static_cast<uint16_t>(sign | ((magnitude + 0xfff + odd - (112u << 23)) >> 13));
  }
  // Subnormal or zero: the last place of 0.5 is 2^-24, that of a subnormal half, so adding 0.5 rounds exactly there.
  float magic = fromBits((127 - 1) << 23); // 0.5
  float sum = fromBits(magnitude) + magic;
  uint32_t rounded;
  std::memcpy(&rounded, &sum, sizeof rounded);
  return static_cast<uint16_t>(sign | (rounded - ((127u - 1) << 23)));
}

} // namespace stepdown
