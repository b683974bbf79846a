/* Kernels of a toy model for the runtime's tests, compiled freestanding; each lies in a section of its own, calls
 * nothing and refers to no data, as the kernel ABI in include/stepdown/Artifact.h demands. All values are small whole
 * numbers, so that float arithmetic is exact and the tests may compare bytes. */
#include <stdint.h>

#define KERNEL(name)                                                                                                   \
  __attribute__((section(".text." #name), used)) void name(const uint64_t *o, int64_t thread, int64_t threads)

static inline int64_t modulo(int64_t a, int64_t m) { return a - a / m * m; }

/* operands: table [vocabulary, width], tokens [T], x [T, width] */
KERNEL(embed) {
  const float *table = (const float *)o[0];
  int64_t width = (int64_t)o[2];
  const int32_t *tokens = (const int32_t *)o[3];
  int64_t count = (int64_t)o[4];
  float *x = (float *)o[5];
  for (int64_t t = thread; t < count; t += threads)
    for (int64_t w = 0; w < width; ++w)
      x[t * width + w] = table[tokens[t] * width + w];
}

/* operands: x [T, width], positions [T], sequences [T], table [sequences, entries], scale [1],
 * keys [blocks, 1, g, width, 16], values [blocks, 1, 16 * g, width] */
KERNEL(append) {
  const float *x = (const float *)o[0];
  int64_t count = (int64_t)o[1], width = (int64_t)o[2];
  const int32_t *positions = (const int32_t *)o[3], *sequences = (const int32_t *)o[5], *table = (const int32_t *)o[7];
  int64_t entries = (int64_t)o[9];
  float scale = *(const float *)o[10];
  float *keys = (float *)o[12], *values = (float *)o[18];
  int64_t size = (int64_t)o[21];
  for (int64_t t = thread; t < count; t += threads) {
    int64_t block = table[sequences[t] * entries + positions[t] / size], at = modulo(positions[t], size);
    for (int64_t w = 0; w < width; ++w) {
      keys[((block * (size / 16) + at / 16) * width + w) * 16 + modulo(at, 16)] = x[t * width + w];
      values[(block * size + at) * width + w] = x[t * width + w] * scale;
    }
  }
}

/* operands: x, positions, sequences, table, window [as a dimension], keys, values: x = (x + sum of v * (1 + k % 5)) %
 * 1021 */
KERNEL(attend) {
  float *x = (float *)o[0];
  int64_t count = (int64_t)o[1], width = (int64_t)o[2];
  const int32_t *positions = (const int32_t *)o[3], *sequences = (const int32_t *)o[5], *table = (const int32_t *)o[7];
  int64_t entries = (int64_t)o[9], window = (int64_t)o[11];
  const float *keys = (const float *)o[12], *values = (const float *)o[18];
  int64_t size = (int64_t)o[21];
  for (int64_t t = thread; t < count; t += threads) {
    int64_t last = positions[t], first = window && last >= window ? last - window + 1 : 0;
    for (int64_t w = 0; w < width; ++w) {
      int64_t sum = (int64_t)x[t * width + w];
      for (int64_t p = first; p <= last; ++p) {
        int64_t block = table[sequences[t] * entries + p / size], at = modulo(p, size);
        int64_t k = (int64_t)keys[((block * (size / 16) + at / 16) * width + w) * 16 + modulo(at, 16)];
        sum += (int64_t)values[(block * size + at) * width + w] * (1 + modulo(k, 5));
      }
      x[t * width + w] = (float)modulo(sum, 1021);
    }
  }
}

/* operands: table [vocabulary, width], x [T, width], rows [R], logits [R, stride] */
KERNEL(head) {
  const float *table = (const float *)o[0];
  int64_t vocabulary = (int64_t)o[1], width = (int64_t)o[2];
  const float *x = (const float *)o[3];
  const int32_t *rows = (const int32_t *)o[6];
  int64_t count = (int64_t)o[7];
  float *logits = (float *)o[8];
  int64_t stride = (int64_t)o[10];
  for (int64_t i = thread; i < count * vocabulary; i += threads) {
    int64_t r = i / vocabulary, v = modulo(i, vocabulary), sum = 0;
    for (int64_t w = 0; w < width; ++w)
      sum += (int64_t)(x[rows[r] * width + w] * table[v * width + w]);
    logits[r * stride + v] = (float)sum;
  }
}

/* Does nothing: for measuring what a step costs without its kernels. */
KERNEL(idle) {
  (void)o;
  (void)thread;
  (void)threads;
}
