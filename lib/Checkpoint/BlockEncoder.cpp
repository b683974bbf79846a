#include "lib/Checkpoint/BlockEncoder.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace stepdown {
namespace {
constexpr int kBlock = 32, kSuper = 256;

/// 1 / `step`, and 0 of a step that is zero or too small to divide by, whose block decodes to zeros.
float inverseOf(float step) { return std::fabs(step) >= std::numeric_limits<float>::min() ? 1 / step : 0; }

void putHalf(uint8_t *out, float value) {
  const uint16_t bits = f32ToF16(value);
  std::memcpy(out, &bits, sizeof bits);
}

/// Codes of 32 values: their low four bits as nibbles of 16 bytes, and their fifth bits as four bytes where `high` is.
void putCodes(const uint8_t *codes, uint8_t *low, uint8_t *high) {
  for (int i = 0; i < kBlock / 2; ++i)
    low[i] = static_cast<uint8_t>((codes[i] & 15) | (codes[i + kBlock / 2] & 15) << 4);
  for (int i = 0; high && i < kBlock; ++i) {
    if (i % 8 == 0)
      high[i / 8] = 0;
    high[i / 8] = static_cast<uint8_t>(high[i / 8] | (codes[i] >> 4) << i % 8);
  }
}

/// Codes around the middle of 2^bits: the value that is largest in size gets the code 0.
void encodeAround(int bits, const float *values, uint8_t *out) {
  float top = 0;
  for (int i = 0; i < kBlock; ++i)
    if (std::fabs(values[i]) > std::fabs(top))
      top = values[i];
  const float middle = static_cast<float>(1 << (bits - 1)), d = top / -middle, inverse = inverseOf(d);
  uint8_t codes[kBlock];
  for (int i = 0; i < kBlock; ++i)
    codes[i] = static_cast<uint8_t>(
        std::clamp(std::trunc(values[i] * inverse + (middle + 0.5f)), 0.0f, static_cast<float>((1 << bits) - 1)));
  putHalf(out, d);
  putCodes(codes, out + (bits == 5 ? 6 : 2), bits == 5 ? out + 2 : nullptr);
}

/// Codes above the least value.
void encodeAbove(int bits, const float *values, uint8_t *out) {
  const auto [least, most] = std::minmax_element(values, values + kBlock);
  const float levels = static_cast<float>((1 << bits) - 1), d = (*most - *least) / levels;
  const float inverse = inverseOf(d);
  uint8_t codes[kBlock];
  for (int i = 0; i < kBlock; ++i)
    codes[i] = static_cast<uint8_t>(std::clamp(std::trunc((values[i] - *least) * inverse + 0.5f), 0.0f, levels));
  putHalf(out, d);
  putHalf(out + 2, *least);
  putCodes(codes, out + (bits == 5 ? 8 : 4), bits == 5 ? out + 4 : nullptr);
}

void encodeEight(const float *values, uint8_t *out) {
  float top = 0;
  for (int i = 0; i < kBlock; ++i)
    top = std::max(top, std::fabs(values[i]));
  const float d = top / 127, inverse = inverseOf(d);
  putHalf(out, d);
  for (int i = 0; i < kBlock; ++i)
    out[2 + i] = static_cast<uint8_t>(static_cast<int8_t>(std::round(values[i] * inverse))); // halves away from zero
}

int nearest(float value, int least, int most) {
  return std::clamp(static_cast<int>(std::lrint(value)), least, most); // numbers near codes, far below 2^31
}

/// Values of a group are near scale * code - minimum, where no minimum is below zero.
struct Line {
  float scale = 0, minimum = 0;
};

using Floats = float __attribute__((vector_size(32)));
constexpr int kParts = 8;

float sumOf(const Floats &parts) {
  return ((parts[0] + parts[4]) + (parts[1] + parts[5])) + ((parts[2] + parts[6]) + (parts[3] + parts[7]));
}

/// Codes of a group of 32 by a line, as floats, and what least squares need of them. Sums have eight parts each, which
/// are always added up in the same order.
struct Coded {
  float codes[kBlock];
  float sum, squares, products, left; ///< of codes, their squares, their products with the values, and of what is off

  Coded(const Line &line, const float *values, float most) {
    constexpr float kWhole =
        0x1.8p23f; // added and taken away, it rounds to the nearest whole number, of halves the even
    const Floats zero = {}, top = zero + most, inverse = zero + inverseOf(line.scale);
    Floats s = {}, ss = {}, xs = {}, off = {};
    for (int i = 0; i < kBlock; i += kParts) {
      Floats x;
      std::memcpy(&x, values + i, sizeof x);
      const Floats raw = (x + line.minimum) * inverse, above = raw > zero ? raw : zero;
      const Floats code = ((above < top ? above : top) + kWhole) - kWhole, apart = line.scale * code - line.minimum - x;
      std::memcpy(codes + i, &code, sizeof code);
      s += code, ss += code * code, xs += x * code, off += apart * apart;
    }
    sum = sumOf(s), squares = sumOf(ss), products = sumOf(xs), left = sumOf(off);
  }
};

/// The line of least squares through the values, whose sum is `x`, at their codes; the one through zero where its
/// minimum would be below zero.
Line lineThrough(const Coded &coded, double x) {
  const double s = coded.sum, ss = coded.squares, xs = coded.products, determinant = kBlock * ss - s * s;
  if (determinant > 0) {
    const double scale = (kBlock * xs - s * x) / determinant, minimum = (s * xs - ss * x) / determinant;
    if (minimum >= 0 && scale > 0)
      return {static_cast<float>(scale), static_cast<float>(minimum)};
  }
  return {ss > 0 ? static_cast<float>(std::max(xs / ss, 0.0)) : 0, 0};
}

/// The best of lines that begin with the group's range, somewhat shortened or lengthened.
Line bestLine(const float *values, int most) {
  float least = 0, top = 0;
  double sum = 0;
  for (int i = 0; i < kBlock; ++i)
    least = std::min(least, values[i]), top = std::max(top, values[i]), sum += values[i];
  if (top == least)
    return {};
  Line best;
  float bestLeft = -1;
  for (int trial = -5; trial <= 5; ++trial) {
    Line line = {(top - least) / (static_cast<float>(most) + 0.2f * static_cast<float>(trial)), -least};
    for (int turn = 0; turn < 3; ++turn) {
      const Coded coded(line, values, static_cast<float>(most));
      if (bestLeft < 0 || coded.left < bestLeft)
        bestLeft = coded.left, best = line;
      line = lineThrough(coded, sum);
    }
  }
  return best;
}

/// The scale of a group whose codes are signed, from -`below` to `below` - 1.
float bestScale(const float *values, int count, int below) {
  float top = 0;
  for (int i = 0; i < count; ++i)
    if (std::fabs(values[i]) > std::fabs(top))
      top = values[i];
  if (inverseOf(top) == 0)
    return 0;
  float best = 0;
  double bestGain = 0; // of the squares' sum
  for (int trial = -9; trial <= 9; ++trial) {
    const float inverse = -(static_cast<float>(below) + 0.1f * static_cast<float>(trial)) / top;
    double xc = 0, cc = 0;
    for (int i = 0; i < count; ++i) {
      const int code = nearest(values[i] * inverse, -below, below - 1);
      xc += double(values[i]) * code, cc += double(code) * code;
    }
    if (cc > 0 && xc * xc / cc > bestGain)
      bestGain = xc * xc / cc, best = static_cast<float>(xc / cc);
  }
  return best;
}

/// Q4_K and Q5_K: eight groups of 32, scales and minima of 6 bits, all positive.
void encodeLines(int bits, const float *values, uint8_t *out) {
  constexpr int kGroups = kSuper / kBlock;
  const int most = (1 << bits) - 1;
  Line lines[kGroups];
  float topScale = 0, topMinimum = 0;
  for (int g = 0; g < kGroups; ++g) {
    lines[g] = bestLine(values + g * kBlock, most);
    topScale = std::max(topScale, lines[g].scale), topMinimum = std::max(topMinimum, lines[g].minimum);
  }
  float d = f16ToF32(f32ToF16(topScale / 63)), dmin = f16ToF32(f32ToF16(topMinimum / 63));
  int scales[kGroups], minimums[kGroups];
  uint8_t codes[kSuper];
  double bestLeft = -1;
  uint8_t made[2 + 2 + 12 + kBlock + kSuper / 2];
  for (int turn = 0; turn < 2; ++turn) {
    double left = 0, ss = 0, sm = 0, mm = 0, xs = 0, xm = 0; // of d and dmin over the block, values being d s - dmin m
    for (int g = 0; g < kGroups; ++g) {
      const float *group = values + g * kBlock;
      double least = -1;
      // What rounds to one scale or minimum may do better with its neighbour.
      const int s0 = d > 0 ? nearest(std::min(lines[g].scale / d, 63.0f), 0, 63) : 0;
      const int m0 = dmin > 0 ? nearest(std::min(lines[g].minimum / dmin, 63.0f), 0, 63) : 0;
      for (int s = std::max(s0 - 1, 0); s <= std::min(s0 + 1, 63); ++s)
        for (int m = std::max(m0 - 1, 0); m <= std::min(m0 + 1, 63); ++m) {
          const Coded coded({d * static_cast<float>(s), dmin * static_cast<float>(m)}, group, static_cast<float>(most));
          if (least >= 0 && coded.left >= least)
            continue;
          least = coded.left, scales[g] = s, minimums[g] = m;
          std::copy(coded.codes, coded.codes + kBlock, codes + g * kBlock);
        }
      left += least;
      for (int i = 0; i < kBlock; ++i) {
        const double s = double(scales[g]) * codes[g * kBlock + i], m = minimums[g], x = group[i];
        ss += s * s, sm += s * m, mm += m * m, xs += x * s, xm += x * m;
      }
    }
    if (bestLeft < 0 || left < bestLeft) {
      bestLeft = left;
      putHalf(made, d);
      putHalf(made + 2, dmin);
      for (int j = 0; j < 4; ++j) {
        made[4 + j] = static_cast<uint8_t>(scales[j] | scales[j + 4] >> 4 << 6);
        made[8 + j] = static_cast<uint8_t>(minimums[j] | minimums[j + 4] >> 4 << 6);
        made[12 + j] = static_cast<uint8_t>((scales[j + 4] & 15) | (minimums[j + 4] & 15) << 4);
      }
      uint8_t *high = made + 16, *low = bits == 5 ? high + kBlock : high;
      if (bits == 5)
        std::fill(high, high + kBlock, uint8_t(0));
      for (int g = 0; g < kGroups; ++g)
        for (int i = 0; i < kBlock; ++i) {
          const uint8_t code = codes[g * kBlock + i];
          uint8_t &byte = low[g / 2 * kBlock + i];
          byte = static_cast<uint8_t>(g % 2 ? byte | (code & 15) << 4 : code & 15);
          if (bits == 5)
            high[i] = static_cast<uint8_t>(high[i] | (code >> 4) << g);
        }
    }
    // Least squares of d and dmin with all codes as they are.
    const double determinant = ss * mm - sm * sm;
    double scale = ss > 0 ? xs / ss : 0, minimum = 0;
    if (determinant > 1e-12 * ss * mm)
      scale = (xs * mm - xm * sm) / determinant, minimum = (xs * sm - xm * ss) / determinant;
    if (scale <= 0 || minimum < 0)
      break;
    d = f16ToF32(f32ToF16(static_cast<float>(scale))), dmin = f16ToF32(f32ToF16(static_cast<float>(minimum)));
  }
  std::copy(made, made + blockFormat(bits == 5 ? Storage::Q5_K : Storage::Q4_K)->bytes, out);
}

/// Q6_K: sixteen groups of 16, scales of 8 bits with a sign.
void encodeSixes(const float *values, uint8_t *out) {
  constexpr int kGroup = 16, kGroups = kSuper / kGroup;
  float scales[kGroups], top = 0;
  for (int g = 0; g < kGroups; ++g) {
    scales[g] = bestScale(values + g * kGroup, kGroup, 32);
    if (std::fabs(scales[g]) > std::fabs(top))
      top = scales[g];
  }
  const float d = f16ToF32(f32ToF16(top / -128));
  uint8_t codes[kSuper];
  std::fill(out, out + blockFormat(Storage::Q6_K)->bytes, uint8_t(0));
  uint8_t *low = out, *high = out + 128, *packed = out + 192;
  for (int g = 0; g < kGroups; ++g) {
    const int s = d != 0 ? nearest(scales[g] / d, -128, 127) : 0;
    const float step = d * static_cast<float>(s), inverse = inverseOf(step);
    packed[g] = static_cast<uint8_t>(static_cast<int8_t>(s));
    for (int i = 0; i < kGroup; ++i)
      codes[g * kGroup + i] =
          static_cast<uint8_t>(32 + nearest(std::clamp(values[g * kGroup + i] * inverse, -64.0f, 64.0f), -32, 31));
  }
  for (int i = 0; i < kSuper; ++i) { // of each half, four runs of 32
    const int half = i / 128, run = i % 128 / 32, at = i % 32;
    uint8_t &l = low[half * 64 + run % 2 * 32 + at], &h = high[half * 32 + at];
    l = static_cast<uint8_t>(l | (codes[i] & 15) << run / 2 * 4);
    h = static_cast<uint8_t>(h | (codes[i] >> 4) << run * 2);
  }
  putHalf(out + 208, d);
}

} // namespace

bool hasEncoder(Storage storage) {
  switch (storage) {
  case Storage::Q4_0:
  case Storage::Q4_1:
  case Storage::Q5_0:
  case Storage::Q5_1:
  case Storage::Q8_0:
  case Storage::Q4_K:
  case Storage::Q5_K:
  case Storage::Q6_K:
    return true;
  default:
    return false;
  }
}

void encode(Storage storage, const float *values, size_t blocks, uint8_t *out) {
  const BlockFormat &format = *blockFormat(storage);
  for (size_t block = 0; block < blocks; ++block, values += format.elements, out += format.bytes) {
    if (storage == Storage::Q8_0)
      encodeEight(values, out);
    else if (storage == Storage::Q6_K)
      encodeSixes(values, out);
    else if (format.elements == kSuper)
      encodeLines(format.bits, values, out);
    else if (format.minimum == BlockFormat::Plain)
      encodeAbove(format.bits, values, out);
    else
      encodeAround(format.bits, values, out);
  }
}

} // namespace stepdown
