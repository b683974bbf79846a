// One body per pass, inlined into a wrapper for each instruction set. Contraction of a * b + c is off in this project
// and fused products are written out, so a wider vector changes how many elements go at once and never a bit of a
// result.
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
  float shifted = __builtin_fmaf(bounded, 1.44269504f, 12582912.0f); // 1.5 * 2^23: the sum is rounded to an integer
  float n = shifted - 12582912.0f;
  float r = __builtin_fmaf(n, -0.693359375f, bounded);
  r = __builtin_fmaf(n, 2.12194440e-4f, r);
  float p = 1.0f / 5040.0f;
  p = __builtin_fmaf(p, r, 1.0f / 720.0f);
  p = __builtin_fmaf(p, r, 1.0f / 120.0f);
  p = __builtin_fmaf(p, r, 1.0f / 24.0f);
  p = __builtin_fmaf(p, r, 1.0f / 6.0f);
  p = __builtin_fmaf(p, r, 0.5f);
  p = __builtin_fmaf(p, r, 1.0f);
  p = __builtin_fmaf(p, r, 1.0f);
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

STEPDOWN_INLINE void weighBody(const float *logits, size_t count, float scale, float highest, float *weights,
                               double &sum, double &moment) {
  sum = moment = 0;
  for (size_t begin = 0; begin < count; begin += 1024) {
    size_t n = count - begin < 1024 ? count - begin : 1024;
    const float *l = logits + begin;
    float *w = weights + begin;
    float s[lanes] = {}, m[lanes] = {};
    size_t i = 0;
    auto add = [&](size_t at, size_t lane) __attribute__((always_inline)) {
      float x = l[at] * scale - highest, e = exponential(x);
      w[at] = e;
      s[lane] += e;
      m[lane] += e * (x < -87.0f ? -87.0f : x);
    };
    for (; i + lanes <= n; i += lanes)
      for (size_t j = 0; j < lanes; ++j)
        add(i + j, j);
    for (; i < n; ++i)
      add(i, 0);
    sum += pairwise(s);
    moment += pairwise(m);
  }
}

STEPDOWN_INLINE float keyAt(const float *logits, size_t i, const KeyOf &key) {
  float distance = key.centre - (logits[i] * key.scale - key.highest);
  return distance < 0 ? -distance : distance;
}

/// In units of an interval, and inside the last one where it is larger than all.
STEPDOWN_INLINE float intervalAt(const float *logits, size_t i, const KeyOf &key) {
  constexpr float unit = keyIntervals / KeyOf::reach, last = keyIntervals - 1;
  float at = keyAt(logits, i, key) * unit;
  return at < last ? at : last;
}

// Four arrays of sums: one alone would wait for its own last addition wherever many keys are alike.
STEPDOWN_INLINE void addByKeyBody(const float *logits, size_t count, const KeyOf &key, const float *weights,
                                  double *sums) {
  double apart[4][keyIntervals] = {};
  int32_t interval[lanes];
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    for (size_t j = 0; j < lanes; ++j)
      interval[j] = static_cast<int32_t>(intervalAt(logits, i + j, key));
    for (size_t j = 0; j < lanes; ++j)
      apart[j % 4][interval[j]] += static_cast<double>(weights[i + j]);
  }
  for (; i < count; ++i)
    apart[0][static_cast<int32_t>(intervalAt(logits, i, key))] += static_cast<double>(weights[i]);
  for (size_t k = 0; k < keyIntervals; ++k)
    sums[k] = (apart[0][k] + apart[1][k]) + (apart[2][k] + apart[3][k]);
}

STEPDOWN_INLINE size_t idsInIntervalBody(const float *logits, size_t count, const KeyOf &key, size_t interval,
                                         int32_t *ids) {
  const float low = static_cast<float>(interval), high = low + 1;
  size_t found = 0;
  auto take = [&](size_t i) __attribute__((always_inline)) {
    float at = intervalAt(logits, i, key);
    ids[found] = static_cast<int32_t>(i);
    found += at >= low && at < high;
  };
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    int32_t any = 0;
    for (size_t j = 0; j < lanes; ++j) {
      float at = intervalAt(logits, i + j, key);
      any |= at >= low && at < high;
    }
    for (size_t j = 0; any && j < lanes; ++j)
      take(i + j);
  }
  for (; i < count; ++i)
    take(i);
  return found;
}

STEPDOWN_INLINE void keepKeysBody(const float *logits, size_t count, const KeyOf &key, float cut, float *out) {
  for (size_t i = 0; i < count; ++i)
    out[i] = keyAt(logits, i, key) <= cut ? logits[i] * key.scale : -std::numeric_limits<float>::infinity();
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
  TARGET void NAME##Weigh(const float *l, size_t n, float s, float h, float *w, double &t, double &m) {                \
    weighBody(l, n, s, h, w, t, m);                                                                                    \
  }                                                                                                                    \
  TARGET void NAME##ByKey(const float *l, size_t n, KeyOf k, const float *w, double *s) {                              \
    addByKeyBody(l, n, k, w, s);                                                                                       \
  }                                                                                                                    \
  TARGET size_t NAME##Ids(const float *l, size_t n, KeyOf k, size_t i, int32_t *ids) {                                 \
    return idsInIntervalBody(l, n, k, i, ids);                                                                         \
  }                                                                                                                    \
  TARGET void NAME##Keep(const float *l, size_t n, KeyOf k, float c, float *o) { keepKeysBody(l, n, k, c, o); }        \
  const RowPasses NAME = {NAME##Maxima, NAME##Sum, NAME##Exp,  NAME##Weigh,                                            \
                          NAME##ByKey,  NAME##Ids, NAME##Keep, NAME##Moments};                                         \
  }

STEPDOWN_VARIANT(baseline, )
#if defined(__x86_64__)
STEPDOWN_VARIANT(avx2, __attribute__((target("avx2,fma"))))
STEPDOWN_VARIANT(avx512, __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,fma"))))
#endif

size_t rowPassVariants(const RowPasses *variants[3]) {
  size_t count = 0;
  variants[count++] = &baseline;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
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
