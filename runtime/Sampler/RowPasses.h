// The passes over a whole row of logits (262,144 floats for the largest vocabularies): the only part of sampling whose
// cost grows with the vocabulary. Each is compiled for AVX-512, AVX2 and the baseline, with the same operations in the
// same order (sixteen running values, added up pairwise at the end), so that all three give the same bits.
#pragma once
#include <cstddef>
#include <cstdint>

namespace stepdown {

/// Logits that share one entry of the array of block maxima.
constexpr size_t rowBlock = 128;

/// How far a logit lies from a point of the row: key = |centre - (logit * scale - highest)|. With centre 0 the most
/// probable have the smallest keys.
struct KeyOf {
  float scale, highest, centre;
  /// Beyond a key of 32 lies less of the mass than a float can tell.
  static constexpr float reach = 32.0f;
};
constexpr size_t keyIntervals = 1024;

struct RowPasses {
  /// maxima[b] = max of logits[128 b, 128 b + 128). Returns false when a logit is NaN or +infinity.
  bool (*blockMaxima)(const float *logits, size_t count, float *maxima);
  /// sum of exp(logits[i] * scale - highest); terms below exp(-87) count as nothing.
  double (*expSum)(const float *logits, size_t count, float scale, float highest);
  /// weights[i] = exp(logits[i] * scale - highest).
  void (*exponentials)(const float *logits, size_t count, float scale, float highest, float *weights);
  /// The same weights, with their sum and that of weight * max(x, -87), where x = logits[i] * scale - highest.
  void (*weigh)(const float *logits, size_t count, float scale, float highest, float *weights, double &sum,
                double &moment);
  /// Where key = |centre - x|: sums[floor(key * unit)] += weights[i], in `keyIntervals` of them; larger keys count to
  /// the last.
  void (*addByKey)(const float *logits, size_t count, KeyOf key, const float *weights, double *sums);
  /// Writes the ids whose key falls into `interval` of addByKey's, ascending; returns how many.
  size_t (*idsInInterval)(const float *logits, size_t count, KeyOf key, size_t interval, int32_t *ids);
  /// out[i] = logits[i] * scale where its key is at most `cut`, else -infinity.
  void (*keepKeys)(const float *logits, size_t count, KeyOf key, float cut, float *out);
  /// Of the finite logits: how many, their sum, and the sum of squared distances from `centre`.
  void (*moments)(const float *logits, size_t count, double centre, double &finite, double &sum, double &squares);
};

/// The passes for this processor.
const RowPasses &rowPasses();
/// All variants that this processor can run, for the test that they agree: returns how many.
size_t rowPassVariants(const RowPasses *variants[3]);

} // namespace stepdown
