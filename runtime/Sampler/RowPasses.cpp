// One body per pass, inlined into a wrapper for each instruction set. Contraction of a * b + c is off in this project,
// so a wider vector changes how many elements go at once and never a bit of a result.
#include "runtime/Sampler/RowPasses.h"
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace stepdown {

#define STEPDOWN_INLINE inline __attribute__((always_inline))

namespace {

constexpr size_t lanes = 16;

/// exp(x) for x <= 0 within 2 units in the last place: 2^n by the exponent bits, the rest by its Taylor series to the
/// seventh power on [-ln 2 / 2, ln 2 / 2], with ln 2 in two parts (Cody and Waite 1980).
STEPDOWN_INLINE float exponential(float x) {
  float bounded = x < -87.0f ? -87.0f : x;
  float shifted = bounded * 1.44269504f + 12582912.0f; // 1.5 * 2^23: the sum is rounded to an integer
  float n = shifted - 12582912.0f;
  float r = bounded - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  float p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, 4);
  return x < -87.0f ? 0.0f : p * power;
}

template <typename T> STEPDOWN_INLINE double pairwise(const T *v) {
  double a[8];
  for (size_t j = 0; j < 8; ++j)
    a[j] = static_cast<double>(v[j]) + static_cast<double>(v[j + 8]);
  return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
}

STEPDOWN_INLINE bool blockMaximaBody(const float *logits, size_t count, float *maxima) {
  const float low = -std::numeric_limits<float>::infinity();
  int32_t bad[lanes] = {};
  for (size_t b = 0; b * rowBlock < count; ++b) {
    const float *l = logits + b * rowBlock;
    size_t n = count - b * rowBlock < rowBlock ? count - b * rowBlock : rowBlock;
    float best[lanes];
    for (size_t j = 0; j < lanes; ++j)
      best[j] = low;
    size_t i = 0;
    for (; i + lanes <= n; i += lanes)
      for (size_t j = 0; j < lanes; ++j) {
        float x = l[i + j];
        best[j] = x > best[j] ? x : best[j];
        bad[j] |= !(x < std::numeric_limits<float>::infinity());
      }
    for (; i < n; ++i) {
      best[0] = l[i] > best[0] ? l[i] : best[0];
      bad[0] |= !(l[i] < std::numeric_limits<float>::infinity());
    }
    for (size_t j = 1; j < lanes; ++j)
      best[0] = best[j] > best[0] ? best[j] : best[0];
    maxima[b] = best[0];
  }
  int32_t any = 0;
  for (size_t j = 0; j < lanes; ++j)
    any |= bad[j];
  return any == 0;
}

STEPDOWN_INLINE double expSumBody(const float *logits, size_t count, float scale, float highest) {
  double total = 0;
  for (size_t begin = 0; begin < count; begin += 1024) { // floats add up 64 deep at most; doubles hold the rest
    size_t n = count - begin < 1024 ? count - begin : 1024;
    const float *l = logits + begin;
    float sum[lanes] = {};
    size_t i = 0;
    for (; i + lanes <= n; i += lanes)
      for (size_t j = 0; j < lanes; ++j)
        sum[j] += exponential(l[i + j] * scale - highest);
    for (; i < n; ++i)
      sum[0] += exponential(l[i] * scale - highest);
    total += pairwise(sum);
  }
  return total;
}

STEPDOWN_INLINE void exponentialsBody(const float *logits, size_t count, float scale, float highest, float *weights) {
  for (size_t i = 0; i < count; ++i)
    weights[i] = exponential(logits[i] * scale - highest);
}

STEPDOWN_INLINE void momentsBody(const float *logits, size_t count, double centre, double &finite, double &sum,
                                 double &squares) {
  double n[lanes] = {}, s[lanes] = {}, q[lanes] = {};
  for (size_t begin = 0; begin < count; begin += lanes) {
    size_t width = count - begin < lanes ? count - begin : lanes;
    for (size_t j = 0; j < width; ++j) {
      float x = logits[begin + j];
      bool real = x > -std::numeric_limits<float>::infinity();
      double d = real ? static_cast<double>(x) - centre : 0.0;
      n[j] += real ? 1.0 : 0.0;
      s[j] += d;
      q[j] += d * d;
    }
  }
  finite = pairwise(n);
  squares = pairwise(q);
  sum = pairwise(s) + finite * centre;
}

} // namespace

#define STEPDOWN_VARIANT(NAME, TARGET)                                                                                 \
  namespace {                                                                                                          \
  TARGET bool NAME##Maxima(const float *l, size_t n, float *m) { return blockMaximaBody(l, n, m); }                    \
  TARGET double NAME##Sum(const float *l, size_t n, float s, float h) { return expSumBody(l, n, s, h); }               \
  TARGET void NAME##Exp(const float *l, size_t n, float s, float h, float *w) { exponentialsBody(l, n, s, h, w); }     \
  TARGET void NAME##Moments(const float *l, size_t n, double c, double &f, double &s, double &q) {                     \
    momentsBody(l, n, c, f, s, q);                                                                                     \
  }                                                                                                                    \
  const RowPasses NAME = {NAME##Maxima, NAME##Sum, NAME##Exp, NAME##Moments};                                          \
  }

STEPDOWN_VARIANT(baseline, )
#if defined(__x86_64__)
STEPDOWN_VARIANT(avx2, __attribute__((target("avx2"))))
STEPDOWN_VARIANT(avx512, __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,prefer-256-bit"))))
#endif

size_t rowPassVariants(const RowPasses *variants[3]) {
  size_t count = 0;
  variants[count++] = &baseline;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2"))
    variants[count++] = &avx2;
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
    variants[count++] = &avx512;
#endif
  return count;
}

const RowPasses &rowPasses() {
  static const RowPasses &best = []() -> const RowPasses & {
    const RowPasses *variants[3];
    return *variants[rowPassVariants(variants) - 1];
  }();
  return best;
}

} // namespace stepdown
