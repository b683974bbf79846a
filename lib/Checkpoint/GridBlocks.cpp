// Grids: a group of 8 values of one of three magnitudes is a point of 3^8, of 4 values of eight magnitudes a point of
// 8^4, and a type allows a few hundred or thousand of them. A block has their numbers. The points of each list ascend,
// read as numbers of which the group's first value is the lowest digit, so a list is kept as the set of its points, a
// bit for each point that there is. Which points they are is the format's (ggml's grids); they follow no rule.
#include "lib/Checkpoint/GridBlocks.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace stepdown {
namespace {

#define STEPDOWN_GRID(name, ...) constexpr uint64_t name[] = {__VA_ARGS__};
#include "lib/Checkpoint/GridPoints.def"
#undef STEPDOWN_GRID

/// The points of a set as codes: digit i of a point in place i.
class Grid {
public:
  template <size_t words> Grid(const uint64_t (&points)[words], int base, int width) : width(width) {
    for (uint32_t point = 0; point < 64 * words; ++point) {
      if (!(points[point / 64] >> point % 64 & 1))
        continue;
      for (uint32_t i = 0, rest = point; i < uint32_t(width); ++i, rest /= base)
        codes.push_back(static_cast<uint8_t>(rest % base));
    }
  }
  void copy(uint32_t number, uint8_t *out) const { std::copy_n(codes.data() + number * width, width, out); }

private:
  std::vector<uint8_t> codes; // [points, width]
  const int width;
};

const Grid &gridOf(Storage storage) {
  static const Grid two[] = {{iq2xxs, 3, 8}, {iq2xs, 3, 8}, {iq2s, 3, 8}}, one(iq1, 3, 8);
  static const Grid three[] = {{iq3xxs, 8, 4}, {iq3s, 8, 4}};
  switch (storage) {
  case Storage::IQ2_XXS:
    return two[0];
  case Storage::IQ2_XS:
    return two[1];
  case Storage::IQ2_S:
    return two[2];
  case Storage::IQ3_XXS:
    return three[0];
  case Storage::IQ3_S:
    return three[1];
  default:
    return one;
  }
}

uint16_t u16(const uint8_t *bytes) { return static_cast<uint16_t>(bytes[0] | bytes[1] << 8); }
uint32_t u32(const uint8_t *bytes) { return u16(bytes) | static_cast<uint32_t>(u16(bytes + 2)) << 16; }

/// Bit i of `signs` is bit `to` of code i.
void addSigns(uint32_t signs, int to, uint8_t *codes) {
  for (int i = 0; i < 8; ++i)
    codes[i] = static_cast<uint8_t>(codes[i] | (signs >> i & 1) << to);
}

/// Seven signs as they are stored; the eighth makes the number of minus signs even.
uint32_t withParity(uint32_t signs) {
  signs &= 127;
  return signs | (__builtin_popcount(signs) & 1) << 7;
}

/// An odd integer scale from a code of it: 2 s + 1, which halves or eighths of d multiply.
int8_t odd(uint32_t code) { return static_cast<int8_t>(2 * code + 1); }

void readIQ2(Storage storage, const uint8_t *b, BlockFields &f) {
  const Grid &grid = gridOf(storage);
  constexpr int sign = 2;
  f.dBits = u16(b);
  f.d = f16ToF32(f.dBits) / 8;
  for (int at = 0; at < 32; ++at) { // of eight values
    uint8_t *codes = f.codes + 8 * at;
    uint32_t number, signs;
    if (storage == Storage::IQ2_XXS) { // a byte each, and a word of signs and scale for four
      const uint8_t *group = b + 2 + at / 4 * 8;
      const uint32_t word = u32(group + 4);
      number = group[at % 4], signs = withParity(word >> 7 * (at % 4));
      f.scales[at / 4] = odd(word >> 28);
    } else if (storage == Storage::IQ2_XS) {
      const uint16_t word = u16(b + 2 + 2 * at);
      number = word & 511, signs = withParity(word >> 9);
      f.scales[at / 2] = odd(b[66 + at / 4] >> at / 2 % 2 * 4 & 15);
    } else {
      number = b[2 + at] | (b[66 + at / 4] >> at % 4 * 2 & 3) << 8, signs = b[34 + at];
      f.scales[at / 2] = odd(b[74 + at / 4] >> at / 2 % 2 * 4 & 15);
    }
    grid.copy(number, codes);
    addSigns(signs, sign, codes);
  }
}

void readIQ3(Storage storage, const uint8_t *b, BlockFields &f) {
  const Grid &grid = gridOf(storage);
  constexpr int sign = 3;
  const bool small = storage == Storage::IQ3_XXS;
  f.dBits = u16(b);
  f.d = small ? f16ToF32(f.dBits) / 4 : f16ToF32(f.dBits);
  for (int at = 0; at < 32; ++at) {
    uint8_t *codes = f.codes + 8 * at;
    for (int half = 0; half < 2; ++half) {
      const int four = 2 * at + half;
      const uint32_t ninth = small ? 0 : b[66 + four / 8] >> four % 8 & 1;
      grid.copy(b[2 + four] | ninth << 8, codes + 4 * half);
    }
    if (small) {
      const uint32_t word = u32(b + 66 + at / 4 * 4);
      addSigns(withParity(word >> 7 * (at % 4)), sign, codes);
      f.scales[at / 4] = odd(word >> 28);
    } else {
      addSigns(b[74 + at], sign, codes);
      f.scales[at / 4] = odd(b[106 + at / 8] >> at / 4 % 2 * 4 & 15);
    }
  }
}

/// Values are -1, 0 or 1, a little more or less: bit 2 of all eight codes says which.
void readIQ1(Storage storage, const uint8_t *b, BlockFields &f) {
  const Grid &grid = gridOf(storage);
  constexpr int less = 2;
  const bool small = storage == Storage::IQ1_S;
  if (small) {
    f.dBits = u16(b);
  } else { // four bits of it in each of four words
    f.dBits = 0;
    for (int i = 0; i < 4; ++i)
      f.dBits = static_cast<uint16_t>(f.dBits | (b[49 + 2 * i] >> 4) << 4 * i);
  }
  f.d = f16ToF32(f.dBits) / 8;
  for (int at = 0; at < 32; ++at) {
    uint8_t *codes = f.codes + 8 * at;
    uint32_t high, shift; // three bits of the number, and whether values are less
    if (small) {
      const uint16_t word = u16(b + 34 + at / 4 * 2);
      high = word >> 3 * (at % 4) & 7, shift = word >> 15;
      f.scales[at / 4] = odd(word >> 12 & 7);
    } else {
      const uint32_t four = b[32 + at / 2] >> at % 2 * 4;
      high = four & 7, shift = four >> 3 & 1;
      const int group = at / 2;
      f.scales[group] = odd(u16(b + 48 + group / 4 * 2) >> 3 * (group % 4) & 7);
    }
    grid.copy(b[small ? 2 + at : at] | high << 8, codes);
    addSigns(shift * 255, less, codes);
  }
}

} // namespace

void readGridFields(Storage storage, const uint8_t *b, BlockFields &f) {
  if (storage == Storage::IQ1_S || storage == Storage::IQ1_M)
    readIQ1(storage, b, f);
  else if (storage == Storage::IQ3_XXS || storage == Storage::IQ3_S)
    readIQ3(storage, b, f);
  else
    readIQ2(storage, b, f);
}

} // namespace stepdown
