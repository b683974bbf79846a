// One body per product, inlined into a wrapper for each instruction set, as in runtime/Sampler/RowPasses.cpp.
#include "runtime/emulated/Products.h"
#include <cmath>
#include <cstring>

namespace stepdown::emulated {

#define STEPDOWN_INLINE inline __attribute__((always_inline))

namespace {

float fromF16(uint16_t bits) {
  const uint32_t exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const float magnitude = exponent == 31 ? (mantissa ? NAN : INFINITY)
                          : exponent     ? std::ldexp(float(1024 + mantissa), int(exponent) - 25)
                                         : std::ldexp(float(mantissa), -24);
  return bits & 0x8000 ? -magnitude : magnitude;
}

/// OCP 8-bit floats: e4m3 has no infinity and one NaN, e5m2 is like the IEEE types.
float fromF8(uint8_t bits, bool e5m2) {
  const uint32_t width = e5m2 ? 2 : 3, exponent = bits >> width & (e5m2 ? 31 : 15),
                 mantissa = bits & ((1 << width) - 1);
  const int bias = e5m2 ? 15 : 7;
  float magnitude;
  if (e5m2 && exponent == 31)
    magnitude = mantissa ? NAN : INFINITY;
  else if (!e5m2 && (bits & 127) == 127)
    magnitude = NAN;
  else
    magnitude = exponent ? std::ldexp(float((1 << width) + mantissa), int(exponent) - bias - int(width))
                         : std::ldexp(float(mantissa), 1 - bias - int(width));
  return bits & 128 ? -magnitude : magnitude;
}

/// e4m3 of gfx942 (FNUZ, arXiv:2206.02915): a bias of 8, no infinity, no minus zero, whose bits are the one NaN.
float fromFnuz(uint8_t bits) {
  const uint32_t exponent = bits >> 3 & 15, mantissa = bits & 7;
  const float magnitude =
      exponent ? std::ldexp(float(8 + mantissa), int(exponent) - 11) : std::ldexp(float(mantissa), -10);
  return bits == 128 ? NAN : bits & 128 ? -magnitude : magnitude;
}

struct Tables {
  float f16[65536], e4m3[256], e5m2[256], fnuz[256];
  Tables() {
    for (int i = 0; i < 65536; ++i)
      f16[i] = fromF16(uint16_t(i));
    for (int i = 0; i < 256; ++i) {
      e4m3[i] = fromF8(uint8_t(i), false);
      e5m2[i] = fromF8(uint8_t(i), true);
      fnuz[i] = fromFnuz(uint8_t(i));
    }
  }
};

const Tables &tables() {
  static const Tables made;
  return made;
}

constexpr uint32_t atOnce = 16; // columns, and four rows: eight vectors of eight floats hold the sums

template <uint32_t columns>
STEPDOWN_INLINE void blockBody(float *sums, const float *a, const float *b, uint32_t n, uint32_t k) {
  float sum[4][columns];
  for (uint32_t r = 0; r < 4; ++r)
    for (uint32_t c = 0; c < columns; ++c)
      sum[r][c] = sums[r * n + c];
  for (uint32_t i = 0; i < k; ++i)
    for (uint32_t r = 0; r < 4; ++r) {
      const float x = a[r * k + i];
      for (uint32_t c = 0; c < columns; ++c)
        sum[r][c] = __builtin_fmaf(x, b[i * n + c], sum[r][c]);
    }
  for (uint32_t r = 0; r < 4; ++r)
    for (uint32_t c = 0; c < columns; ++c)
      sums[r * n + c] = sum[r][c];
}

STEPDOWN_INLINE void multiplyBody(float *sums, const float *a, const float *b, uint32_t rows, uint32_t n, uint32_t k) {
  for (uint32_t r = 0; r < rows; r += 4) {
    uint32_t c = 0;
    for (; c + atOnce <= n; c += atOnce)
      blockBody<atOnce>(sums + r * n + c, a + r * k, b + c, n, k);
    for (; c < n; c += 8)
      blockBody<8>(sums + r * n + c, a + r * k, b + c, n, k);
  }
}

__attribute__((target("avx2,fma"))) void multiplyAvx2(float *sums, const float *a, const float *b, uint32_t rows,
                                                      uint32_t n, uint32_t k) {
  multiplyBody(sums, a, b, rows, n, k);
}

template <uint32_t count>
STEPDOWN_INLINE void columnsOf(float *const *sums, uint32_t given, const float *a, const float *b, uint32_t lanes,
                               uint32_t rows, uint32_t k) {
  for (uint32_t group = 0; group < lanes / rows; ++group)
    for (uint32_t column = 0; column < rows; ++column) {
      float *to = sums[group * rows + column], sum[count];
      const float *left = a + group * k * count, *right = b + column * k;
      for (uint32_t r = 0; r < count; ++r)
        sum[r] = to[given + r];
      for (uint32_t i = 0; i < k; ++i)
        for (uint32_t r = 0; r < count; ++r)
          sum[r] = __builtin_fmaf(left[i * count + r], right[i], sum[r]);
      for (uint32_t r = 0; r < count; ++r)
        to[r] = sum[r];
    }
}

STEPDOWN_INLINE void columnsBody(float *const *sums, uint32_t given, const float *a, const float *b, uint32_t lanes,
                                 uint32_t rows, uint32_t k) {
  if (rows == 32)
    columnsOf<16>(sums, given, a, b, lanes, rows, k);
  else if (lanes == 32)
    columnsOf<8>(sums, given, a, b, lanes, rows, k);
  else
    columnsOf<4>(sums, given, a, b, lanes, rows, k);
}

__attribute__((target("avx2,fma"))) void columnsAvx2(float *const *sums, uint32_t given, const float *a, const float *b,
                                                     uint32_t lanes, uint32_t rows, uint32_t k) {
  columnsBody(sums, given, a, b, lanes, rows, k);
}

bool hasAvx2() {
  static const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return has;
}

} // namespace

uint32_t elementBytes(ElementType type) {
  switch (type) {
  case ElementType::F32:
  case ElementType::TF32:
  case ElementType::S32:
    return 4;
  case ElementType::F16:
  case ElementType::BF16:
    return 2;
  default:
    return 1;
  }
}

void toFloats(ElementType type, const uint8_t *from, size_t count, float *to) {
  auto each = [&](auto element, auto &&convert) {
    for (size_t i = 0; i < count; ++i) {
      std::memcpy(&element, from + i * sizeof element, sizeof element);
      to[i] = convert(element);
    }
  };
  auto fromBits = [](uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
  };
  switch (type) {
  case ElementType::F16:
    return each(uint16_t(), [](uint16_t x) { return tables().f16[x]; });
  case ElementType::BF16:
    return each(uint16_t(), [&](uint16_t x) { return fromBits(uint32_t(x) << 16); });
  case ElementType::TF32: // the hardware reads the upper 19 bits
    return each(uint32_t(), [&](uint32_t x) { return fromBits(x & 0xffffe000); });
  case ElementType::E4M3:
    return each(uint8_t(), [](uint8_t x) { return tables().e4m3[x]; });
  case ElementType::E5M2:
    return each(uint8_t(), [](uint8_t x) { return tables().e5m2[x]; });
  case ElementType::E4M3FNUZ:
    return each(uint8_t(), [](uint8_t x) { return tables().fnuz[x]; });
  case ElementType::S8:
    return each(int8_t(), [](int8_t x) { return float(x); });
  case ElementType::U8:
    return each(uint8_t(), [](uint8_t x) { return float(x); });
  case ElementType::F32:
  case ElementType::S32:
    return each(uint32_t(), fromBits);
  }
}

void multiply(float *sums, const float *a, const float *b, uint32_t rows, uint32_t n, uint32_t k) {
  if (hasAvx2())
    multiplyAvx2(sums, a, b, rows, n, k);
  else
    multiplyBody(sums, a, b, rows, n, k);
}

void multiplyColumns(float *const *sums, uint32_t given, const float *a, const float *b, uint32_t lanes, uint32_t rows,
                     uint32_t k) {
  (hasAvx2() ? columnsAvx2 : columnsBody)(sums, given, a, b, lanes, rows, k);
}

void multiplyColumnsOfIntegers(float *const *sums, uint32_t given, const float *a, const float *b, uint32_t lanes,
                               uint32_t rows, uint32_t k) {
  const uint32_t count = rows * rows / lanes;
  for (uint32_t l = 0; l < lanes; ++l)
    for (uint32_t r = 0; r < count; ++r) {
      uint32_t sum;
      std::memcpy(&sum, sums[l] + given + r, 4);
      for (uint32_t i = 0; i < k; ++i)
        sum += uint32_t(int32_t(a[(l / rows * k + i) * count + r]) * int32_t(b[l % rows * k + i]));
      std::memcpy(sums[l] + r, &sum, 4);
    }
}

void multiplyNarrow(float *sums, const float *a, const float *b, uint32_t rows, uint32_t n, uint32_t k, uint32_t bits) {
  /// `value` without what lies below `bits` bits of the exponent `exponent` (of frexp).
  auto cut = [bits](double value, int exponent) {
    const double last = std::ldexp(1.0, exponent - int(bits));
    return std::trunc(value / last) * last; // both exact
  };
  for (uint32_t r = 0; r < rows; ++r)
    for (uint32_t c = 0; c < n; ++c) {
      float &sum = sums[r * n + c];
      double largest = std::fabs(sum), plain = sum;
      for (uint32_t i = 0; i < k; ++i) {
        const double product = double(a[r * k + i]) * b[i * n + c];
        largest = std::fmax(largest, std::fabs(product));
        plain += product;
      }
      if (!std::isfinite(plain) || largest == 0) {
        sum = float(plain);
        continue;
      }
      int exponent;
      std::frexp(largest, &exponent);
      double total = cut(sum, exponent);
      for (uint32_t i = 0; i < k; ++i)
        total += cut(double(a[r * k + i]) * b[i * n + c], exponent);
      std::frexp(total, &exponent);
      sum = float(cut(total, exponent));
    }
}

void multiplyIntegers(float *sums, const float *a, const float *b, uint32_t rows, uint32_t n, uint32_t k) {
  for (uint32_t r = 0; r < rows; ++r)
    for (uint32_t i = 0; i < k; ++i) {
      const int32_t x = int32_t(a[r * k + i]);
      for (uint32_t c = 0; c < n; ++c) {
        uint32_t sum;
        std::memcpy(&sum, sums + r * n + c, 4);
        sum += uint32_t(x * int32_t(b[i * n + c]));
        std::memcpy(sums + r * n + c, &sum, 4);
      }
    }
}

} // namespace stepdown::emulated
